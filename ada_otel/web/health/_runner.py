"""Runs the checks in the background, each with a time limit, so that asking for their state never waits.

A check that hangs holds one thread. After a while it is given up and a new one is tried, so that a database
that comes back is seen even if the driver's old call never returns; three given up at most.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from opentelemetry.instrumentation.utils import suppress_instrumentation

from ada_otel._diagnostics import contained, report, repr_of, text_of
from ada_otel.pipeline import threads
from ada_otel.pipeline.fork import on_fork
from ada_otel.web.health._model import Check, Report, Result

_MOST_GIVEN_UP = 3
_GIVE_UP_AFTER = 5.0  # times the limit

#: The most seconds that a page waits for the first list of checks, which is made of nothing but our own work.
_LISTED_WITHIN = 0.5

_PENDING = Result("pending", "not known yet")
_TIMED_OUT = Result("unhealthy", "timed out")


class _Watched:
    """One check and its runs."""

    def __init__(self, check: Check, limit: float) -> None:
        self.check = check
        self.limit = check.timeout or limit
        self.forget()

    def forget(self) -> None:
        """Begin again, in a forked process."""
        self.result = _PENDING
        self.seconds = 0.0
        self.ended: float | None = None
        self.begun: float | None = None
        self.turn = 0
        self.given_up = 0

    def start(self, now: float) -> None:
        """Run it in a thread of its own, if the last run is over or was given up."""
        if self.begun is not None:
            if now - self.begun < self.limit * _GIVE_UP_AFTER or self.given_up >= _MOST_GIVEN_UP:
                return
            self.given_up += 1
            self.result, self.ended = _TIMED_OUT, now
        self.turn += 1
        self.begun = now
        try:
            threads.start(self._run, f"ada-otel-health-{self.check.name}", self.turn)
        except RuntimeError as error:  # no more threads: that is news of its own
            self.begun, self.ended = None, now
            self.result = Result("degraded", "no thread could be started", text=str(error))

    def _run(self, turn: int) -> None:
        begun = time.monotonic()
        with suppress_instrumentation():
            result = _attempt(self.check)
        if turn != self.turn:
            self.given_up -= 1
            return  # it was given up, and came to its end after all
        self.result = result
        self.ended = time.monotonic()
        self.seconds = self.ended - begun
        self.begun = None

    def report(self, now: float) -> Report:
        """Its state now: one that runs for longer than its limit has failed, whatever comes of it."""
        begun, result, seconds = self.begun, self.result, self.seconds
        if begun is not None and now - begun > self.limit:
            result, seconds = _TIMED_OUT, now - begun
        return Report(self.check, result, seconds, None if self.ended is None else now - self.ended)


class Runner:
    """All checks of this process.

    Args:
        interval: Seconds between two runs of each check.
        limit: Seconds that a check may take that does not say itself.
        find: Gives the checks that are there now; called before each round.
        then: Called after each round was started.
    """

    def __init__(
        self,
        interval: float,
        limit: float,
        find: Callable[[], Iterable[Check]],
        then: Callable[[], None] = lambda: None,
    ) -> None:
        self._interval = max(0.1, interval)
        self._limit = max(0.05, limit)
        self._find = find
        self._then = then
        self._watched: dict[str, _Watched] = {}
        self._life: object | None = None
        on_fork(self._renew)

    def start(self) -> None:
        """Begin to run checks in this process; a second time does nothing."""
        if self._life is None:
            self._life = life = object()
            threads.start(self._loop, "ada-otel-health", life)

    def stop(self) -> None:
        """Start no further round."""
        self._life = None

    def reports(self, wait: float = 0.0) -> list[Report]:
        """The state of each check, by name; none until the first round knows what there is to check.

        Args:
            wait: The most seconds to wait for checks that have not ended once: only a process that was just
                started has such.
        """
        self.start()
        begun = time.monotonic()
        while True:
            now = time.monotonic()
            found = [watched.report(now) for watched in list(self._watched.values())]
            pending = not found or any(report.result is _PENDING for report in found)
            most = wait if found or not wait else _LISTED_WITHIN
            if not pending or now - begun >= most:
                return sorted(found, key=lambda report: report.check.name)
            time.sleep(0.005)

    def known(self) -> list[Report]:
        """The state of each check where checks are run already: a process that serves nothing has none."""
        return self.reports() if self._life is not None else []

    def _renew(self) -> None:
        self._life = None
        for watched in self._watched.values():
            watched.forget()

    def _loop(self, life: object) -> None:
        while self._life is life:
            with contained("Running health checks"):
                self._round()
            with contained("Keeping figures of performance"):
                self._then()
            time.sleep(self._interval)

    def _round(self) -> None:
        found: list[Check] = []
        try:
            found.extend(self._find())
        finally:
            # All at once: to find the databases takes its time, and a page that is asked meanwhile must not
            # see a first round without them as the whole of it.
            for check in found:
                known = self._watched.get(check.name)
                if known is None or known.check is not check:
                    self._watched[check.name] = _Watched(check, self._limit)
        now = time.monotonic()
        for watched in list(self._watched.values()):
            watched.start(now)


def _attempt(check: Check) -> Result:
    try:
        found = check.run()
    except BaseException as error:  # time limits of gevent are none of Exception; the thread is ours
        return Result("unhealthy", "failed", text=f"{type(error).__name__}: {text_of(error)}")
    if isinstance(found, Result):
        return found
    if found is None or found is True:
        return Result()
    if found is False:
        return Result("unhealthy", "failed")
    report(
        f"health:{check.name}",
        f"Health check {check.name!r} returned {repr_of(found)}; it takes None, True, False, "
        "ada_otel.health.degraded(…) or ada_otel.health.unhealthy(…). It counts as degraded.",
    )
    return Result("degraded", "no answer that is known")
