"""What bound handles and callbacks of this process write to: one cell for each series."""

from __future__ import annotations

import math
from _thread import RLock
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from opentelemetry.metrics import Asynchronous
from opentelemetry.sdk.metrics._internal._view_instrument_match import _hash_attributes
from opentelemetry.sdk.metrics.export import MetricReader

from ada_otel._diagnostics import report
from ada_otel.web.metrics_page import _exemplar
from ada_otel.web.metrics_page._cells import ObservedCell, SharedCell
from ada_otel.web.metrics_page._file import WorkerFile
from ada_otel.web.metrics_page._series import series_of

_OVERFLOW = {"otel.metric.overflow": True}


class PageReader(MetricReader):
    """The reader of the page: with it, callbacks are asked, and write into the worker's file."""

    def _receive_metrics(self, metrics_data: Any, timeout_millis: float = 10_000, **kwargs: Any) -> None:
        """Do nothing: what was collected is in the file."""

    def shutdown(self, timeout_millis: float = 30_000, **kwargs: Any) -> None:
        """Do nothing: the file stays, and the next scrape of another worker takes it over."""


class SharedStorage:
    """The series of this process, with the interface of the SDK's ``MetricReaderStorage``.

    Views and aggregations of other readers do not matter here: the page has explicit buckets, as instruments
    advise them.

    Args:
        limit: Attribute sets for each metric; what is past it is counted together.
        make_file: Makes the file of this process; called when there is something to write.
    """

    def __init__(self, limit: int, make_file: Callable[[], WorkerFile]) -> None:
        self._limit = limit
        self._make_file = make_file
        self._fresh()

    def _fresh(self) -> None:
        self._lock = RLock()
        self._cells: dict[Any, dict[Any, Any]] = {}
        self._file: WorkerFile | None = None
        self._failed = False

    def renew(self) -> None:
        """Begin again, in a forked process: the file is the parent's."""
        self._fresh()

    @property
    def file(self) -> WorkerFile | None:
        """The file of this process, if anything was written."""
        return self._file

    def cells(self, instrument: Any, attributes: Any) -> Iterable[SharedCell]:
        """Give the cell that takes this attribute set; none where there is no room for it."""
        found = self._cell(instrument, attributes)
        return () if found is None else (found,)

    def consume_measurement(self, measurement: Any, should_sample_exemplar: bool = True) -> None:
        """Take one measurement by the SDK's interface."""
        cell = self._cell(measurement.instrument, measurement.attributes)
        if isinstance(cell, ObservedCell):
            cell.observe(measurement.value)
        elif cell is not None:
            cell.aggregate(measurement, should_sample_exemplar)

    def collect(self) -> None:
        """End a round of callbacks: what none of them spoke of has no value any more."""
        for instrument, cells in list(self._cells.items()):
            if isinstance(instrument, Asynchronous):
                for cell in list(cells.values()):
                    if cell is not None:
                        if not cell.seen:
                            cell.vanish(math.nan)
                        cell.seen = False

    def counted(self, name: str) -> Iterable[tuple[Mapping[str, Any], float, float]]:
        """What this process has recorded of a metric: attributes, number of values, and their sum."""
        for instrument, cells in list(self._cells.items()):
            if instrument.name == name:
                for cell in list(cells.values()):
                    if isinstance(cell, SharedCell):
                        yield (cell.attributes, *cell.counted())

    def _cell(self, instrument: Any, attributes: Any) -> Any:
        identity = _hash_attributes(attributes or {})
        cells = self._cells.get(instrument)
        if cells is not None and identity in cells:
            return cells[identity]
        with self._lock:
            cells = self._cells.setdefault(instrument, {})
            if identity in cells:
                return cells[identity]
            if len(cells) >= self._limit:
                attributes = _OVERFLOW
                identity = _hash_attributes(_OVERFLOW)
                if identity in cells:
                    return cells[identity]
            cells[identity] = made = self._make(instrument, attributes)
            return made

    def _make(self, instrument: Any, attributes: Any) -> Any:
        if self._failed:
            return None
        try:
            if self._file is None:
                self._file = self._make_file()
            return _cell_in(self._file, instrument, attributes)
        except (OSError, ValueError) as error:
            # Without room there is no page of this worker; the metrics go on to all other readers.
            self._failed = isinstance(error, OSError)
            report(
                "metrics-page:room",
                f"The page of metrics cannot keep series of {instrument.name!r} ({error}): they are missing "
                "there. Set ADA_OTEL_METRICS_FOLDER to a folder with room, best in memory.",
                exc=error,
            )
            return None


def _cell_in(file: WorkerFile, instrument: Any, attributes: Any) -> Any:
    series = series_of(instrument, attributes)
    key = series.key()
    if isinstance(instrument, Asynchronous):
        monotonic = series.kind == "observable_counter"
        return ObservedCell(file.add(key, 1, 0.0 if monotonic else math.nan), monotonic)
    if series.kind == "histogram":
        buckets = len(series.bounds) + 1
        place = file.add(key, buckets + 1 + _exemplar.SLOTS * buckets)
        return SharedCell(place, "counting", attributes or {}, series.bounds, buckets + 1)
    if series.kind == "gauge":
        return SharedCell(file.add(key, 2, math.nan), "setting", attributes or {})
    if series.kind == "counter":
        return SharedCell(file.add(key, 1 + _exemplar.SLOTS), "adding", attributes or {}, (), 1)
    return SharedCell(file.add(key, 1), "adding", attributes or {})
