"""OTLP encoding, stock against ours: CPU per item, side by side in one run.

Both encode the same objects, in turns, so that what else the machine does hits both. Figures are process CPU
time, in microseconds per span, log record or data point; serialization to bytes is counted for both.
Attributes that differ from item to item (a path with an id, a duration) are part of the input: they miss the
caches, as they do in life.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs as stock_logs
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics as stock_metrics
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans as stock_spans
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import (
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)
from opentelemetry.version import __version__ as api_version

from ada_otel.pipeline import encoder

BATCH = 512
_RESOURCE = Resource({"service.name": "bench", "service.version": "1", "deployment.environment.name": "test"})


def _spans(with_event: bool) -> list[Any]:
    """Server spans of 10 attributes; every 8th path is a new one."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(resource=_RESOURCE)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("flask", "1")
    for n in range(BATCH):
        span = tracer.start_span("GET /items/<int:i>", kind=SpanKind.SERVER)
        span.set_attributes(
            {
                "http.request.method": "GET",
                "url.scheme": "http",
                "server.address": "localhost",
                "server.port": 80,
                "url.path": f"/items/{n // 8}",
                "client.address": "127.0.0.1",
                "user_agent.original": "Mozilla/5.0 (X11; Linux x86_64)",
                "network.protocol.version": "1.1",
                "http.route": "/items/<int:i>",
                "http.response.status_code": 200,
            }
        )
        if with_event:
            _record_error(span, n)
            span.set_status(StatusCode.ERROR, "ValueError")
        span.end()
    return list(exporter.get_finished_spans())


def _record_error(span: Span, n: int) -> None:
    try:
        int(f"item {n}")
    except ValueError as error:
        span.record_exception(error)


def _log_records() -> list[Any]:
    """Records inside a span, a message of its own each, 6 attributes."""
    exporter = InMemoryLogRecordExporter()
    provider = LoggerProvider(resource=_RESOURCE)
    provider.add_log_record_processor(SimpleLogRecordProcessor(exporter))
    logger = provider.get_logger("app")
    for n in range(BATCH):
        span = NonRecordingSpan(SpanContext(n + 1 << 64, n + 1, False, TraceFlags(1)))
        logger.emit(
            LogRecord(
                timestamp=1_700_000_000_000_000_000 + n,
                context=set_span_in_context(span),
                severity_number=SeverityNumber.INFO,
                severity_text="INFO",
                body=f"item {n} was sold to customer {n * 7}",
                attributes={
                    "code.file.path": "/app/shop/items.py",
                    "code.function.name": "sell",
                    "code.line.number": 128,
                    "item": n,
                    "price": n * 1.5,
                    "http.request.id": f"request-{n // 4}",
                },
            )
        )
    return list(exporter.get_finished_logs())


def _metrics(points: int = 200) -> Any:
    """One collection: half of the points histograms of 15 buckets, the rest sums and gauges."""
    reader = InMemoryMetricReader()
    meter = MeterProvider([reader], _RESOURCE).get_meter("flask", "1")
    duration = meter.create_histogram("http.server.request.duration", "s")
    requests = meter.create_counter("requests", "1")
    size = meter.create_gauge("size", "By")
    for n in range(points // 4):
        attributes = {"http.request.method": "GET", "http.route": f"/route/{n}", "url.scheme": "http"}
        for status in (200, 500):
            for seconds in (0.003, 0.05, 0.7):
                duration.record(seconds, {**attributes, "http.response.status_code": status})
        requests.add(n, attributes)
        size.set(n / 3, attributes)
    return reader.get_metrics_data()


def _cpu(encode: Callable[[Any], bytes], items: Any, repeats: int) -> float:
    start = time.process_time_ns()
    for _ in range(repeats):
        encode(items)
    return (time.process_time_ns() - start) / repeats / 1000


def _compare(
    case: str, stock: Callable[[Any], Any], ours: Callable[[Any], bytes], items: Any, count: int, rounds: int
) -> dict[str, Any]:
    message = stock(items)
    if type(message).FromString(ours(items)) != message:
        raise SystemExit(f"{case}: the encoders disagree; a comparison of their speed would mean nothing")

    def stock_bytes(batch: Any) -> bytes:
        return bytes(stock(batch).SerializeToString())

    times: dict[str, list[float]] = {"stock": [], "ours": []}
    for _ in range(rounds):
        times["stock"].append(_cpu(stock_bytes, items, 1) / count)
        times["ours"].append(_cpu(ours, items, 5) / count)
    result: dict[str, Any] = {"case": case, "items": count, "bytes_per_item": len(ours(items)) / count}
    for name, values in times.items():
        result[name] = {"median_us": statistics.median(values), "min_us": min(values)}
    result["ratio_of_medians"] = result["stock"]["median_us"] / result["ours"]["median_us"]
    result["ratio_of_minima"] = result["stock"]["min_us"] / result["ours"]["min_us"]
    return result


def main(arguments: list[str]) -> int:
    """Print the table, and write the figures if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures here")
    parser.add_argument("--rounds", type=int, default=40, help="turns per encoder and case (default 40)")
    options = parser.parse_args(arguments)
    results = [
        _compare(
            "spans, 10 attributes", stock_spans, encoder.encode_spans, _spans(False), BATCH, options.rounds
        ),
        _compare(
            "spans, 10 attributes, exception event",
            stock_spans,
            encoder.encode_spans,
            _spans(True),
            BATCH,
            options.rounds,
        ),
        _compare(
            "log records, 6 attributes",
            stock_logs,
            encoder.encode_logs,
            _log_records(),
            BATCH,
            options.rounds,
        ),
        _compare(
            "metrics, 200 points", stock_metrics, encoder.encode_metrics, _metrics(), 200, options.rounds
        ),
    ]
    if encoder.fallbacks():
        raise SystemExit(f"the stock encoder took over, so these figures are not ours: {encoder.fallbacks()}")
    print(f"{'CPU per item, µs (median / min)':40s} {'stock':>15s} {'ours':>15s} {'ratio':>13s}")
    for result in results:
        columns = [
            f"{result[name]['median_us']:.2f} / {result[name]['min_us']:.2f}" for name in ("stock", "ours")
        ]
        ratio = f"{result['ratio_of_medians']:.1f} / {result['ratio_of_minima']:.1f}"
        print(f"{result['case']:40s} {columns[0]:>15s} {columns[1]:>15s} {ratio:>13s}")
    if options.json:
        versions = {
            "python": platform.python_version(),
            "opentelemetry": api_version,
            "protobuf": version("protobuf"),
        }
        options.json.write_text(json.dumps({"versions": versions, "results": results}, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
