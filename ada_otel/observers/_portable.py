"""Figures by psutil: off Linux, and where ``/proc`` is not as ``_linux`` knows it."""

from __future__ import annotations

import time
from time import monotonic

import psutil

from ada_otel.observers._figures import LOOPBACK, Memory, Network, Process, whole_disk

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
#: What is mounted changes seldom, and finding it out costs more than all else.
_REMEMBERED_SECONDS = 300.0


class PsutilHost:
    """The host's figures by psutil."""

    def __init__(self) -> None:
        self._booted: float = psutil.boot_time()
        self._mounted_until = 0.0

    def cpu(self) -> dict[str, float]:
        """See :class:`~ada_otel.observers._figures.Host`."""
        times = psutil.cpu_times()
        modes: dict[str, float] = {}
        for name in times._fields:
            if name in _MODES:
                modes[_MODES[name]] = modes.get(_MODES[name], 0.0) + getattr(times, name)
        return modes

    def memory(self) -> Memory:
        """See :class:`~ada_otel.observers._figures.Host`."""
        found = psutil.virtual_memory()
        states = {
            name: getattr(found, name) for name in ("free", "cached", "buffers") if hasattr(found, name)
        }
        return Memory(found.total, found.available, states)

    def disk(self) -> tuple[int, int] | None:
        """See :class:`~ada_otel.observers._figures.Host`."""
        # Without psutil's own bookkeeping for counters that wrap, which costs more than the reading.
        try:
            disks = psutil.disk_io_counters(perdisk=True, nowrap=False) or {}
        except (OSError, NotImplementedError, RuntimeError):
            return None  # no statistics of disks in this container
        real = [disk for name, disk in disks.items() if whole_disk(name)]
        if not real:
            return None
        return sum(disk.read_bytes for disk in real), sum(disk.write_bytes for disk in real)

    def network(self) -> Network | None:
        """See :class:`~ada_otel.observers._figures.Host`."""
        try:
            cards = psutil.net_io_counters(pernic=True, nowrap=False)
        except (OSError, RuntimeError):
            return None
        real = [card for name, card in cards.items() if name not in LOOPBACK]
        return Network(
            sum(card.bytes_recv for card in real),
            sum(card.bytes_sent for card in real),
            sum(card.errin for card in real),
            sum(card.errout for card in real),
        )

    def uptime(self) -> float:
        """See :class:`~ada_otel.observers._figures.Host`."""
        return max(0.0, time.time() - self._booted)

    def mounted(self) -> list[tuple[str, str, str]] | None:
        """See :class:`~ada_otel.observers._figures.Host`."""
        if monotonic() < self._mounted_until:
            return None
        self._mounted_until = monotonic() + _REMEMBERED_SECONDS
        return partitions()


def partitions() -> list[tuple[str, str, str]]:
    """Device, path and type of each file system that psutil takes for a physical one."""
    return [(part.device, part.mountpoint, part.fstype) for part in psutil.disk_partitions(all=False)]


class PsutilProcess:
    """The figures of the process that makes it, by psutil."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        #: Seconds that the process is old.
        self.age = max(0.0, time.time() - self._process.create_time())

    def read(self) -> Process:
        """The figures now."""
        process = self._process
        with process.oneshot():
            cpu, memory, switches = process.cpu_times(), process.memory_info(), process.num_ctx_switches()
            return Process(
                cpu.user,
                cpu.system,
                memory.rss,
                memory.vms,
                process.num_threads(),
                process.num_fds() if hasattr(process, "num_fds") else None,
                switches.voluntary,
                switches.involuntary,
            )
