"""``process.*``: CPU, memory, threads and file descriptors of this process."""

from __future__ import annotations

import os
import time
from typing import Any

from opentelemetry.metrics import Meter, Observation

from ada_otel.observers._cgroup import Limits, usable_cpus
from ada_otel.observers._group import Group, Points, Reading, one

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


class ProcessReader:
    """Reads the figures of whichever process it is called in."""

    def __init__(self) -> None:
        self._pid = 0
        self._process: Any = None
        self._born = 0.0
        self._cpus = 1.0
        self._before: tuple[float, float] | None = None

    def _find(self) -> Any:
        # By process id, not by a hook: a handle that was made before a fork is the parent's for ever.
        if self._pid != os.getpid():
            import psutil

            self._process = psutil.Process()
            age = max(0.0, time.time() - self._process.create_time())
            self._born = time.monotonic() - age
            self._cpus = usable_cpus(Limits())
            self._before = None
            self._pid = os.getpid()
        return self._process

    def read(self) -> Reading:
        """The observations by metric; those that the platform has not are left out."""
        process = self._find()
        found: dict[str, Points] = {}
        with process.oneshot():
            cpu, now = process.cpu_times(), time.monotonic()
            found["process.cpu.time"] = (Observation(cpu.user, _USER), Observation(cpu.system, _SYSTEM))
            memory = process.memory_info()
            found["process.memory.usage"] = one(memory.rss)
            found["process.memory.virtual"] = one(memory.vms)
            found["process.thread.count"] = one(process.num_threads())
            if hasattr(process, "num_fds"):
                found["process.unix.file_descriptor.count"] = one(process.num_fds())
            switches = process.num_ctx_switches()
            found["process.context_switches"] = (
                Observation(switches.voluntary, _OWN_WILL),
                Observation(switches.involuntary, _FORCED),
            )
        found["process.cpu.utilization"] = one(self._share(cpu.user + cpu.system, now))
        found["ada.process.file_descriptor.limit"] = one(_descriptor_limit())
        found["process.uptime"] = one(now - self._born)
        return found

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
