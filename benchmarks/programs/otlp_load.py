"""Sends OTLP to a collector as fast as it takes it, and prints as JSON what was sent.

``python otlp_load.py ADDRESS SIGNAL SECONDS CONNECTIONS``: requests of :data:`BATCH` items, as an SDK sends
them, made and encoded beforehand. A request that is refused is sent again.
"""

from __future__ import annotations

import http.client
import json
import os
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

#: Items in a request: the SDK's default.
BATCH = 512
#: Different requests of a connection, so that what is sent compresses no better than telemetry does.
_DIFFERENT = 8
_SPANS_OF_A_TRACE = 4
_ROUTES = 20
_BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)


def _set(attributes: Any, **values: str | float) -> None:
    for name, value in values.items():
        pair = attributes.add(key=name.replace("__", "."))
        if isinstance(value, str):
            pair.value.string_value = value
        elif isinstance(value, int):
            pair.value.int_value = value
        else:
            pair.value.double_value = value


def _resource(block: Any) -> None:
    _set(
        block.resource.attributes,
        service__name="load",
        service__instance__id="0c7f6d1e-8e0c-4a7e-9d0e-3f2a5b6c7d8e",
        service__version="1.2.3",
        deployment__environment__name="benchmark",
        host__name="load-1",
        telemetry__sdk__language="python",
        telemetry__sdk__name="opentelemetry",
    )


def spans(number: int) -> bytes:
    """A request of traces: a server span with queries below it."""
    request = ExportTraceServiceRequest()
    block = request.resource_spans.add()
    _resource(block)
    scope = block.scope_spans.add()
    scope.scope.name = "ada_otel.flask"
    now = time.time_ns()
    for index in range(BATCH):
        if index % _SPANS_OF_A_TRACE == 0:
            trace, parent = os.urandom(16), b""
        own = os.urandom(8)
        span = scope.spans.add(
            trace_id=trace,
            span_id=own,
            parent_span_id=parent,
            name=f"GET /items/<int:item> {index % _ROUTES}" if not parent else "SELECT items",
            kind=3 if parent else 2,
            start_time_unix_nano=now - 12_345_678 + index,
            end_time_unix_nano=now + index,
        )
        if parent:
            text = f"SELECT items.id, items.name, items.price FROM items WHERE items.id = ? /* {number} */"  # noqa: S608
            _set(
                span.attributes,
                db__system__name="postgresql",
                db__namespace="ada",
                db__operation__name="SELECT",
            )
            _set(span.attributes, db__query__text=text, server__address="db.internal", server__port=5432)
        else:
            parent = own
            _set(
                span.attributes,
                http__request__method="GET",
                http__response__status_code=200,
                url__scheme="http",
            )
            _set(
                span.attributes,
                http__route=f"/items/<int:item>/{index % _ROUTES}",
                url__path=f"/items/{index}",
            )
            _set(span.attributes, server__address="shop.example", client__address="192.0.2.17")
            _set(span.attributes, user_agent__original="Mozilla/5.0 (X11; Linux x86_64) Firefox/144.0")
            _set(span.attributes, request_id=f"{number:08x}-{index:08x}", network__protocol__version="1.1")
    return bytes(request.SerializeToString())


def log_records(number: int) -> bytes:
    """A request of log lines as of requests that were answered."""
    request = ExportLogsServiceRequest()
    block = request.resource_logs.add()
    _resource(block)
    scope = block.scope_logs.add()
    scope.scope.name = "ada_otel.requests"
    now = time.time_ns()
    for index in range(BATCH):
        record = scope.log_records.add(
            time_unix_nano=now + index,
            observed_time_unix_nano=now + index,
            severity_number=9,
            severity_text="INFO",
            trace_id=os.urandom(16),
            span_id=os.urandom(8),
        )
        record.body.string_value = "Request completed"
        _set(record.attributes, http__request__method="GET", http__response__status_code=200)
        _set(
            record.attributes, http__route=f"/items/<int:item>/{index % _ROUTES}", url__path=f"/items/{index}"
        )
        _set(record.attributes, duration_seconds=0.0123 + index / 1e6, request_id=f"{number:08x}-{index:08x}")
        _set(record.attributes, user_id=str(index % 50), code__function__name="_answered")
        _set(record.attributes, code__file__path="/app/ada_otel/web/requests.py", code__line__number=121)
    return bytes(request.SerializeToString())


def metric_points(number: int) -> bytes:
    """A request of points: half of them of counters, half of histograms."""
    request = ExportMetricsServiceRequest()
    block = request.resource_metrics.add()
    _resource(block)
    scope = block.scope_metrics.add()
    scope.scope.name = "ada_otel"
    now = time.time_ns()
    counter = scope.metrics.add(name="load.requests", unit="{request}")
    counter.sum.aggregation_temporality, counter.sum.is_monotonic = 2, True
    histogram = scope.metrics.add(name="load.duration", unit="s")
    histogram.histogram.aggregation_temporality = 2
    for index in range(BATCH // 2):
        labels: dict[str, str | int | float] = {
            "http__request__method": "GET",
            "http__route": f"/route/{number}/{index}",
            "http__response__status_code": 200,
        }
        point = counter.sum.data_points.add(
            time_unix_nano=now, start_time_unix_nano=now - 10**9, as_int=index
        )
        _set(point.attributes, **labels)
        spread = histogram.histogram.data_points.add(
            time_unix_nano=now, start_time_unix_nano=now - 10**9, count=3 * (len(_BOUNDS) + 1), sum=12.5
        )
        spread.explicit_bounds.extend(_BOUNDS)
        spread.bucket_counts.extend([3] * (len(_BOUNDS) + 1))
        _set(spread.attributes, **labels)
    return bytes(request.SerializeToString())


#: How the requests of a signal are made, and where they go.
SIGNALS: dict[str, tuple[Callable[[int], bytes], str]] = {
    "spans": (spans, "/v1/traces"),
    "log_records": (log_records, "/v1/logs"),
    "metric_points": (metric_points, "/v1/metrics"),
}


def _send(
    address: str, path: str, bodies: list[bytes], until: float, sent: list[int], refused: list[int]
) -> None:
    connection = http.client.HTTPConnection(address, timeout=60)
    number = 0
    while time.monotonic() < until:
        headers = {"content-type": "application/x-protobuf"}
        connection.request("POST", path, bodies[number % len(bodies)], headers)
        answer = connection.getresponse()
        answer.read()
        if answer.status == 200:
            sent.append(BATCH)
            number += 1
        elif answer.status in {429, 503}:
            refused.append(BATCH)
            time.sleep(0.05)
        else:
            raise RuntimeError(f"the collector answered HTTP {answer.status}")
    connection.close()


def main() -> None:
    """Run the command line."""
    started = time.monotonic()
    address, signal, seconds, connections = sys.argv[1:]
    make, path = SIGNALS[signal]
    count = int(connections)
    bodies = [[make(_DIFFERENT * each + number) for number in range(_DIFFERENT)] for each in range(count)]
    sent: list[int] = []
    refused: list[int] = []
    begun = time.monotonic()
    until = begun + float(seconds)
    threads = [
        threading.Thread(target=_send, args=(address, path, each, until, sent, refused)) for each in bodies
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    size = sum(len(body) for each in bodies for body in each) / (count * _DIFFERENT * BATCH)
    figures = {"sent": sum(sent), "refused": sum(refused), "seconds": time.monotonic() - begun}
    print(json.dumps({**figures, "whole": time.monotonic() - started, "bytes_per_item": size}))


if __name__ == "__main__":
    main()
