"""24 hours of the main figures, one point a minute, added up over the workers of a host.

The minutes are a ring of 1,440 slots in a file that the workers share. Each adds to the slot of the minute
under way what came since it last did; a minute that is over is never changed. So any worker can be asked,
and the figures outlive workers that are recycled, and a restart.
"""

from __future__ import annotations

import math
import struct
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, Protocol

from ada_otel.web.health._requests import Totals

POINTS = 1440
SECONDS = 60

#: Percent, percent, percent, requests, seconds, a share from 0 to 1, requests, processes.
COLUMNS = (
    "cpu",
    "memory",
    "disk",
    "active_requests",
    "response_time",
    "error_rate",
    "requests",
    "processes",
)


class Slot(NamedTuple):
    """One minute.

    Attributes:
        minute: Minutes since 1970; 0 where nothing was written yet.
        processes: How many have added to it.
        counting: How many of them know of requests.
        cpu: Percent of the host or container; NaN if it is not known.
        memory: The same.
        disk: The same.
        active: Requests under way, as each process saw them last.
        ended: Requests that ended.
        seconds: The sum of their durations.
        failed: Those that failed.
    """

    minute: int = 0
    processes: int = 0
    counting: int = 0
    cpu: float = math.nan
    memory: float = math.nan
    disk: float = math.nan
    active: float = 0.0
    ended: float = 0.0
    seconds: float = 0.0
    failed: float = 0.0

    def point(self) -> tuple[float | None, ...]:
        """The values of :data:`COLUMNS`; None is unknown."""
        known, ended = bool(self.counting), self.ended
        values = (
            self.cpu,
            self.memory,
            self.disk,
            self.active if known else math.nan,
            self.seconds / ended if ended else math.nan,
            self.failed / ended if ended else math.nan,
            ended if known else math.nan,
            self.processes,
        )
        return tuple(round(value, 6) if math.isfinite(value) else None for value in values)


#: 64 bytes, so that none lies across two pages of memory.
LAYOUT = struct.Struct("<IHH7d")


class Ring(Protocol):
    """Where the slots are."""

    def change(self, index: int, change: Callable[[bytes], bytes]) -> None:
        """Put ``change(what is there)`` in the place of a slot, while no other process does; or leave it."""

    def read(self) -> bytes:
        """All slots."""


class History:
    """The figures of the last 24 hours.

    Args:
        ring: Where they are kept.
        settled: Seconds after which every process has added to a minute.
    """

    def __init__(self, ring: Ring, settled: float = 0.0) -> None:
        self._ring = ring
        self._settled = settled
        self.forget()

    def forget(self) -> None:
        """Begin again, in a forked process: what is there already stays."""
        self._minute = 0
        self._active = 0.0
        self._before = Totals()

    def add(self, cpu: float, memory: float, disk: float, requests: Totals | None) -> None:
        """Add what came since the last call.

        Args:
            cpu: Percent of the host or container, as of now; NaN if it is not known.
            memory: The same.
            disk: The same.
            requests: The sums since this process began; None if they are not known.
        """
        minute = int(time.time() // SECONDS)
        first = minute != self._minute
        active_before = 0.0 if first else self._active
        since = Totals()
        if requests is not None:
            # Fewer than before: delta temporality, where sums begin again.
            before = self._before if requests.ended >= self._before.ended else Totals()
            since = Totals(*(now - then for now, then in zip(requests, before, strict=True)))

        def change(held: bytes) -> bytes:
            slot = Slot(*LAYOUT.unpack(held))
            if slot.minute != minute:
                slot = Slot(minute)
            self._minute = minute
            if requests is not None:
                self._before, self._active = requests, requests.active
            return LAYOUT.pack(
                minute,
                min(slot.processes + first, 65_535),
                min(slot.counting + (first and requests is not None), 65_535),
                slot.cpu if math.isnan(cpu) else cpu,
                slot.memory if math.isnan(memory) else memory,
                slot.disk if math.isnan(disk) else disk,
                slot.active + (0.0 if requests is None else requests.active - active_before),
                slot.ended + since.ended,
                slot.seconds + since.seconds,
                slot.failed + since.failed,
            )

        # Where it is not called, because another process holds the ring, all of it is added next time.
        self._ring.change(minute % POINTS, change)

    def columns(self) -> dict[str, list[Any]]:
        """All points, oldest first: lists for ``time`` (Unix seconds of the minute's begin) and each figure.

        None is unknown. A minute in which nobody ran is there, without figures. The one under way is there
        once every process has added to it.
        """
        slots = {slot.minute: slot for slot in self._slots()}
        newest = max(slots, default=0)
        if len(slots) > 1 and time.time() < newest * SECONDS + self._settled:
            del slots[newest]
            newest = max(slots)
        minutes = range(min(slots, default=1), newest + 1)
        points = [slots.get(minute, Slot()).point() for minute in minutes]
        found: dict[str, list[Any]] = {"time": [minute * SECONDS for minute in minutes]}
        for place, name in enumerate(COLUMNS):
            found[name] = [point[place] for point in points]
        return found

    def _slots(self) -> Iterator[Slot]:
        now = int(time.time() // SECONDS)
        for values in LAYOUT.iter_unpack(self._ring.read()):
            if now - POINTS < values[0] <= now:
                yield Slot(*values)
