"""``system.*``: CPU, memory, file systems, disks and network of the host, or of the container."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

from opentelemetry.metrics import Meter, Observation

from ada_otel.observers._cgroup import Limits
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
#: psutil's names of what a CPU does, and those of the semantic conventions.
_MODES = {
    "user": "user",
    "system": "system",
    "idle": "idle",
    "iowait": "iowait",
    "steal": "steal",
    "nice": "nice",
    "irq": "interrupt",
    "softirq": "interrupt",
    "interrupt": "interrupt",
}
_IDLE = ("idle", "iowait")
_BLOCK_DEVICES = Path("/sys/block")
_MADE_OF_OTHERS = ("dm-", "loop", "md", "ram", "zram")
_RECEIVE, _TRANSMIT = {"network.io.direction": "receive"}, {"network.io.direction": "transmit"}
_READ, _WRITE = {"disk.io.direction": "read"}, {"disk.io.direction": "write"}


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
        self._limits: Limits | None = None
        self._booted = 0.0
        self._file_systems = FileSystems()
        self._before: tuple[float, float] | None = None

    def read(self) -> Reading:
        """The observations by metric; none in a process that does not speak for the host."""
        if not self._speaks():
            self._before = None
            return {}
        import psutil

        if self._limits is None:
            self._limits = self._find_limits()
            self._booted = psutil.boot_time()
        usage, utilization = self._file_systems.observe(psutil)
        return {
            **self._cpu(psutil, self._limits),
            **_memory(psutil, self._limits),
            "system.filesystem.usage": usage,
            "system.filesystem.utilization": utilization,
            "system.disk.io": _disk(psutil),
            **_network(psutil),
            "system.uptime": one(max(0.0, time.time() - self._booted)),
        }

    def _cpu(self, psutil: Any, limits: Limits) -> dict[str, Points]:
        times = psutil.cpu_times()
        modes: dict[str, float] = {}
        for name in times._fields:
            if name in _MODES:
                modes[_MODES[name]] = modes.get(_MODES[name], 0.0) + getattr(times, name)
        count = os.cpu_count() or 1
        group = limits.cpu_seconds()
        if limits.cpus is None or group is None:
            busy, cpus = sum(value for mode, value in modes.items() if mode not in _IDLE), float(count)
        else:
            busy, cpus = group, min(limits.cpus, float(count))
        return {
            "system.cpu.time": [Observation(value, {"cpu.mode": mode}) for mode, value in modes.items()],
            "system.cpu.utilization": one(self._share(busy, cpus)),
            "system.cpu.logical.count": one(math.ceil(cpus)),
            "system.cpu.load_average.1m": one(psutil.getloadavg()[0]),
        }

    def _share(self, busy: float, cpus: float) -> float | None:
        now = time.monotonic()
        before, self._before = self._before, (busy, now)
        if before is None or now <= before[1]:
            return None
        # The clocks of /proc tick in hundredths of a second, so a short interval can seem fuller than full.
        return min(1.0, max(0.0, busy - before[0]) / (now - before[1]) / cpus)


def _memory(psutil: Any, limits: Limits) -> dict[str, Points]:
    group = limits.memory()
    if group is not None:
        states = {
            "used": group.used,
            "free": max(0, group.limit - group.used - group.cached),
            "cached": group.cached,
        }
        total, gone = group.limit, group.used
    else:
        found = psutil.virtual_memory()
        total, gone = found.total, found.total - found.available
        states = {"free": found.free}
        for state in ("cached", "buffers"):
            if hasattr(found, state):
                states[state] = getattr(found, state)
        states["used"] = max(0, total - sum(states.values()))
    return {
        "system.memory.usage": [
            Observation(value, {"system.memory.state": s}) for s, value in states.items()
        ],
        "system.memory.limit": one(total),
        "system.memory.utilization": one(gone / total if total else None),
    }


def _disk(psutil: Any) -> Points:
    # Without psutil's own bookkeeping for counters that wrap, which costs more than the reading. Asked for
    # the sum, it would count what goes through a mapped device (LVM, RAID, loop) twice, and look each name
    # up in /sys.
    disks = psutil.disk_io_counters(perdisk=True, nowrap=False) or {}
    real = [disk for name, disk in disks.items() if _whole_disk(name)]
    if not real:
        return ()
    return (
        Observation(sum(disk.read_bytes for disk in real), _READ),
        Observation(sum(disk.write_bytes for disk in real), _WRITE),
    )


@lru_cache(1024)
def _whole_disk(name: str) -> bool:
    """Whether a block device is a disk, no partition of one and not made of others; all are, off Linux."""
    if name.startswith(_MADE_OF_OTHERS):
        return False
    return not _BLOCK_DEVICES.is_dir() or (_BLOCK_DEVICES / name.replace("/", "!")).exists()


def _network(psutil: Any) -> dict[str, Points]:
    cards = psutil.net_io_counters(pernic=True, nowrap=False)
    real = [card for name, card in cards.items() if name not in {"lo", "lo0"}]
    return {
        "system.network.io": (
            Observation(sum(card.bytes_recv for card in real), _RECEIVE),
            Observation(sum(card.bytes_sent for card in real), _TRANSMIT),
        ),
        "system.network.errors": (
            Observation(sum(card.errin for card in real), _RECEIVE),
            Observation(sum(card.errout for card in real), _TRANSMIT),
        ),
    }


def register(meter: Meter, lock: Any) -> None:
    """Make the instruments.

    Args:
        meter: To make them with.
        lock: The :class:`~ada_otel.observers._lock.HostLock` whose holder reports.
    """
    Group("the host", _NAMES, HostReader(lock.held).read).register(meter)
