"""Whether the SDK is built as we lean on it; asked once, before the first provider is made."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

from opentelemetry.context import Context
from opentelemetry.sdk.metrics._internal import Meter, MeterProvider
from opentelemetry.sdk.metrics._internal._view_instrument_match import _ViewInstrumentMatch
from opentelemetry.sdk.metrics._internal.aggregation import (
    AggregationTemporality,
    _ExplicitBucketHistogramAggregation,
    _LastValueAggregation,
    _SumAggregation,
)
from opentelemetry.sdk.metrics._internal.instrument import _Asynchronous, _Synchronous
from opentelemetry.sdk.metrics._internal.measurement import Measurement
from opentelemetry.sdk.metrics._internal.measurement_consumer import SynchronousMeasurementConsumer
from opentelemetry.sdk.metrics._internal.metric_reader_storage import MetricReaderStorage
from opentelemetry.sdk.metrics._internal.view import View
from opentelemetry.sdk.metrics.export import MetricReader, PeriodicExportingMetricReader

from ada_otel.pipeline.metrics._cells import cell_for
from ada_otel.pipeline.metrics._exemplars import LatestPerBucket, Uniform

# Function of the SDK → the attribute names that it must use, for our subclass to reach the same thing.
_NAMES: tuple[tuple[Callable[..., Any], str], ...] = (
    (_ViewInstrumentMatch.__init__, "_view _instrument _attributes_aggregation _lock _aggregation _name"),
    (_ViewInstrumentMatch.__init__, "_instrument_class_aggregation _exemplar_reservoir_factory"),
    (_ViewInstrumentMatch.consume_measurement, "_attribute_keys _attributes_aggregation"),
    (MetricReaderStorage.__init__, "_lock _sdk_config _instrument_view_instrument_matches"),
    (MetricReaderStorage.__init__, "_instrument_class_temporality _instrument_class_aggregation"),
    (MetricReaderStorage._get_or_init_view_instrument_match, "_handle_view_instrument_match"),
    (MetricReaderStorage.consume_measurement, "_get_or_init_view_instrument_match"),
    (MetricReaderStorage.collect, "_instrument_view_instrument_matches _aggregation _name _instrument"),
    (SynchronousMeasurementConsumer.__init__, "_lock _sdk_config _reader_storages _async_instruments"),
    (SynchronousMeasurementConsumer.collect, "_lock _reader_storages collect"),
    (MeterProvider.__init__, "_sdk_config _metric_readers _measurement_consumer _meters _shutdown_once"),
    (MeterProvider.__init__, "_all_metric_readers _set_collect_callback _set_meter_provider _handle_fork"),
    (MeterProvider._handle_fork, "_update_resource _all_metric_readers_lock"),
    (MeterProvider.get_meter, "_meters _measurement_consumer"),
    (Meter.__init__, "_instrument_registration_lock _measurement_consumer _meter_config"),
    (Meter._set_meter_config, "_meter_config"),
    (MeterProvider._set_meter_configurator, "_set_meter_config"),
    (_Synchronous.__init__, "_measurement_consumer _meter_config"),
    (_Asynchronous.callback, "_is_enabled _callbacks attributes context value name"),
    (View.__init__, "_attribute_keys _aggregation _exemplar_reservoir_factory"),
    (MetricReader.__init__, "_instrument_class_temporality _instrument_class_aggregation _collect"),
    (PeriodicExportingMetricReader.__init__, "_export_lock _exporter _shutdown_event _shutdown_once"),
    (PeriodicExportingMetricReader.__init__, "_daemon_thread _ticker _at_fork_reinit"),
    (PeriodicExportingMetricReader.__init__, "_export_interval_millis _export_timeout_millis"),
)

_VALUES = (3, 0, 0.25, 7.5, 7.5, 1e6)


@lru_cache(maxsize=1)
def problem() -> str | None:
    """Say in what the SDK differs from what we lean on, or ``None`` if in nothing."""
    try:
        return next(_differences(), None)
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def _differences() -> Iterator[str]:
    for function, names in _NAMES:
        code = function.__code__
        known = {*code.co_names, *code.co_varnames, *code.co_freevars}
        for constant in code.co_consts:
            known.update(getattr(constant, "co_names", ()))
        for name in names.split():
            if name not in known:
                yield f"{function.__qualname__} has no {name}"
    for temporality in (AggregationTemporality.CUMULATIVE, AggregationTemporality.DELTA):
        for make in (_sum, _last_value, _histogram):
            if _by_cell(make(), temporality) != _by_stock(make(), temporality):
                yield f"{make().__class__.__name__} sums in another way"


def _by_cell(aggregation: Any, temporality: AggregationTemporality) -> list[Any]:
    cell = cell_for(aggregation, {})
    if not cell.batched:
        raise TypeError(f"{type(aggregation).__name__} is not what it was")
    points = []
    for value in _VALUES:
        cell.pending.extend((value, 2 * value))
        points.append(cell.collect(temporality, 1))
    return points


def _by_stock(aggregation: Any, temporality: AggregationTemporality) -> list[Any]:
    points = []
    for value in _VALUES:
        for each in (value, 2 * value):
            aggregation.aggregate(Measurement(each, 0, None, Context()), False)  # type: ignore[arg-type]
        points.append(aggregation.collect(temporality, 1))
    return points


def _sum() -> Any:
    return _SumAggregation({}, True, AggregationTemporality.DELTA, 0, Uniform)  # type: ignore[arg-type]


def _last_value() -> Any:
    return _LastValueAggregation({}, Uniform, True)  # type: ignore[arg-type]


def _histogram() -> Any:
    boundaries = (0.25, 5.0, 10.0)
    delta = AggregationTemporality.DELTA
    return _ExplicitBucketHistogramAggregation({}, delta, 0, LatestPerBucket, boundaries)
