"""The sizing page's arithmetic, and the two programs of its benchmark. Nothing here asserts a timing."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from ada_otel import settings
from benchmarks.processes import PROGRAMS
from benchmarks.programs import otlp_load
from benchmarks.sizing.__main__ import PAGE, RESULTS
from benchmarks.sizing.page import render


def _row(cpu_us: float, per_second: int) -> dict[str, Any]:
    per_core = round(1e6 / cpu_us)
    return {"cpu_us": cpu_us, "per_second": per_second, "per_core_second": per_core, "bytes_per_item": 300}


FIGURES: dict[str, Any] = {
    "run": {
        "date": "2026-01-02",
        "short": False,
        "machine": "x86_64",
        "cores": 4,
        "load_average": [0.1, 0.2],
        "rounds": 5,
        "round_seconds": 8.0,
        "versions": {"otelcol": "1.2.3"},
    },
    "collector": {
        "signals": {
            "spans": {"bare": _row(4, 400_000), "ours": _row(40, 30_000), "no_hop": _row(32, 40_000)},
            "log_records": {"bare": _row(5, 300_000), "ours": _row(50, 20_000), "no_hop": _row(40, 25_000)},
            "metric_points": {"bare": _row(2, 600_000), "ours": _row(20, 50_000)},
        },
        "peak_mib": {"bare": 100, "ours": 200, "no_hop": 150},
    },
    "storage": {
        "requests": 1000,
        "seconds": 130,
        "elasticsearch": {
            "logs": {"documents": 2000, "bytes": 1_000_000},
            "traces": {"documents": 4000, "bytes": 2_000_000, "spans": 3000},
        },
        "prometheus": {
            "samples": 100_000,
            "block_series": 900,
            "bytes": 150_000,
            "series": {"app": 800, "rules": 100},
        },
        "sentry": {"traces": {"items": 3000, "bytes": 300_000}, "logs": {"items": 2000, "bytes": 200_000}},
    },
}


def test_the_page_is_made_of_the_results() -> None:
    assert PAGE.read_text(encoding="utf-8") == render(json.loads(RESULTS.read_text(encoding="utf-8")))


@pytest.mark.parametrize(
    "line",
    [
        "| Elasticsearch, logs | 2.0 | 500 | 1 GB |",
        "| Elasticsearch, traces | 4.0 | 500 | 2 GB |",
        "| Sentry, traces, as sent | 3.0 | 100 | 300 MB |",
        # 800 series, 5760 samples a day, 1.5 bytes each.
        "| the app, one worker | 800 | 15 s | 6.91 MB |",
        "| recording rules | 100 | 15 s | 864 kB |",
        "| spans | `otelcol.yaml` | 30,000 | 25,000 | 40.0 | 0.10 |",
        "| metric points | OTLP to nothing | 600,000 | 500,000 | 2.0 |  |",
        # 3 spans of 40 µs and 2 lines of 50 µs: 220 µs for a request.
        "One core takes what about 4,550 requests per second of the example app send",
        "spans: +25% CPU, -25% per second; log records: +25% CPU, -20% per second",
        # 10 a second, 3 kB each; with a tenth of the traces 1.2 kB.
        "30 days are 77.8 GB in Elasticsearch, and 31.1 GB when one trace in ten is kept",
        "A sample takes 1.50 bytes",
    ],
)
def test_the_page_says_what_was_measured(line: str) -> None:
    assert line in render(FIGURES)


def test_the_app_sends_as_often_as_the_page_says() -> None:
    environ: dict[str, str] = {}
    settings.apply_defaults(environ)
    milliseconds = environ["OTEL_METRIC_EXPORT_INTERVAL"]
    assert f"| the app, one worker | 800 | {int(milliseconds) // 1000} s |" in render(FIGURES)


def test_a_short_try_is_called_one() -> None:
    short = {**FIGURES, "run": {**FIGURES["run"], "short": True}}
    assert "short try" in render(short)
    assert "short try" not in render(FIGURES)


def test_a_request_of_the_load_has_as_many_items_as_an_sdk_sends() -> None:
    traces = ExportTraceServiceRequest.FromString(otlp_load.spans(1))
    spans = traces.resource_spans[0].scope_spans[0].spans
    assert len({span.span_id for span in spans}) == otlp_load.BATCH
    assert len({span.trace_id for span in spans}) == otlp_load.BATCH / 4
    assert sum(not span.parent_span_id for span in spans) == otlp_load.BATCH / 4
    logs = ExportLogsServiceRequest.FromString(otlp_load.log_records(1))
    assert len(logs.resource_logs[0].scope_logs[0].log_records) == otlp_load.BATCH
    metrics = ExportMetricsServiceRequest.FromString(otlp_load.metric_points(1))
    counter, histogram = metrics.resource_metrics[0].scope_metrics[0].metrics
    points = [*counter.sum.data_points, *histogram.histogram.data_points]
    assert len(points) == otlp_load.BATCH
    assert all(sum(point.bucket_counts) == point.count for point in histogram.histogram.data_points)


@pytest.fixture
def back_ends() -> Iterator[http.client.HTTPConnection]:
    command = [sys.executable, str(PROGRAMS / "null_back_ends.py")]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    assert process.stdout is not None
    connection = http.client.HTTPConnection("127.0.0.1", int(process.stdout.readline()), timeout=20)
    yield connection
    connection.close()
    process.stdin.close()
    assert process.wait(20) == 0
    process.stdout.close()


def test_the_stand_in_takes_all_on_one_connection(back_ends: http.client.HTTPConnection) -> None:
    bodies: tuple[Any, ...] = (b"x" * 100_000, iter([b"in", b"chunks"]))
    for body in bodies:
        back_ends.request("POST", "/ada-logs-app/_bulk?pretty", body)
        answer = back_ends.getresponse()
        assert answer.headers["X-Elastic-Product"] == "Elasticsearch"
        assert json.loads(answer.read()) == {"took": 1, "errors": False, "items": []}
    back_ends.request("POST", "/v1/metrics", b"points")
    answer = back_ends.getresponse()
    assert (answer.status, answer.read()) == (200, b"")
