"""The limits of a container: control groups, version 2 (Linux, Documentation/admin-guide/cgroup-v2).

Of the groups that a process is in, the one with the tightest limit counts. The root of a host has no limits,
so that there the host's own figures are used.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_ROOT = Path("/sys/fs/cgroup")
_MEMBERSHIP = Path("/proc/self/cgroup")


@dataclass(frozen=True)
class Memory:
    """Memory of a group with a limit, in bytes.

    Attributes:
        limit: The most that it may use.
        used: What is used and cannot be had back.
        cached: File pages that can be had back.
    """

    limit: int
    used: int
    cached: int


class Limits:
    """The limits that hold for this process."""

    def __init__(
        self, root: Path = _ROOT, membership: Path = _MEMBERSHIP, physical: float | None = None
    ) -> None:
        """Find the groups with the tightest limits; they are not looked for again.

        Args:
            root: Where version 2 is mounted.
            membership: Names the group of the process.
            physical: All memory of the machine, in bytes; None for what the system says.
        """
        if physical is None:
            physical = _physical_memory()
        #: CPUs that may be used, 1.5 for instance; ``None`` without a limit.
        self.cpus: float | None = None
        self._cpu_group: Path | None = None
        self._memory_group: Path | None = None
        least = physical  # what is not less than that is no limit
        for group in _groups(root, membership):
            cpus, memory = _cpus(group), _number(group / "memory.max")
            if cpus is not None and (self.cpus is None or cpus < self.cpus):
                self.cpus, self._cpu_group = cpus, group
            if memory is not None and memory < least:
                least, self._memory_group = memory, group

    def cpu_seconds(self) -> float | None:
        """CPU time of the group with the CPU limit so far; ``None`` without such a limit."""
        if self._cpu_group is None:
            return None
        used = _fields(self._cpu_group / "cpu.stat").get("usage_usec")
        return None if used is None else used / 1e6

    def memory(self) -> Memory | None:
        """Memory of the group with the memory limit; ``None`` without such a limit."""
        group = self._memory_group
        if group is None:
            return None
        limit, current = _number(group / "memory.max"), _number(group / "memory.current")
        if limit is None or current is None:
            return None
        stat = _fields(group / "memory.stat")
        spare = min(stat.get("inactive_file", 0), current)
        return Memory(limit, current - spare, spare)


def _groups(root: Path, membership: Path) -> Iterator[Path]:
    """The group of this process and those around it, as far as they can be seen from here."""
    if not (root / "cgroup.controllers").is_file():
        return  # version 1
    own = ""
    for line in _text(membership).splitlines():
        if line.startswith("0::"):
            own = line[3:].strip("/")
    group = root / own
    # From inside a container, the path may be one of the host's, of which nothing is mounted here.
    if ".." in group.parts or not group.is_dir():
        group = root
    yield group
    while group != root:
        group = group.parent
        yield group


def _cpus(group: Path) -> float | None:
    quota, _, period = _text(group / "cpu.max").strip().partition(" ")
    if not quota.isdigit() or not period.isdigit() or not int(quota) or not int(period):
        return None  # "max", or no such file
    return int(quota) / int(period)


def _physical_memory() -> float:
    try:
        return float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    except (AttributeError, OSError, ValueError):  # no such names here
        return math.inf


def _number(path: Path) -> int | None:
    text = _text(path).strip()
    return int(text) if text.isdigit() else None


def _fields(path: Path) -> dict[str, int]:
    pairs = (line.split() for line in _text(path).splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdigit()}


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""


def usable_cpus(limits: Limits) -> float:
    """The CPUs that this process may use: by affinity, and by the limit of its container."""
    affinity = getattr(os, "sched_getaffinity", None)
    count = float(len(affinity(0)) if affinity is not None else os.cpu_count() or 1)
    return min(count, limits.cpus) if limits.cpus else count
