"""Requests of this process, from the sums that the metrics pipeline has anyway: it costs them nothing."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from opentelemetry import metrics

from ada_otel._diagnostics import contained

_DURATION = "http.server.request.duration"
_ACTIVE = "http.server.active_requests"


class Totals(NamedTuple):
    """Sums since the start of the process.

    Attributes:
        ended: Requests that have ended.
        seconds: The sum of their durations.
        failed: Those that ended with a 5xx status or an exception.
        active: Requests under way.
    """

    ended: float = 0
    seconds: float = 0.0
    failed: float = 0
    active: float = 0


class Requests:
    """Response time and error rate of the last window, and the check on them.

    Attributes:
        active: Requests under way at the last look.
        response_time: Mean seconds of the requests that ended in the window; NaN if none did.
        error_rate: The share of them that failed, from 0 to 1; NaN if none ended.
    """

    def __init__(self) -> None:
        self._before = Totals()
        self.active = self.response_time = self.error_rate = math.nan

    def look(self) -> None:
        """End the window and begin the next."""
        now = None
        with contained("Reading the sums of requests"):
            now = totals()
        if now is None:
            self.active = self.response_time = self.error_rate = math.nan
            return
        before, self._before = self._before, now
        if now.ended < before.ended:  # a fork, or delta temporality: the sums have begun again
            before = Totals()
        ended = now.ended - before.ended
        self.active = now.active
        self.response_time = (now.seconds - before.seconds) / ended if ended else math.nan
        self.error_rate = (now.failed - before.failed) / ended if ended else math.nan


def totals() -> Totals | None:
    """The sums now; None where the metrics are not ours to read (no fast path, or no reader)."""
    from ada_otel.pipeline.metrics import MeterProvider

    provider = metrics.get_meter_provider()
    if not isinstance(provider, MeterProvider) or not provider._ours:
        return None
    provider._consumer.fold()
    for storage in list(provider._consumer._reader_storages.values()):
        found = getattr(storage, "_instrument_view_instrument_matches", None)
        if found is not None:
            return _sum(found)
        if hasattr(storage, "counted"):  # the page of metrics alone reads them
            return _sum_shared(storage.counted)
    return None


def _sum_shared(counted: Any) -> Totals:
    ended = list(counted(_DURATION))
    return Totals(
        sum(count for _, count, _ in ended),
        sum(seconds for _, _, seconds in ended),
        sum(count for attributes, count, _ in ended if "error.type" in attributes),
        max(0.0, sum(active for _, active, _ in counted(_ACTIVE))),
    )


def _sum(found: Any) -> Totals:
    count = seconds = failed = active = 0.0
    for instrument, matches in list(found.items()):
        if instrument.name not in {_DURATION, _ACTIVE} or not matches:
            continue
        for cell in list(matches[0]._attributes_aggregation.values()):
            with cell._lock:
                cell._fold_pending()
                held = cell.aggregation
                if instrument.name == _ACTIVE:
                    active += (held._value or 0) + held._previous_value
                    continue
                ended = _count(held)
                seconds += held._sum + held._previous_sum
            count += ended
            if "error.type" in (cell.attributes or ()):
                failed += ended
    return Totals(count, seconds, failed, max(0.0, active))


def _count(held: Any) -> float:
    """What a histogram has counted: with explicit buckets they are added up, an exponential one has it."""
    if hasattr(held, "_count"):
        return float(held._count + (held._previous_count or 0))
    return float(sum(held._value or ()) + sum(held._previous_value or ()))
