"""The SDK's storage of cells, with a limit on their number and a way to begin again after a fork."""

from __future__ import annotations

import os
from _thread import RLock
from collections.abc import Iterable, Mapping
from functools import partial
from time import time_ns
from typing import Any

from opentelemetry.metrics import Asynchronous, CallbackOptions
from opentelemetry.sdk.metrics._internal._view_instrument_match import _hash_attributes, _ViewInstrumentMatch
from opentelemetry.sdk.metrics._internal.aggregation import (
    AggregationTemporality,
    DefaultAggregation,
    _Aggregation,
    _DropAggregation,
)
from opentelemetry.sdk.metrics._internal.exceptions import MetricsTimeoutError
from opentelemetry.sdk.metrics._internal.measurement import Measurement
from opentelemetry.sdk.metrics._internal.measurement_consumer import SynchronousMeasurementConsumer
from opentelemetry.sdk.metrics._internal.metric_reader_storage import _DEFAULT_VIEW, MetricReaderStorage
from opentelemetry.sdk.metrics._internal.point import MetricsData
from opentelemetry.sdk.metrics._internal.sdk_configuration import SdkConfiguration
from opentelemetry.sdk.metrics.export import MetricReader
from opentelemetry.sdk.metrics.view import View

from ada_otel._diagnostics import report
from ada_otel.pipeline.fork import check_pid
from ada_otel.pipeline.metrics._cells import Cell, cell_for
from ada_otel.pipeline.metrics._exemplars import Attributes, faster
from ada_otel.pipeline.metrics._observed import Observed
from ada_otel.pipeline.metrics._tally import Tally

LIMIT_SETTING = "ADA_OTEL_METRIC_CARDINALITY_LIMIT"

# The specification's name for the set that takes what is past the limit (metrics SDK, "Cardinality limits").
OVERFLOW: Mapping[str, Any] = {"otel.metric.overflow": True}
_SDK_LIMIT = 2000
_OVERFLOW_KEY = _hash_attributes(OVERFLOW)


class CappedMatch(_ViewInstrumentMatch):
    """A stream of one instrument through one View, with at most ``_limit`` attribute sets and the overflow.

    Stock has no limit: a user id as an attribute grows it until the process is killed. The specification
    promises that as many sets as the limit says do fit, so the overflow set comes on top of it.
    """

    _limit: int
    _overflowed: bool
    _attributes_aggregation: dict[Any, Cell]  # type: ignore[assignment]  # of the same interface

    @classmethod
    def adopt(cls, match: _ViewInstrumentMatch, limit: int) -> CappedMatch:
        """Make a match that the SDK's own code has built and checked for conflicts into one of ours."""
        match.__class__ = cls
        assert isinstance(match, cls)
        # Since 1.45.2 the SDK has limits too, by View and by reader: one that is not its default was chosen.
        chosen = getattr(match, "_cardinality_limit", _SDK_LIMIT)
        by_view = getattr(match._view, "_aggregation_cardinality_limit", None)
        match._limit = limit if chosen == _SDK_LIMIT and by_view is None else chosen
        match._overflowed = False
        match._lock = RLock()  # type: ignore[assignment]
        return match

    def cell(self, attributes: Attributes) -> Cell | None:
        """Give the cell that takes measurements with ``attributes``, or ``None`` if a View drops them."""
        if isinstance(self._aggregation, _DropAggregation):
            return None
        kept = dict(attributes) if attributes else {}
        keys = self._view._attribute_keys
        if keys is not None:
            kept = {key: value for key, value in kept.items() if key in keys}
        identity = _hash_attributes(kept)
        cells = self._attributes_aggregation
        found = cells.get(identity)
        if found is not None:
            return found
        with self._lock:
            full = len(cells) - (_OVERFLOW_KEY in cells) >= self._limit
            if full:
                identity, kept = _OVERFLOW_KEY, dict(OVERFLOW)
            found = cells.get(identity)
            if found is None:
                found = cells[identity] = cell_for(self._new_aggregation(kept), kept)
        if full and not self._overflowed:
            self._overflowed = True
            self._report_overflow()
        return found

    def consume_measurement(self, measurement: Measurement, should_sample_exemplar: bool = True) -> None:
        cell = self.cell(measurement.attributes)
        if cell is not None:
            cell.aggregate(measurement, should_sample_exemplar)

    def collect(self, temporality: AggregationTemporality, start_nanos: int) -> Any:
        # Since 1.45.2 the SDK begins new aggregations after each delta collection. Our cells stay, as handles
        # hold them; those that know more than sums (an exponential histogram its scale) get a new one inside.
        reset = temporality is AggregationTemporality.DELTA and getattr(self, "_reset_on_collect", False)
        with self._lock:
            cells = list(self._attributes_aggregation.values())
            if reset:
                self._previous_collection_start_nanos = start_nanos
        points = []
        idle = []
        for cell in cells:
            renewed = self._new_aggregation(cell.attributes) if reset and not cell.batched else None
            point = cell.collect(temporality, start_nanos, renewed)
            if point is None:
                idle.append(cell)
            else:
                points.append(point)
        if temporality is AggregationTemporality.DELTA and len(cells) >= self._limit:
            self._release(idle, start_nanos)
        return points or None

    def _release(self, idle: list[Cell], start_nanos: int) -> None:
        """Give the places of attribute sets that a delta interval did not see to those that come next.

        The limit holds for each collection cycle then, as the specification has it.
        """
        if isinstance(self._instrument, Asynchronous):
            return  # deltas of observables are worked out from the value before
        with self._lock:
            self._previous_collection_start_nanos = start_nanos
            held = self._attributes_aggregation
            overflow = held.get(_OVERFLOW_KEY)
            for cell in idle if overflow is None or overflow in idle else [*idle, overflow]:
                identity = _hash_attributes(cell.attributes)
                del held[identity]
                # What was bound to the overflow looks for a place of its own, so that goes even when in use.
                if not cell.retire(partial(self._successor, cell.attributes), busy=cell is overflow):
                    held[identity] = cell

    def _successor(self, attributes: Attributes) -> Cell:
        found = self.cell(attributes)
        assert found is not None, "only a View that drops everything has no cells"
        return found

    def _new_aggregation(self, attributes: Attributes) -> _Aggregation[Any]:
        kind = self._view._aggregation
        if isinstance(kind, DefaultAggregation):
            kind = self._instrument_class_aggregation[type(self._instrument)]
        return kind._create_aggregation(
            self._instrument,
            attributes,
            lambda aggregation: faster(self._view._exemplar_reservoir_factory(aggregation)),
            getattr(self, "_previous_collection_start_nanos", None) or time_ns(),
        )

    def _report_overflow(self) -> None:
        report(
            f"cardinality:{self._instrument.instrumentation_scope.name}:{self._name}",
            f"Metric {self._name!r} has more than {self._limit} attribute sets; further ones are counted "
            "together under otel.metric.overflow=true. Take the attribute with many values (an id, a raw "
            f"path) off it, or raise {LIMIT_SETTING}.",
        )


class Storage(MetricReaderStorage):
    """What one reader collects from."""

    def __init__(self, sdk_config: SdkConfiguration, reader: MetricReader, limit: int) -> None:
        # Our instruments are subclasses; the SDK looks their preferences up by the exact class.
        super().__init__(
            sdk_config,
            _BySubclass(reader._instrument_class_temporality),
            _BySubclass(reader._instrument_class_aggregation),
        )
        self._limit = limit
        self.observed = Observed(self, 2 * limit)
        limits = getattr(reader, "_instrument_class_cardinality_limit", None)
        if limits is not None:
            self._instrument_class_cardinality_limit = _BySubclass(limits)

    def _get_or_init_view_instrument_match(self, instrument: Any) -> Any:
        matches = self._instrument_view_instrument_matches.get(instrument)
        if matches is not None:
            return matches
        with self._lock:
            matches = self._instrument_view_instrument_matches.get(instrument)
            if matches is None:
                matches = []
                self._handle_view_instrument_match(instrument, matches)
                if not matches:
                    # Since 1.45.2 the SDK has a method for it, which knows the limits of Views and readers.
                    new = getattr(self, "_new_view_instrument_match", None) or self._new_match
                    matches.append(new(_DEFAULT_VIEW, instrument))
                matches = [CappedMatch.adopt(match, self._limit) for match in matches]
                self._instrument_view_instrument_matches[instrument] = matches
        return matches

    def _new_match(self, view: View, instrument: Any) -> _ViewInstrumentMatch:
        return _ViewInstrumentMatch(view, instrument, self._instrument_class_aggregation)

    def cells(self, instrument: Any, attributes: Attributes) -> Iterable[Cell]:
        """Give the cells, one for each View that matches, that take this attribute set."""
        for match in self._get_or_init_view_instrument_match(instrument):
            cell = match.cell(attributes)
            if cell is not None:
                yield cell

    def renew(self) -> None:
        """Begin again, in a forked process: nothing counted, no lock from the parent."""
        self._lock = RLock()
        self._instrument_view_instrument_matches = {}
        self.observed.forget()


class _BySubclass(dict[Any, Any]):
    """Preferences by instrument class, found for subclasses too."""

    def __missing__(self, kind: type) -> Any:
        value = self[kind] = next(self[parent] for parent in kind.__mro__ if parent in self)
        return value


class Consumer(SynchronousMeasurementConsumer):
    """Hands measurements to the readers' storages.

    Attributes:
        epoch: A new object whenever cells that were handed out may no longer be the ones that are collected:
            a reader came or went, a meter was switched on or off, or the process was forked. Bound handles
            compare it before each value.
        tallies: What counts ones until it is asked.
    """

    def __init__(self, sdk_config: SdkConfiguration, readers: Iterable[MetricReader], limit: int) -> None:
        super().__init__(sdk_config, ())
        self._lock = RLock()  # type: ignore[assignment]
        self._limit = limit
        self._pid = os.getpid()
        self._reader_storages: Mapping[MetricReader, Storage] = {
            reader: Storage(sdk_config, reader, limit) for reader in readers
        }
        self.epoch = object()
        self.tallies: list[Tally] = []

    def fold(self) -> None:
        """Hand on what the tallies have counted, so that sums are up to now."""
        for tally in list(self.tallies):
            tally.fold()

    def cells(self, instrument: Any, attributes: Attributes) -> list[Cell]:
        """Give the cells, over all readers and Views, that take this attribute set."""
        return [
            cell
            for storage in self._reader_storages.values()
            for cell in storage.cells(instrument, attributes)
        ]

    def collect(self, metric_reader: MetricReader, timeout_millis: float = 10_000) -> MetricsData | None:
        check_pid()
        if self._pid != os.getpid():
            # A reader's thread that runs before this object is renewed must not see the parent's numbers.
            return None
        self.fold()
        with self._lock:
            storage: object = self._reader_storages[metric_reader]
            if isinstance(storage, Storage):
                self._observe(storage.observed, time_ns() + timeout_millis * 1e6)
                return storage.collect()
        # One that keeps its values elsewhere, as that of the metrics page does.
        return super().collect(metric_reader, timeout_millis)

    def _observe(self, observed: Observed, deadline: float) -> None:
        """Call the callbacks of all observable instruments, as the SDK does."""
        options = CallbackOptions()
        for instrument in self._async_instruments:
            left = deadline - time_ns()
            if left <= 0:
                raise MetricsTimeoutError("Timed out while executing callback")
            if left < options.timeout_millis * 1e6:
                options = CallbackOptions(timeout_millis=left / 1e6)
            observed.take(instrument, options, self._sdk_config.exemplar_filter)

    def add_metric_reader(self, metric_reader: MetricReader) -> None:
        with self._lock:
            storage = Storage(self._sdk_config, metric_reader, self._limit)
            self._reader_storages = {**self._reader_storages, metric_reader: storage}
            self.epoch = object()

    def remove_metric_reader(self, metric_reader: MetricReader) -> None:
        super().remove_metric_reader(metric_reader)
        self.epoch = object()

    def renew(self) -> None:
        """Begin again, in a forked process."""
        self._lock = RLock()  # type: ignore[assignment]
        for storage in self._reader_storages.values():
            storage.renew()
        self.epoch = object()
        for tally in self.tallies:
            tally.renew()
        self._pid = os.getpid()
