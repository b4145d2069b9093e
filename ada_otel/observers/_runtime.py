"""``cpython.gc.*`` and ``ada.runtime.lag``: what the interpreter does to the app's threads."""

from __future__ import annotations

import gc
import os
import time

from opentelemetry.metrics import Meter, Observation

from ada_otel.observers._group import Group, Points, Reading, one
from ada_otel.pipeline import threads
from ada_otel.pipeline.fork import threads_held

#: Often enough to see what makes requests wait, seldom enough to cost about a ten-thousandth of a CPU.
_INTERVAL_SECONDS = 0.25

_GENERATIONS = tuple({"cpython.gc.generation": number} for number in range(3))


class LagSampler:
    """Measures how long after it was due a thread runs again.

    Under threads that is the wait for the interpreter's lock and for a CPU; with gevent's patches the thread
    is a greenlet, and the wait is for the event loop.
    """

    def __init__(self) -> None:
        self._pid = 0
        self._longest = 0.0

    def longest(self) -> float | None:
        """The longest wait in seconds since the last call; ``None`` for the first one in a process."""
        if threads_held():
            return None
        if self._pid != os.getpid():
            self._pid = os.getpid()
            self._longest = 0.0
            threads.start(self._sample, "ada-otel-lag")
            return None
        longest, self._longest = self._longest, 0.0
        return longest

    def _sample(self) -> None:
        while True:
            due = time.monotonic() + _INTERVAL_SECONDS
            time.sleep(_INTERVAL_SECONDS)
            self._longest = max(self._longest, time.monotonic() - due)


class RuntimeReader:
    """Reads the garbage collector's counts and the lag."""

    def __init__(self) -> None:
        self._lag = LagSampler()

    def read(self) -> Reading:
        """The observations by metric."""
        collections: list[Observation] = []
        objects: list[Observation] = []
        for number, stats in enumerate(gc.get_stats()):
            generation = _GENERATIONS[number]
            collections.append(Observation(stats["collections"], generation))
            objects.append(Observation(stats["collected"], generation))
        lag: Points = one(self._lag.longest())
        return {
            "cpython.gc.collections": collections,
            "cpython.gc.collected_objects": objects,
            "ada.runtime.lag": lag,
        }


def register(meter: Meter) -> None:
    """Make the instruments."""
    names = ("cpython.gc.collections", "cpython.gc.collected_objects", "ada.runtime.lag")
    Group("the runtime", names, RuntimeReader().read).register(meter)
