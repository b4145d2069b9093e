"""24 hours of the main figures: one point a minute in a ring of arrays, 64 KB in all."""

from __future__ import annotations

import math
import time
from array import array
from collections.abc import Mapping
from typing import Any

POINTS = 1440
SECONDS = 60.0

#: Percent, percent, percent, requests, seconds, a share from 0 to 1.
COLUMNS = ("cpu", "memory", "disk", "active_requests", "response_time", "error_rate")


class History:
    """The ring.

    Args:
        points: How many it holds.
        interval: Seconds between two.
    """

    def __init__(self, points: int = POINTS, interval: float = SECONDS) -> None:
        self.interval = interval
        self._size = points
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        nothing = [math.nan] * self._size
        self._times = array("d", nothing)
        self._values = {name: array("f", nothing) for name in COLUMNS}
        self._added = 0
        self._next = 0.0

    def due(self) -> bool:
        """Whether it is time for the next point."""
        return time.monotonic() >= self._next

    def add(self, figures: Mapping[str, float]) -> None:
        """Add a point, of now."""
        slot = self._added % self._size
        self._times[slot] = time.time()
        for name, column in self._values.items():
            column[slot] = figures.get(name, math.nan)
        self._added += 1
        self._next = time.monotonic() + self.interval

    def columns(self) -> dict[str, list[Any]]:
        """All points, oldest first: lists for ``time`` (Unix seconds) and each figure; None is unknown."""
        held = min(self._added, self._size)
        order = [(self._added - held + place) % self._size for place in range(held)]
        found: dict[str, list[Any]] = {"time": [round(self._times[slot], 3) for slot in order]}
        for name, column in self._values.items():
            found[name] = [round(column[slot], 6) if math.isfinite(column[slot]) else None for slot in order]
        return found
