"""The plain figures of a host and of a process; ``_linux`` or ``_portable`` read them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple, Protocol

_BLOCK_DEVICES = Path("/sys/block")
_MADE_OF_OTHERS = ("dm-", "loop", "md", "ram", "zram")

#: Network interfaces that lead nowhere.
LOOPBACK = frozenset({"lo", "lo0"})


class Memory(NamedTuple):
    """Memory in bytes: all, what can be had, and the states that the platform knows apart from ``used``."""

    total: int
    available: int
    states: Mapping[str, int]


class Network(NamedTuple):
    """Bytes and errors of all interfaces but loopback."""

    received: int
    sent: int
    receive_errors: int
    send_errors: int


class Host(Protocol):
    """Reads the host's figures."""

    def cpu(self) -> Mapping[str, float]:
        """CPU seconds by ``cpu.mode``, over all CPUs."""

    def memory(self) -> Memory:
        """Memory."""

    def disk(self) -> tuple[int, int] | None:
        """Bytes read and written by whole disks; ``None`` where none is known."""

    def network(self) -> Network | None:
        """What the interfaces carried; ``None`` where none is known."""

    def uptime(self) -> float:
        """Seconds since the start of the host."""

    def mounted(self) -> list[tuple[str, str, str]] | None:
        """Device, path and type of the file systems that hold data; ``None`` if as at the last call."""


class Process(NamedTuple):
    """The figures of this process; ``None`` where the platform has none."""

    user: float
    system: float
    resident: int
    virtual: int
    threads: int
    descriptors: int | None
    voluntary_switches: int
    forced_switches: int


@lru_cache(1024)
def whole_disk(name: str) -> bool:
    """Whether a block device is a disk, no partition of one and not made of others; all are, off Linux.

    What goes through a mapped device (LVM, RAID, loop) goes through a disk as well.
    """
    if name.startswith(_MADE_OF_OTHERS):
        return False
    return not _BLOCK_DEVICES.is_dir() or (_BLOCK_DEVICES / name.replace("/", "!")).exists()
