"""``system.*``: CPU, memory, file systems, disks and network of the host, or of the container."""

from __future__ import annotations

import contextlib
import math
import os
import sys
import time
from collections.abc import Callable
from typing import Any

from opentelemetry.metrics import Meter, Observation

from ada_otel.observers._cgroup import Limits
from ada_otel.observers._figures import Host
from ada_otel.observers._filesystems import FileSystems
from ada_otel.observers._group import Group, Points, Reading, one

_NAMES = (
    "system.cpu.time",
    "system.cpu.utilization",
    "system.cpu.logical.count",
    "system.cpu.load_average.1m",
    "system.memory.usage",
    "system.memory.limit",
    "system.memory.utilization",
    "system.filesystem.usage",
    "system.filesystem.utilization",
    "system.disk.io",
    "system.network.io",
    "system.network.errors",
    "system.uptime",
)
_IDLE = ("idle", "iowait")
_RECEIVE, _TRANSMIT = {"network.io.direction": "receive"}, {"network.io.direction": "transmit"}
_READ, _WRITE = {"disk.io.direction": "read"}, {"disk.io.direction": "write"}
_MODES = {
    mode: {"cpu.mode": mode} for mode in ("user", "system", "idle", "iowait", "steal", "nice", "interrupt")
}
_STATES = {state: {"system.memory.state": state} for state in ("used", "free", "cached", "buffers")}


def find() -> Host:
    """What reads the figures here: ``/proc`` on a Linux that has it as we know it, psutil elsewhere."""
    if sys.platform == "linux":
        from ada_otel.observers._linux import LinuxHost

        with contextlib.suppress(OSError, ValueError, IndexError):
            return LinuxHost()
    from ada_otel.observers._portable import PsutilHost

    return PsutilHost()


class HostReader:
    """Reads the host's figures, in a process that speaks for the host."""

    def __init__(self, speaks: Callable[[], bool], limits: Callable[[], Limits] = Limits) -> None:
        """Make a reader.

        Args:
            speaks: Whether this process reports the host's figures now.
            limits: Finds the limits of the container.
        """
        self._speaks = speaks
        self._find_limits = limits
        self._host: Host | None = None
        self._file_systems = FileSystems()
        self._count = 1
        self._before: tuple[float, float] | None = None

    def read(self) -> Reading:
        """The observations by metric; none in a process that does not speak for the host."""
        if not self._speaks():
            self._before = None
            return {}
        host = self._host
        if host is None:
            self._limits = self._find_limits()
            self._count = os.cpu_count() or 1
            host = self._host = find()
        usage, utilization = self._file_systems.observe(host)
        return {
            **self._cpu(host, self._limits),
            **_memory(host, self._limits),
            "system.filesystem.usage": usage,
            "system.filesystem.utilization": utilization,
            "system.disk.io": _disk(host),
            **_network(host),
            "system.uptime": one(host.uptime()),
        }

    def _cpu(self, host: Host, limits: Limits) -> dict[str, Points]:
        modes = host.cpu()
        count = float(self._count)
        group = limits.cpu_seconds()
        if limits.cpus is None or group is None:
            busy, cpus = sum(value for mode, value in modes.items() if mode not in _IDLE), count
        else:
            busy, cpus = group, min(limits.cpus, count)
        return {
            "system.cpu.time": [Observation(value, _MODES[mode]) for mode, value in modes.items()],
            "system.cpu.utilization": one(self._share(busy, cpus)),
            "system.cpu.logical.count": one(math.ceil(cpus)),
            "system.cpu.load_average.1m": one(_load()),
        }

    def _share(self, busy: float, cpus: float) -> float | None:
        now = time.monotonic()
        before, self._before = self._before, (busy, now)
        if before is None or now <= before[1]:
            return None
        # The clocks of /proc tick in hundredths of a second, so a short interval can seem fuller than full.
        return min(1.0, max(0.0, busy - before[0]) / (now - before[1]) / cpus)


def _load() -> float | None:
    try:
        return os.getloadavg()[0]
    except (OSError, AttributeError):  # Windows has none
        return None


def _memory(host: Host, limits: Limits) -> dict[str, Points]:
    group = limits.memory()
    if group is not None:
        states = {
            "used": group.used,
            "free": max(0, group.limit - group.used - group.cached),
            "cached": group.cached,
        }
        total, gone = group.limit, group.used
    else:
        total, available, known = host.memory()
        gone = total - available
        states = {**known, "used": max(0, total - sum(known.values()))}
    return {
        "system.memory.usage": [Observation(value, _STATES[state]) for state, value in states.items()],
        "system.memory.limit": one(total),
        "system.memory.utilization": one(gone / total if total else None),
    }


def _disk(host: Host) -> Points:
    found = host.disk()
    return () if found is None else (Observation(found[0], _READ), Observation(found[1], _WRITE))


def _network(host: Host) -> dict[str, Points]:
    found = host.network()
    if found is None:
        return {}
    received, sent, receive_errors, send_errors = found
    return {
        "system.network.io": (Observation(received, _RECEIVE), Observation(sent, _TRANSMIT)),
        "system.network.errors": (Observation(receive_errors, _RECEIVE), Observation(send_errors, _TRANSMIT)),
    }


def register(meter: Meter, lock: Any) -> None:
    """Make the instruments.

    Args:
        meter: To make them with.
        lock: The :class:`~ada_otel.observers._lock.HostLock` whose holder reports.
    """
    Group("the host", _NAMES, HostReader(lock.held).read).register(meter)
