"""The meter provider: the SDK's, with our consumer behind it and a fresh start in each forked process."""

from __future__ import annotations

from collections.abc import Sequence
from threading import Event, Lock
from typing import Any

from opentelemetry import metrics as api
from opentelemetry.sdk import metrics as sdk
from opentelemetry.sdk.metrics._internal import Meter
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, MetricReader, PeriodicExportingMetricReader
from opentelemetry.sdk.metrics.view import View
from opentelemetry.sdk.resources import Resource, _build_resource_detectors
from opentelemetry.util._once import Once
from opentelemetry.util.types import Attributes

from ada_otel._diagnostics import contained, report
from ada_otel.pipeline.fork import check_pid, on_fork
from ada_otel.pipeline.metrics import _shape
from ada_otel.pipeline.metrics._instruments import adopt
from ada_otel.pipeline.metrics._reader import PeriodicReader
from ada_otel.pipeline.metrics._storage import Consumer


class _Meter(Meter):
    """A meter that hands out our instruments. The SDK's code still names, checks and registers them."""

    _limit: int

    def _set_meter_config(self, meter_config: Any) -> None:
        super()._set_meter_config(meter_config)
        # Bound handles look whether the meter is enabled when they look for their cells.
        consumer: Any = self._measurement_consumer
        consumer.epoch = object()

    def create_counter(self, name: str, unit: str = "", description: str = "") -> api.Counter:
        return adopt(super().create_counter(name, unit, description), self._limit)

    def create_up_down_counter(self, name: str, unit: str = "", description: str = "") -> api.UpDownCounter:
        return adopt(super().create_up_down_counter(name, unit, description), self._limit)

    def create_histogram(
        self,
        name: str,
        unit: str = "",
        description: str = "",
        *,
        explicit_bucket_boundaries_advisory: Sequence[float] | None = None,
    ) -> api.Histogram:
        made = super().create_histogram(
            name, unit, description, explicit_bucket_boundaries_advisory=explicit_bucket_boundaries_advisory
        )
        return adopt(made, self._limit)

    def create_gauge(self, name: str, unit: str = "", description: str = "") -> api._Gauge:
        return adopt(super().create_gauge(name, unit, description), self._limit)


class MeterProvider(sdk.MeterProvider):
    """A drop-in for the SDK's ``MeterProvider``.

    In a forked process all sums start from zero, at the time of their first value there: the parent reports
    its own. Counters and histograms so never repeat what another process counted, and as each process has its
    ``service.instance.id``, no series jumps. An up-down counter starts from zero too, so that the sum over
    the processes is right when one adds what another takes away; a gauge has no value until it is set.

    Args:
        metric_readers: As in the SDK.
        resource: As in the SDK.
        exemplar_filter: As in the SDK; ``trace_based`` by default.
        shutdown_on_exit: As in the SDK.
        views: As in the SDK.
        cardinality_limit: Attribute sets for each metric and reader; what is past it is counted together, as
            ``otel.metric.overflow=true``.
        _meter_configurator: As in the SDK.

    Raises:
        ValueError: ``cardinality_limit`` is less than 1.
    """

    def __init__(
        self,
        metric_readers: Sequence[MetricReader] = (),
        resource: Resource | None = None,
        exemplar_filter: sdk.ExemplarFilter | None = None,
        shutdown_on_exit: bool = True,
        views: Sequence[View] = (),
        *,
        cardinality_limit: int = 2000,
        _meter_configurator: Any = None,
    ) -> None:
        if cardinality_limit < 1:
            raise ValueError(f"cardinality_limit is {cardinality_limit}; it must be 1 or more")
        problem = _shape.problem()
        self._ours = problem is None
        super().__init__(
            () if self._ours else metric_readers,
            resource,
            exemplar_filter,
            shutdown_on_exit,
            views,
            _meter_configurator=_meter_configurator,
        )
        if problem is not None:
            report(
                "metrics-shape",
                "This version of opentelemetry-sdk keeps metrics in another way than ada-otel knows "
                f"({problem}). Metrics are recorded by the stock SDK: right, but slower, without a "
                "cardinality limit, and not safe in processes forked after start-up.",
            )
            return
        self._limit = cardinality_limit
        self._consumer = Consumer(self._sdk_config, metric_readers, cardinality_limit)
        self._measurement_consumer = self._consumer
        self._metric_readers = metric_readers
        on_fork(self._renew)
        for reader in metric_readers:
            self._register(reader)

    def get_meter(
        self,
        name: str,
        version: str | None = None,
        schema_url: str | None = None,
        attributes: Attributes = None,
    ) -> api.Meter:
        """Give a meter, as the SDK does."""
        meter = super().get_meter(name, version, schema_url, attributes)
        if self._ours and type(meter) is Meter:
            meter.__dict__["_limit"] = self._limit
            meter.__class__ = _Meter
        return meter

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        """Collect and export now, as the SDK does."""
        self._take_up()
        return super().force_flush(timeout_millis)

    def shutdown(self, timeout_millis: float = 30_000) -> None:
        """Collect and export for the last time, as the SDK does."""
        self._take_up()
        super().shutdown(timeout_millis)

    def _take_up(self) -> None:
        check_pid()
        if self._ours:
            # For readers that are not told: those that were added later, such as that of the metrics page.
            self._consumer.fold()

    def _register(self, reader: MetricReader) -> None:
        with self._all_metric_readers_lock:
            if reader in self._all_metric_readers:
                raise ValueError(f"MetricReader {reader} belongs to another MeterProvider already")
            self._all_metric_readers.add(reader)
        collect: Any = self._consumer.collect  # the SDK annotates the callback wrongly
        reader._set_collect_callback(collect)
        reader._set_meter_provider(self)

    def _handle_fork(self) -> None:
        # The SDK registers this with the interpreter; ours goes by pipeline.fork, in order with the rest.
        if not self._ours:
            super()._handle_fork()

    def _renew(self) -> None:
        try:
            for meter in self._meters.values():
                meter._instrument_registration_lock = Lock()
            if not self._shutdown:
                self._shutdown_once = Once()
            for reader in self._consumer._reader_storages:
                _renew_stock_reader(reader)
            self._lock = Lock()
            self._meter_lock = Lock()
            type(self)._all_metric_readers_lock = Lock()
            self._update_resource(_process_resource())
        finally:
            # Last, as readers may collect from here on: never under the parent's service.instance.id.
            self._consumer.renew()


def _process_resource() -> Resource:
    """Give the attributes that differ from process to process, from the same detectors as the SDK.

    The SDK asks them from a thread pool. In a fork hook that waits for ever if the hook was registered before
    ``concurrent.futures.thread`` was imported: the lock that this module takes around a fork is still held.
    """
    found = Resource.get_empty()
    for detector in _build_resource_detectors():
        if detector.is_process_dependent():
            with contained(f"Resource detector {type(detector).__name__}"):
                found = found.merge(detector.detect())
    return found


def _renew_stock_reader(reader: MetricReader) -> None:
    """Make new what the SDK's readers keep of the parent: locks that were held, points not yet read."""
    known: Any = reader
    if isinstance(reader, PeriodicExportingMetricReader) and not isinstance(reader, PeriodicReader):
        known._export_lock = Lock()
        known._shutdown_event = Event()
    elif isinstance(reader, InMemoryMetricReader):
        known._lock = type(known._lock)()
        known._metrics_data = None
    elif hasattr(known, "_collector"):  # PrometheusMetricReader, whose package may not be there
        known._collector._metrics_datas.clear()
        known._collector._target_info = None
