"""The pipeline's own figures, as a snapshot and as metrics."""

from __future__ import annotations

import time
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.semconv._incubating.metrics import otel_metrics

from ada_otel.pipeline.export import stats
from ada_otel.pipeline.export.delivery import Delivery


@pytest.fixture(autouse=True)
def _fresh() -> None:
    stats._process.signals.clear()


class Queue:
    capacity = 100

    def __len__(self) -> int:
        return 3


def points() -> Any:
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], shutdown_on_exit=False)
    stats.register(provider.get_meter("test"))
    data = reader.get_metrics_data()
    assert data is not None
    found = {}
    for metric in data.resource_metrics[0].scope_metrics[0].metrics:
        points: Any = metric.data.data_points
        for point in points:
            found[
                metric.name, point.attributes.get("error.type"), point.attributes["otel.component.type"]
            ] = point.value
    return found


def test_figures_of_each_signal() -> None:
    queue = Queue()
    traces = stats.of("traces")
    traces.attach(queue)
    traces.delivered(Delivery(sent=10))
    traces.delivered(Delivery(sent=5, dropped={"rejected": 2}, error="400"))
    traces.drop("queue_full", 4)
    found = stats.snapshot()["traces"]
    assert abs(found.pop("last_success") - time.time()) < 5
    assert found == {
        "queued": 3,
        "capacity": 100,
        "sent": 15,
        "spooled": 0,
        "replayed": 0,
        "dropped": {"rejected": 2, "queue_full": 4},
        "last_error": "400",
        "consecutive_failures": 0,
    }
    span, exporter = "batching_span_processor", "otlp_http_span_exporter"
    measured = points()
    success = measured.pop(("ada.sdk.exporter.last_success", None, exporter))
    assert abs(success - time.time()) < 5
    assert measured == {
        ("otel.sdk.processor.span.queue.size", None, span): 3,
        ("otel.sdk.processor.span.queue.capacity", None, span): 100,
        ("otel.sdk.processor.span.processed", None, span): 17,
        ("otel.sdk.processor.span.processed", "queue_full", span): 4,
        ("otel.sdk.exporter.span.exported", None, exporter): 15,
        ("otel.sdk.exporter.span.exported", "rejected", exporter): 2,
        ("ada.sdk.exporter.consecutive_failures", None, exporter): 0,
    }


def test_failures_in_a_row_are_counted_until_one_arrives() -> None:
    logs = stats.of("logs")
    for _ in range(3):
        logs.delivered(Delivery(kept=[1], error="503"))
    assert stats.snapshot()["logs"]["consecutive_failures"] == 3
    assert points()["ada.sdk.exporter.consecutive_failures", None, "otlp_http_log_exporter"] == 3
    logs.delivered(Delivery(sent=1))
    assert stats.snapshot()["logs"]["consecutive_failures"] == 0
    assert stats.snapshot()["logs"]["last_error"] == "503"


def test_names_are_those_of_the_semantic_conventions() -> None:
    known = {value for name, value in vars(otel_metrics).items() if name.startswith("OTEL_SDK")}
    ours = {row.name for row in stats._FIGURES}
    assert {name for name in ours if name.startswith("otel.")} <= known
    assert {name for name in ours if not name.startswith("otel.")} == {
        "ada.sdk.exporter.last_success",
        "ada.sdk.exporter.consecutive_failures",
    }


def test_a_queue_that_is_gone_is_not_counted() -> None:
    import gc

    queue = Queue()
    stats.of("logs").attach(queue)
    assert stats.snapshot()["logs"]["queued"] == 3
    del queue
    gc.collect()
    assert stats.snapshot()["logs"]["queued"] == 0
