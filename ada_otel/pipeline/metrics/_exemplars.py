"""Exemplar reservoirs that choose as the SDK's do, with less work.

The stock reservoirs take a lock, search the bucket from the left and look the span up a second time. These
two store one tuple, at a bucket number that the caller knows already.
"""

from __future__ import annotations

from collections.abc import Mapping
from random import random
from time import time_ns
from typing import Any, TypeAlias

from opentelemetry.context import Context
from opentelemetry.sdk.metrics import (
    AlignedHistogramBucketExemplarReservoir,
    Exemplar,
    SimpleFixedSizeExemplarReservoir,
)
from opentelemetry.trace import SpanContext, get_current_span

Attributes: TypeAlias = Mapping[str, Any] | None

# Value, time in ns since 1970, all attributes of the measurement, and the span (None: recorded outside one).
_Kept: TypeAlias = tuple[float, int, Attributes, SpanContext | None]


def _span_context(context: Context | None) -> SpanContext | None:
    found = get_current_span(context).get_span_context()
    # Stock leaves the ids out for the one invalid span; no other span has the trace id 0.
    return found if found.trace_id else None


def _exemplars(kept: dict[int, _Kept], point_attributes: Mapping[str, Any]) -> list[Exemplar]:
    made = []
    for slot in sorted(kept):
        value, time, attributes, span = kept[slot]
        dropped = {k: v for k, v in attributes.items() if k not in point_attributes} if attributes else None
        made.append(
            Exemplar(dropped, value, time, span.span_id if span else None, span.trace_id if span else None)
        )
    return made


class LatestPerBucket(AlignedHistogramBucketExemplarReservoir):
    """Keeps the last measurement of each histogram bucket, as its parent does.

    Attributes:
        kept: By the bucket's number; whoever knows that puts the measurement there.
    """

    def __init__(self, boundaries: Any, **kwargs: Any) -> None:
        super().__init__(boundaries, **kwargs)
        self.kept: dict[int, _Kept] = {}

    def offer(self, value: float, time_unix_nano: int, attributes: Any, context: Context) -> None:
        """Take a measurement by the SDK's interface."""
        bucket = self._find_bucket_index(value, time_unix_nano, attributes, context)
        self.kept[bucket] = (value, time_unix_nano, attributes, _span_context(context))

    def collect(self, point_attributes: Any) -> list[Exemplar]:
        """Give what was kept since the last time, lowest bucket first."""
        # copy(): a writer that still holds the old dict may add to it while we read.
        kept, self.kept = self.kept, {}
        return _exemplars(kept.copy(), point_attributes) if kept else []


class Uniform(SimpleFixedSizeExemplarReservoir):
    """Keeps ``size`` measurements, each with the same chance, as its parent does."""

    def __init__(self, size: int = 1, **kwargs: Any) -> None:
        super().__init__(size, **kwargs)
        self._kept: dict[int, _Kept] = {}

    def keep(self, value: float, span: SpanContext | None, attributes: Attributes) -> None:
        """Keep ``value``, or not, by chance."""
        slot = self._slot()
        if slot < self._size:
            self._kept[slot] = (value, time_ns(), attributes, span)

    def offer(self, value: float, time_unix_nano: int, attributes: Any, context: Context) -> None:
        """Take a measurement by the SDK's interface."""
        slot = self._slot()
        if slot < self._size:
            self._kept[slot] = (value, time_unix_nano, attributes, _span_context(context))

    def collect(self, point_attributes: Any) -> list[Exemplar]:
        """Give what was kept since the last time."""
        kept, self._kept = self._kept, {}
        self._measurements_seen = 0
        return _exemplars(kept.copy(), point_attributes) if kept else []

    def _slot(self) -> int:
        seen = self._measurements_seen
        self._measurements_seen = seen + 1
        # The parent's randrange() makes the same choice at several times the cost.
        return seen if seen < self._size else int(random() * (seen + 1))  # noqa: S311  # no secret


def faster(builder: Any) -> Any:
    """Give our reservoir for a stock one, and anything else (a user's own) back as it is."""
    if builder is AlignedHistogramBucketExemplarReservoir:
        return LatestPerBucket
    if builder is SimpleFixedSizeExemplarReservoir:
        return Uniform
    return builder
