"""The periodic reader: exports on time, and keeps its time limits with exporters that are slow or hang."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk.metrics.export import MetricExporter, MetricExportResult, MetricsData

from ada_otel._diagnostics import forget_reports
from ada_otel.pipeline.metrics import MeterProvider, PeriodicReader


class Exporter(MetricExporter):
    """Keeps the value of the one counter at each export; waits for ``go`` first."""

    def __init__(self, result: MetricExportResult = MetricExportResult.SUCCESS) -> None:
        super().__init__()
        self.result = result
        self.go = threading.Event()
        self.go.set()
        self.entered = threading.Event()
        self.seen: list[float] = []
        self.flushed = self.shut = 0
        self.inside = self.overlaps = 0

    def export(self, metrics_data: MetricsData, timeout_millis: float = 0, **_: Any) -> MetricExportResult:
        self.inside += 1
        self.overlaps += self.inside > 1
        self.entered.set()
        self.go.wait()
        (metric,) = metrics_data.resource_metrics[0].scope_metrics[0].metrics
        self.seen.append(metric.data.data_points[0].value)  # type: ignore[union-attr]
        self.inside -= 1
        return self.result

    def force_flush(self, timeout_millis: float = 0) -> bool:
        self.flushed += 1
        return True

    def shutdown(self, timeout_millis: float = 0, **_: Any) -> None:
        self.shut += 1


@pytest.fixture(autouse=True)
def _fresh_reports() -> None:
    forget_reports()


@pytest.fixture
def exporter() -> Iterator[Exporter]:
    made = Exporter()
    yield made
    made.go.set()


def start(exporter: Exporter, interval: float = math.inf) -> tuple[PeriodicReader, MeterProvider, Any]:
    reader = PeriodicReader(exporter, interval)
    provider = MeterProvider([reader], shutdown_on_exit=False)
    return reader, provider, provider.get_meter("scope").create_counter("c")


def test_it_exports_at_each_interval_and_once_more_at_shutdown(exporter: Exporter) -> None:
    reader, provider, counter = start(exporter, 20)
    counter.add(1)
    deadline = time.monotonic() + 10
    while len(exporter.seen) < 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    counter.add(1)
    provider.shutdown()
    assert exporter.seen[:2] == [1, 1]
    assert exporter.seen[-1] == 2
    assert exporter.shut == 1
    assert not reader._daemon_thread.is_alive()  # type: ignore[union-attr]


def test_force_flush_exports_what_was_recorded_before_it(exporter: Exporter) -> None:
    reader, provider, counter = start(exporter, 3_600_000)
    for expected in (1, 2, 3):
        counter.add(1)
        assert provider.force_flush()
        assert exporter.seen[-1] == expected
    assert exporter.flushed == 3
    provider.shutdown()
    assert reader.force_flush() is False


def test_an_infinite_interval_exports_only_when_asked(exporter: Exporter) -> None:
    reader, provider, counter = start(exporter)
    assert reader._daemon_thread is None
    counter.add(1)
    assert reader.force_flush()
    provider.shutdown()
    assert exporter.seen == [1, 1]


def test_an_interval_of_zero_is_refused(exporter: Exporter) -> None:
    with pytest.raises(ValueError, match="needs to be larger than zero"):
        PeriodicReader(exporter, 0)


def test_force_flush_and_shutdown_keep_their_time_limit_with_an_exporter_that_hangs(
    exporter: Exporter, caplog: pytest.LogCaptureFixture
) -> None:
    reader, provider, counter = start(exporter)
    exporter.go.clear()
    counter.add(1)
    began = time.monotonic()
    assert reader.force_flush(timeout_millis=200) is False
    assert exporter.entered.is_set()
    assert 0.15 < time.monotonic() - began < 2
    began = time.monotonic()
    provider.shutdown(timeout_millis=300)
    assert 0.25 < time.monotonic() - began < 2
    assert "could not be exported within" in caplog.text
    exporter.go.set()
    reader._daemon_thread.join(10)  # type: ignore[union-attr]
    # Past its time limit it exports no more, and still shuts the exporter down.
    assert exporter.seen == [1]
    assert exporter.shut == 1


def test_a_slow_export_under_way_is_waited_for_within_the_limit(exporter: Exporter) -> None:
    _, provider, counter = start(exporter, 10)
    exporter.go.clear()
    counter.add(1)
    assert exporter.entered.wait(10)
    counter.add(1)
    threading.Timer(0.2, exporter.go.set).start()
    provider.shutdown(timeout_millis=10_000)
    assert (exporter.seen[0], exporter.seen[-1]) == (1, 2)
    assert exporter.shut == 1
    assert exporter.overlaps == 0


def test_force_flush_says_that_an_export_failed() -> None:
    exporter = Exporter(MetricExportResult.FAILURE)
    reader, provider, counter = start(exporter)
    counter.add(1)
    assert reader.force_flush() is False
    assert exporter.seen == [1]
    provider.shutdown()


def test_a_callback_that_hangs_holds_nobody_up(exporter: Exporter) -> None:
    reader, provider, counter = start(exporter)
    go = threading.Event()

    def stuck(_: CallbackOptions) -> list[Observation]:
        go.wait()
        return []

    provider.get_meter("scope").create_observable_gauge("stuck", [stuck])
    began = time.monotonic()
    assert reader.force_flush(timeout_millis=100) is False
    counter.add(1)
    provider.get_meter("other").create_histogram("h").record(1, {"a": 1})
    provider.shutdown(timeout_millis=100)
    assert time.monotonic() - began < 2
    go.set()


def test_an_exporter_that_raises_does_not_stop_the_reader(exporter: Exporter) -> None:
    reader, provider, counter = start(exporter, 20)
    counter.add(1)
    broken = [True]
    export = exporter.export

    def sometimes(metrics_data: MetricsData, timeout_millis: float = 0, **_: Any) -> MetricExportResult:
        if broken:
            broken.pop()
            raise OSError("no route")
        return export(metrics_data, timeout_millis)

    exporter.export = sometimes  # type: ignore[method-assign]
    assert reader.force_flush() is False
    assert reader.force_flush() is True
    assert exporter.seen[-1] == 1
    provider.shutdown()


def test_direct_collections_do_not_overlap_with_the_thread(exporter: Exporter) -> None:
    reader, provider, counter = start(exporter, 1)
    counter.add(1)
    for _ in range(200):
        reader.collect()
    provider.shutdown()
    assert exporter.overlaps == 0
    assert len(exporter.seen) >= 200
