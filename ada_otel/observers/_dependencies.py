"""``ada.dependency.*``: whether what the app needs can be reached by name (DNS) and by connection (TCP).

The tries are made by a thread of their own, which the first collection of a process starts once there is
something to try; a collection only reads what that thread found. No byte is sent over a connection.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from opentelemetry.metrics import Meter, Observation

from ada_otel._diagnostics import contained
from ada_otel.observers import targets
from ada_otel.observers._group import Group, Reading
from ada_otel.observers.targets import Target
from ada_otel.pipeline import threads
from ada_otel.pipeline.fork import on_fork, threads_held

#: Seconds from the end of one round of tries to the next, and the most that a connection may take.
INTERVAL_SECONDS = 15.0
TIMEOUT_SECONDS = 3.0


@dataclass(frozen=True)
class Result:
    """What became of a try.

    Attributes:
        reachable: Whether a connection was made.
        dns: Seconds until the name was resolved; ``None`` when it was not.
        tcp: Seconds until the connection stood; ``None`` when it did not.
    """

    reachable: bool
    dns: float | None = None
    tcp: float | None = None


def attempt(target: Target, timeout: float = TIMEOUT_SECONDS) -> Result:
    """Resolve and connect once; addresses are tried in the resolver's order within ``timeout`` seconds."""
    started = time.perf_counter()
    try:
        addresses = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return Result(reachable=False)
    resolved = time.perf_counter()
    for family, kind, protocol, _name, address in addresses:
        left = timeout - (time.perf_counter() - resolved)
        if left <= 0:
            break
        try:
            with socket.socket(family, kind, protocol) as connection:
                connection.settimeout(left)
                connection.connect(address)
        except OSError:
            continue
        return Result(True, resolved - started, time.perf_counter() - resolved)
    return Result(reachable=False, dns=resolved - started)


class Prober:
    """Tries all dependencies again and again, in a thread of the process that holds the lock."""

    def __init__(
        self,
        speaks: Callable[[], bool],
        known: Callable[[], list[Target]] = targets.all_targets,
        interval: float = INTERVAL_SECONDS,
    ) -> None:
        """Make a prober; nothing is tried before the first reading.

        Args:
            speaks: Whether this process reports for the host.
            known: Gives the dependencies.
            interval: Seconds between two rounds.
        """
        self._speaks = speaks
        self._known = known
        self._interval = interval
        self._renew()
        on_fork(self._renew)

    def _renew(self) -> None:
        self._pid = 0
        self._results: dict[Target, Result] = {}
        self._trying: tuple[Target, float] | None = None

    def read(self) -> Reading:
        """The observations by metric, of the last tries."""
        if not self._known() or not self._speaks() or threads_held():
            return {}
        if self._pid != os.getpid():
            self._pid = os.getpid()
            threads.start(self._run, "ada-otel-dependencies")
        reachable: list[Observation] = []
        latency: list[Observation] = []
        stuck = self._stuck()
        if stuck is not None:
            self._results.setdefault(stuck, Result(reachable=False))
        for target, result in list(self._results.items()):
            name = {"ada.dependency.name": target.name}
            reachable.append(Observation(int(result.reachable and target != stuck), name))
            for step, seconds in (("dns", result.dns), ("tcp", result.tcp)):
                if seconds is not None:
                    latency.append(Observation(seconds, {**name, "ada.dependency.step": step}))
        return {"ada.dependency.reachable": reachable, "ada.dependency.latency": latency}

    def _stuck(self) -> Target | None:
        """The dependency whose name has been looked up for so long that it counts as away."""
        trying = self._trying
        if trying is None or time.monotonic() - trying[1] <= TIMEOUT_SECONDS:
            return None
        return trying[0]

    def _run(self) -> None:
        while self._pid == os.getpid():
            with contained("Trying the app's dependencies"):
                for target in self._known():
                    self._trying = (target, time.monotonic())
                    self._results[target] = attempt(target)
                    self._trying = None
            time.sleep(self._interval)


def register(meter: Meter, lock: Any) -> None:
    """Make the instruments.

    Args:
        meter: To make them with.
        lock: The :class:`~ada_otel.observers._lock.HostLock` whose holder reports.
    """
    names = ("ada.dependency.reachable", "ada.dependency.latency")
    Group("the dependencies", names, Prober(lock.held).read).register(meter)
