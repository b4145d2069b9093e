"""The file systems of the host that hold data."""

from __future__ import annotations

import os
from pathlib import Path
from time import monotonic
from typing import Any

from opentelemetry.metrics import Observation

from ada_otel.observers._group import Points

#: The most file systems that are reported, the root first.
_MOST = 20
#: What is mounted changes seldom, and finding it out costs more than all else.
_REMEMBERED_SECONDS = 60.0
#: Full by nature: images that are only read.
_READ_ONLY_TYPES = frozenset({"squashfs", "iso9660", "erofs"})


class FileSystems:
    """Space of each file system, under the shortest path at which it is mounted."""

    def __init__(self) -> None:
        self._mounted: list[str] = []
        self._until = 0.0

    def observe(self, psutil: Any) -> tuple[Points, Points]:
        """Observations of the bytes by state, and of the share in use."""
        if monotonic() >= self._until:
            self._mounted = _mount_points(psutil.disk_partitions(all=False))
            self._until = monotonic() + _REMEMBERED_SECONDS
        usage: list[Observation] = []
        utilization: list[Observation] = []
        for point in self._mounted:
            self._one(point, usage, utilization)
        return usage, utilization

    def _one(self, point: str, usage: list[Observation], utilization: list[Observation]) -> None:
        try:
            found = os.statvfs(point)
        except (OSError, AttributeError):
            return  # unmounted just now, or not for us to look into; Windows has no statvfs
        if not found.f_blocks:
            return
        size = found.f_frsize
        used = (found.f_blocks - found.f_bfree) * size
        free = found.f_bavail * size
        # Windows apart, the difference is what only root may use.
        reserved = max(0, found.f_bfree - found.f_bavail) * size
        where = {"system.filesystem.mountpoint": point}
        for state, value in (("used", used), ("free", free), ("reserved", reserved)):
            usage.append(Observation(value, {**where, "system.filesystem.state": state}))
        if used + free:
            utilization.append(Observation(used / (used + free), where))


def _mount_points(partitions: list[Any]) -> list[str]:
    """One path per device, the root first.

    A container's root is an overlay, which is not among the partitions; what is mounted on single files there
    (``/etc/hosts``) is no file system of its own.
    """
    by_device: dict[str, str] = {}
    for partition in partitions:
        point = partition.mountpoint
        if partition.fstype in _READ_ONLY_TYPES or not Path(point).is_dir():
            continue
        known = by_device.get(partition.device)
        if known is None or len(point) < len(known):
            by_device[partition.device] = point
    others = sorted(point for point in by_device.values() if point != "/")
    return ["/", *others][:_MOST]
