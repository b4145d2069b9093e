"""The file systems of the host that hold data."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from opentelemetry.metrics import Observation

from ada_otel.observers._figures import Host
from ada_otel.observers._group import Points

#: The most file systems that are reported, the root first.
_MOST = 20
#: Full by nature: images that are only read.
_READ_ONLY_TYPES = frozenset({"squashfs", "iso9660", "erofs"})
_STATES = ("used", "free", "reserved")


class FileSystems:
    """Space of each file system, under the shortest path at which it is mounted."""

    def __init__(self) -> None:
        self._attributes: dict[str, tuple[dict[str, str], ...]] = {}

    def observe(self, host: Host) -> tuple[Points, Points]:
        """Observations of the bytes by state, and of the share in use."""
        partitions = host.mounted()
        if partitions is not None:
            self._attributes = {point: _attributes(point) for point in mount_points(partitions)}
        usage: list[Observation] = []
        utilization: list[Observation] = []
        for point, attributes in self._attributes.items():
            _one(point, attributes, usage, utilization)
        return usage, utilization


def _attributes(point: str) -> tuple[dict[str, str], ...]:
    where = {"system.filesystem.mountpoint": point}
    return (where, *({**where, "system.filesystem.state": state} for state in _STATES))


def _one(
    point: str,
    attributes: tuple[dict[str, str], ...],
    usage: list[Observation],
    utilization: list[Observation],
) -> None:
    try:
        found = os.statvfs(point)
    except (OSError, AttributeError):
        return  # unmounted just now, or not for us to look into; Windows has no statvfs
    if not found.f_blocks:
        return
    size = found.f_frsize
    used = (found.f_blocks - found.f_bfree) * size
    free = found.f_bavail * size
    # The difference is what only root may use.
    reserved = max(0, found.f_bfree - found.f_bavail) * size
    where, *by_state = attributes
    usage.extend(map(Observation, (used, free, reserved), by_state))
    if used + free:
        utilization.append(Observation(used / (used + free), where))


def mount_points(partitions: Iterable[tuple[str, str, str]]) -> list[str]:
    """One path per device, the root first.

    A container's root is an overlay, which is not among the partitions; what is mounted on single files there
    (``/etc/hosts``) is no file system of its own.

    Args:
        partitions: Device, path and type of each.
    """
    by_device: dict[str, str] = {}
    for device, point, kind in partitions:
        if kind in _READ_ONLY_TYPES or not Path(point).is_dir():
            continue
        known = by_device.get(device)
        if known is None or len(point) < len(known):
            by_device[device] = point
    others = sorted(point for point in by_device.values() if point != "/")
    return ["/", *others][:_MOST]
