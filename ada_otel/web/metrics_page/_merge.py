"""From the records of several workers to one value for each series."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from ada_otel.web.metrics_page import _exemplar
from ada_otel.web.metrics_page._exemplar import Exemplar
from ada_otel.web.metrics_page._file import Record, WorkerFile
from ada_otel.web.metrics_page._series import Series, parse


@dataclass
class Value:
    """The merged value of a series.

    What is to be added up is kept side by side, and added by ``math.fsum``: its result does not depend on the
    order. Added one by one, a sum can be less by its last bit when the order changes, and Prometheus takes
    that for a reset of the counter.

    Attributes:
        parts: The values of each worker: one number; of a histogram the buckets' counts, not cumulated, and
            then the sum; of a gauge that was set, the number and the time of setting.
        exemplars: By bucket; of a counter by 0.
    """

    parts: list[list[float]]
    exemplars: dict[int, Exemplar] = field(default_factory=dict)

    @property
    def values(self) -> list[float]:
        """All parts together."""
        if len(self.parts) == 1:
            return self.parts[0]
        return [math.fsum(column) for column in zip(*self.parts, strict=True)]

    def rest(self) -> list[float]:
        """What adding the parts up has rounded away."""
        return [math.fsum((*column, -total)) for total, *column in zip(self.values, *self.parts, strict=True)]


class Merged:
    """All series."""

    def __init__(self) -> None:
        self._found: dict[bytes, Value] = {}

    def add(self, records: Iterable[Record], *, alive: bool) -> None:
        """Take in a worker's records; of one that has ended, only what outlives it."""
        for record in records:
            try:
                series = parse(record.key)
            except ValueError:  # damaged, or of another release: left out, as if it were not there
                continue
            if (alive or series.archived) and len(record.values) >= _slots(series):
                self._add(series, record)

    def items(self) -> Iterator[tuple[Series, Value]]:
        """Each series that has a value."""
        for key, value in self._found.items():
            if not math.isnan(value.parts[0][0]):
                yield parse(key), value

    def write(self, file: WorkerFile) -> None:
        """Write what outlives workers to a file, in the form that workers write."""
        for key, value in self._found.items():
            series = parse(key)
            if series.archived:
                slots = _slots(series)
                buckets = _buckets(series)
                place = file.add(key, slots + _exemplar.SLOTS * buckets)
                place.slots[place.at : place.at + slots] = _doubles(value.values)
                for bucket, found in value.exemplars.items():
                    _exemplar.write_again(
                        place.memory, 8 * (place.at + slots) + _exemplar.SIZE * bucket, found
                    )
                rest = value.rest()
                if any(rest):
                    # A second record of the same key: so the archive is exact, and goes on being monotonic.
                    place = file.add(key, slots)
                    place.slots[place.at : place.at + slots] = _doubles(rest)

    def _add(self, series: Series, record: Record) -> None:
        slots = _slots(series)
        values = list(record.values[:slots])
        held = self._found.get(record.key)
        if held is None:
            held = self._found[record.key] = Value([values])
        else:
            held.parts = _merge(series, held.parts, values)
        for bucket in range(_buckets(series)):
            at = 8 * slots + _exemplar.SIZE * bucket
            found = _exemplar.read(record.raw, at) if at < len(record.raw) else None
            if found is not None:
                kept = held.exemplars.get(bucket)
                if kept is None or found.time > kept.time:
                    held.exemplars[bucket] = found


def _merge(series: Series, parts: list[list[float]], values: list[float]) -> list[list[float]]:
    held = parts[0]
    # A worker that has nothing to say of an observed value says NaN.
    if math.isnan(held[0]) or math.isnan(values[0]):
        return [values] if math.isnan(held[0]) else parts
    if series.merge in {"sum", "live"}:
        return [*parts, values]
    if series.merge == "latest":
        return [values] if values[1] >= held[1] else parts
    return [values] if values[0] > held[0] else parts


def _slots(series: Series) -> int:
    if series.kind == "histogram":
        return len(series.bounds) + 2
    return 2 if series.merge == "latest" else 1


def _buckets(series: Series) -> int:
    """How many places for exemplars its record has."""
    if series.kind == "histogram":
        return len(series.bounds) + 1
    return 1 if series.kind == "counter" else 0


def _doubles(values: list[float]) -> memoryview:
    return memoryview(array("d", values))
