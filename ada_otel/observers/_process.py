"""``process.*``: CPU, memory, threads and file descriptors of this process."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from opentelemetry.metrics import Meter, Observation

from ada_otel.observers._cgroup import Limits, usable_cpus
from ada_otel.observers._figures import Process
from ada_otel.observers._group import Group, Reading, one

if TYPE_CHECKING:
    from ada_otel.observers._linux import LinuxProcess
    from ada_otel.observers._portable import PsutilProcess

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

_NAMES = (
    "process.cpu.time",
    "process.cpu.utilization",
    "process.memory.usage",
    "process.memory.virtual",
    "process.thread.count",
    "process.unix.file_descriptor.count",
    "ada.process.file_descriptor.limit",
    "process.context_switches",
    "process.uptime",
)
_USER, _SYSTEM = {"cpu.mode": "user"}, {"cpu.mode": "system"}
_OWN_WILL = {"process.context_switch.type": "voluntary"}
_FORCED = {"process.context_switch.type": "involuntary"}


def find() -> LinuxProcess | PsutilProcess:
    """What reads the figures of this process: ``/proc`` where it is as we know it, psutil elsewhere."""
    if sys.platform == "linux":
        from ada_otel.observers._linux import LinuxProcess

        with contextlib.suppress(OSError, ValueError):
            return LinuxProcess()
    from ada_otel.observers._portable import PsutilProcess

    return PsutilProcess()


class ProcessReader:
    """Reads the figures of whichever process it is called in."""

    def __init__(self) -> None:
        self._pid = 0
        self._read: Callable[[], Process]
        self._born = 0.0
        self._cpus = 1.0
        self._before: tuple[float, float] | None = None

    def _find(self) -> None:
        # By process id, not by a hook: a handle that was made before a fork is the parent's for ever.
        if self._pid != os.getpid():
            found = find()
            self._read = found.read
            self._born = time.monotonic() - found.age
            self._cpus = usable_cpus(Limits())
            self._before = None
            self._pid = os.getpid()

    def read(self) -> Reading:
        """The observations by metric; those that the platform has not are left out."""
        self._find()
        figures, now = self._read(), time.monotonic()
        return {
            "process.cpu.time": (Observation(figures.user, _USER), Observation(figures.system, _SYSTEM)),
            "process.cpu.utilization": one(self._share(figures.user + figures.system, now)),
            "process.memory.usage": one(figures.resident),
            "process.memory.virtual": one(figures.virtual),
            "process.thread.count": one(figures.threads),
            "process.unix.file_descriptor.count": one(figures.descriptors),
            "ada.process.file_descriptor.limit": one(_descriptor_limit()),
            "process.context_switches": (
                Observation(figures.voluntary_switches, _OWN_WILL),
                Observation(figures.forced_switches, _FORCED),
            ),
            "process.uptime": one(now - self._born),
        }

    def _share(self, used: float, now: float) -> float | None:
        before, self._before = self._before, (used, now)
        if before is None or now <= before[1]:
            return None
        return max(0.0, used - before[0]) / (now - before[1]) / self._cpus


def _descriptor_limit() -> int | None:
    if resource is None:
        return None
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return None if limit == resource.RLIM_INFINITY else limit


def register(meter: Meter) -> None:
    """Make the instruments."""
    Group("the process", _NAMES, ProcessReader().read).register(meter)
