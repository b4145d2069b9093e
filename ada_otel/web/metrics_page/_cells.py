"""Cells that write each value straight into the worker's file: what was recorded survives SIGKILL.

They have the interface of ``ada_otel.pipeline.metrics._cells.Cell``, so that bound handles feed them beside
the cells of other readers. A handle appends to ``pending``; here that is a list which stays empty and whose
``append`` adds to a slot in shared memory. Between reading and writing a slot the interpreter does not
switch threads, as no call is between the two; without the GIL there is a lock.
"""

from __future__ import annotations

import sys
from _thread import RLock
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from time import time
from typing import Any

from opentelemetry.trace import SpanContext, get_current_span

from ada_otel.web.metrics_page import _exemplar
from ada_otel.web.metrics_page._file import Place

#: Prometheus scrapes every few seconds and keeps one exemplar of each bucket for it.
_EXEMPLAR_SECONDS = 1.0

_FREE_THREADED = not getattr(sys, "_is_gil_enabled", lambda: True)()


class _Adding(list[float]):
    """Takes values for a counter or an up-down counter."""

    __slots__ = ("at", "slots")

    def __init__(self, place: Place) -> None:
        super().__init__()
        self.slots, self.at = place.slots, place.at

    def append(self, value: float) -> None:
        self.slots[self.at] += value


class _Counting(list[float]):
    """Takes values for a histogram: one slot for each bucket, then the sum."""

    __slots__ = ("at", "bounds", "slots", "sum_at")

    def __init__(self, place: Place, bounds: Sequence[float]) -> None:
        super().__init__()
        self.slots, self.at = place.slots, place.at
        self.bounds = bounds
        self.sum_at = place.at + len(bounds) + 1

    def append(self, value: float) -> None:
        slots = self.slots
        bucket = self.at + bisect_left(self.bounds, value)
        slots[self.sum_at] += value  # first: it raises for what is no number that can be added
        slots[bucket] += 1.0


class _Setting(list[float]):
    """Takes values for a gauge: the last one and its time."""

    __slots__ = ("at", "slots")

    def __init__(self, place: Place) -> None:
        super().__init__()
        self.slots, self.at = place.slots, place.at

    def append(self, value: float) -> None:
        self.slots[self.at] = value
        self.slots[self.at + 1] = time()


class _Locked(list[float]):
    """Takes one value at a time, where threads run at once."""

    __slots__ = ("_lock", "_taker")

    def __init__(self, taker: list[float]) -> None:
        super().__init__()
        self._lock = RLock()
        self._taker = taker

    def append(self, value: float) -> None:
        with self._lock:
            self._taker.append(value)


class SharedCell:
    """One series of this worker.

    Args:
        place: Its slots.
        kind: ``adding``, ``counting`` or ``setting``.
        attributes: Of the series.
        bounds: Of a histogram's buckets.
        exemplars_at: The slot, after the first, where exemplars begin; 0 for none.
    """

    __slots__ = ("_bounds", "_exemplars_at", "_memory", "_next", "_place", "attributes", "pending", "room")

    batched = True

    def __init__(
        self,
        place: Place,
        kind: str,
        attributes: Mapping[str, Any],
        bounds: Sequence[float] = (),
        exemplars_at: int = 0,
    ) -> None:
        taker: list[float]
        if kind == "counting":
            taker = _Counting(place, bounds)
        elif kind == "setting":
            taker = _Setting(place)
        else:
            taker = _Adding(place)
        self.pending: list[float] = _Locked(taker) if _FREE_THREADED else taker
        self.room = 1  # nothing is ever pending
        self.attributes = attributes
        self._place = place
        self._bounds = bounds
        self._memory = place.memory
        self._exemplars_at = 8 * (place.at + exemplars_at) if exemplars_at else 0
        self._next = [0.0] * (len(bounds) + 1)

    def counted(self) -> tuple[float, float]:
        """Of a histogram: how many values there were, and their sum. Of others: the value, twice."""
        slots, at = self._place.slots, self._place.at
        if not self._bounds:
            return slots[at], slots[at]
        end = at + len(self._bounds) + 1
        return sum(slots[at:end]), slots[end]

    def full(self) -> bool:
        """Say that the cell is still in use, as the handles ask."""
        return True

    def keep(self, value: float, span: SpanContext, _attributes: Any) -> None:
        """Keep an exemplar for the value's bucket, at most one in a second."""
        if not self._exemplars_at:
            return
        bucket = bisect_left(self._bounds, value)
        now = time()
        if now >= self._next[bucket]:
            self._next[bucket] = now + _EXEMPLAR_SECONDS
            _exemplar.write(self._memory, self._exemplars_at + _exemplar.SIZE * bucket, now, value, span)

    def aggregate(self, measurement: Any, should_sample_exemplar: bool = True) -> None:
        """Take one measurement by the SDK's interface."""
        self.pending.append(measurement.value)
        if should_sample_exemplar:
            span = get_current_span(measurement.context).get_span_context()
            if span.trace_id:
                self.keep(measurement.value, span, None)


class ObservedCell:
    """A series whose value is read, not added up."""

    def __init__(self, place: Place, monotonic: bool) -> None:
        self._slots, self._at = place.slots, place.at
        self._monotonic = monotonic
        self._before = self._last = 0.0
        self.seen = True

    def observe(self, value: float) -> None:
        """Take what a callback says. A counter that begins again goes on from where it was."""
        self.seen = True
        if self._monotonic:
            if not value >= 0:
                return  # negative or NaN: no value of a counter
            if value < self._last:
                self._before += self._last
            self._last = value
            value += self._before
        self._slots[self._at] = value

    def vanish(self, nothing: float) -> None:
        """Have no value, as the callback gave none; a counter stays where it was."""
        if not self._monotonic:
            self._slots[self._at] = nothing
