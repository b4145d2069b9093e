"""Get one request body to the collector: attempts that end in time, back-off with jitter, no herd.

The rules are OTLP's (specification, OTLP/HTTP, "Failures"): 429, 502, 503, 504 and connection errors are
tried again, everything else is final. The waiting time is kept here from one body to the next, so a
collector that is away gets one try per waiting time, whatever is queued; the first body then is the probe.
"""

from __future__ import annotations

import http.client
import random
import threading
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from ada_otel._diagnostics import report
from ada_otel.pipeline.export.connection import Answer, Connection
from ada_otel.pipeline.export.protocol import Rejection, partial_success, retry_after
from ada_otel.pipeline.export.target import Signal, Target
from ada_otel.pipeline.fork import on_fork

_RETRYABLE = frozenset({429, 502, 503, 504})

#: An attempt with less time than this is not begun: it would only disturb a collector that is slow already.
_SHORTEST_ATTEMPT = 0.5

#: At exit a refused connection is tried once more after at most this: a dead collector must not cost the
#: budget.
_LAST_PAUSE = 0.3

#: Level 1: 1.8 µs a span against 3.9 at the default level 6, for 8 % more bytes (512 spans of 10 attributes).
_COMPRESSION_LEVEL = 1

_LONGEST_RETRY_AFTER = 3600.0


@dataclass(frozen=True)
class Outcome:
    """How the sending of one body ended.

    Attributes:
        kind: ``sent``; ``rejected``, for good; ``too_large``, so halves may pass; ``retry``, not yet.
        error: The kind of trouble in a word, as ``error.type`` has it: a status code or an exception's name.
        rejection: What a ``sent`` body's answer said was not taken, if it said so.
    """

    kind: Literal["sent", "rejected", "too_large", "retry"]
    error: str = ""
    rejection: Rejection | None = None


class Sender:
    """Sends the bodies of one signal, one at a time.

    Args:
        target: Where, and how.
        signal: For what is reported.
        backoff: The first waiting time's upper bound in seconds; it doubles with each failure.
        longest_backoff: The upper bound's upper bound, in seconds.
        draw: A random number from 0 to 1; for tests.
    """

    def __init__(
        self,
        target: Target,
        signal: Signal,
        *,
        backoff: float = 1.0,
        longest_backoff: float = 30.0,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._target = target
        self._signal = signal
        self._backoff = backoff
        self._longest_backoff = longest_backoff
        self._draw = draw
        self._connection = Connection(target)
        self._turn = threading.Lock()
        self.failures = 0
        self.last_error = ""
        self._next_attempt = 0.0
        self._last_call: float | None = None
        self._waiting: Any = None
        on_fork(self._renew)

    @property
    def failing(self) -> bool:
        """Whether the last attempt failed in a way that may pass: the next body should be a small one."""
        return self.failures > 0

    @property
    def pause(self) -> float:
        """Seconds until the next attempt may be made; 0 if it may be made now."""
        return max(0.0, self._next_attempt - time.monotonic())

    def send(self, body: bytes, within: float, *, once: bool = False) -> Outcome:
        """Send ``body``, trying again as long as there is time.

        Args:
            body: An encoded ``Export*ServiceRequest``.
            within: Seconds for all attempts and the waiting between them.
            once: Make one attempt only, when it is due.
        """
        deadline = time.monotonic() + within
        if not self._turn.acquire(timeout=max(0.0, within)):
            return Outcome("retry", "busy")
        try:
            data, encoding = _compress(body, self._target.compression)
            return self._send(data, encoding, deadline, min(_SHORTEST_ATTEMPT, within / 2), once=once)
        finally:
            self._turn.release()

    def hurry(self, deadline: float) -> None:
        """The process ends: cut the waiting short and end every further attempt by ``deadline``.

        Args:
            deadline: On ``time.monotonic()``.
        """
        self._last_call = deadline
        self._next_attempt = 0.0
        waiting = self._waiting
        if waiting is not None:
            _release(waiting)

    def close(self) -> None:
        """Drop the connection."""
        self._connection.close()

    def _send(
        self, data: bytes, encoding: str | None, deadline: float, shortest: float, *, once: bool
    ) -> Outcome:
        outcome = Outcome("retry", self.last_error)
        while self._wait_for_turn(deadline, shortest):
            outcome = self._attempt(data, encoding, self._bounded(deadline))
            if outcome.kind != "retry":
                self.failures = 0
                self._next_attempt = 0.0
                return outcome
            gone = self._last_call is not None and self.failures > 1 and not outcome.error.isdigit()
            if gone or (once and self._last_call is None):
                break
        return outcome

    def _wait_for_turn(self, deadline: float, shortest: float) -> bool:
        """Sleep until the next attempt is due; false if less than ``shortest`` seconds are left for it."""
        lock = threading.Lock()
        lock.acquire()
        self._waiting = lock
        try:
            while True:
                now = time.monotonic()
                pause = self._next_attempt - now
                end = self._bounded(deadline)
                shortest = shortest if self._last_call is None else 0.0
                if pause <= 0:
                    return end - now > shortest
                if now + pause + shortest > end:
                    lock.acquire(timeout=max(0.0, end - now))
                    if time.monotonic() >= end:
                        return False
                    continue
                lock.acquire(timeout=pause)
        finally:
            self._waiting = None

    def _bounded(self, deadline: float) -> float:
        return deadline if self._last_call is None else min(deadline, self._last_call)

    def _attempt(self, data: bytes, encoding: str | None, deadline: float) -> Outcome:
        try:
            answer = self._connection.post(
                data, encoding, min(deadline, time.monotonic() + self._target.timeout)
            )
        except (OSError, http.client.HTTPException, ValueError) as error:
            return self._failed(type(error).__name__, f"{type(error).__name__}: {error}", None)
        if 200 <= answer.status < 300:
            return self._accepted(answer)
        if answer.status == 413:
            return Outcome("too_large", "413")
        if answer.status in _RETRYABLE:
            return self._failed(str(answer.status), f"HTTP {answer.status}", answer)
        self._report_rejection(answer)
        return Outcome("rejected", str(answer.status))

    def _accepted(self, answer: Answer) -> Outcome:
        rejection = partial_success(answer.body)
        if rejection is not None:
            report(
                f"export:partial:{self._signal}",
                f"The collector at {self._place()} took {self._signal} only in part: "
                f"{rejection.items} not taken{': ' + rejection.message if rejection.message else ''}. "
                "Later ones are counted, and not reported again.",
            )
        return Outcome("sent", rejection=rejection)

    def _failed(self, error: str, description: str, answer: Answer | None) -> Outcome:
        self.failures += 1
        self.last_error = error
        asked = retry_after(answer.headers.get("retry-after")) if answer is not None else None
        now = time.monotonic()
        self._next_attempt = now + self._pause(asked)
        if self._last_call is not None and now >= self._last_call:
            return Outcome("retry", error)  # the process has gone on without us
        report(
            f"export:retry:{self._signal}:{error}",
            f"Sending {self._signal} to {self._place()} failed ({description}); it is tried again, "
            "with growing pauses. Meanwhile telemetry is kept in a bounded queue, and the app goes on.",
        )
        return Outcome("retry", error)

    def _pause(self, asked: float | None) -> float:
        """Seconds until the next attempt: full jitter, or what the server asked for and some more."""
        if self._last_call is not None:
            return _LAST_PAUSE * self._draw()
        if asked is not None:
            asked = min(asked, _LONGEST_RETRY_AFTER)
            # All clients are given the same time; they must not all come back at once.
            return asked + self._draw() * min(5.0, 0.5 + asked / 10)
        exponent = min(self.failures - 1, 16)
        return self._draw() * min(self._longest_backoff, self._backoff * 2.0**exponent)

    def _report_rejection(self, answer: Answer) -> None:
        said = answer.body[:200].decode("utf-8", "replace").strip()
        if 300 <= answer.status < 400:
            said = f"a redirect to {answer.headers.get('location', 'nowhere')}, which is not followed"
        report(
            f"export:rejected:{self._signal}:{answer.status}",
            f"The collector at {self._place()} refuses {self._signal} with HTTP {answer.status}"
            f"{': ' + said if said else ''}. What it refuses is dropped and counted. "
            "Check OTEL_EXPORTER_OTLP_ENDPOINT and OTEL_EXPORTER_OTLP_HEADERS.",
        )

    def _place(self) -> str:
        """The address without credentials or query, which may hold secrets."""
        return self._target.url.split("?", 1)[0].rsplit("@", 1)[-1]

    def _renew(self) -> None:
        self._connection.close()
        self._turn = threading.Lock()
        self.failures = 0
        self._next_attempt = 0.0
        self._last_call = None
        self._waiting = None


def _compress(body: bytes, kind: str) -> tuple[bytes, str | None]:
    if kind == "none":
        return body, None
    window = 31 if kind == "gzip" else 15
    packer = zlib.compressobj(_COMPRESSION_LEVEL, zlib.DEFLATED, window)
    return packer.compress(body) + packer.flush(), kind


def _release(lock: threading.Lock) -> None:
    try:
        lock.release()
    except (RuntimeError, ValueError):
        return  # nobody waits any more
