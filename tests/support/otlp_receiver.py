"""A small OTLP/HTTP receiver on loopback, which keeps what it was sent; for tests that run a process.

It is a stand-in: the tests in tests/integration use the real collector.
"""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

_REQUESTS: dict[str, Any] = {
    "/v1/traces": ExportTraceServiceRequest,
    "/v1/metrics": ExportMetricsServiceRequest,
    "/v1/logs": ExportLogsServiceRequest,
}


def value(any_value: Any) -> Any:
    """The Python value of an OTLP AnyValue."""
    kind = any_value.WhichOneof("value")
    if kind == "array_value":
        return tuple(value(item) for item in any_value.array_value.values)
    if kind == "kvlist_value":
        return attributes(any_value.kvlist_value.values)
    return getattr(any_value, kind) if kind else None


def attributes(pairs: Any) -> dict[str, Any]:
    """The dict of a list of OTLP KeyValues."""
    return {pair.key: value(pair.value) for pair in pairs}


@dataclass
class Received:
    """All that arrived, in order of arrival."""

    endpoint: str = ""
    traces: list[ExportTraceServiceRequest] = field(default_factory=list)
    metrics: list[ExportMetricsServiceRequest] = field(default_factory=list)
    logs: list[ExportLogsServiceRequest] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)

    def resources(self) -> list[dict[str, Any]]:
        """The resource attributes of each block of spans."""
        return [
            attributes(block.resource.attributes)
            for request in self.traces
            for block in request.resource_spans
        ]

    def spans(self) -> list[dict[str, Any]]:
        """Each span: name, kind, scope, attributes, status, and ids as hex."""
        return [
            {
                "name": span.name,
                "kind": span.kind,
                "scope": scope.scope.name,
                "attributes": attributes(span.attributes),
                "status": span.status.code,
                "events": [(event.name, attributes(event.attributes)) for event in span.events],
                "trace_id": span.trace_id.hex(),
                "span_id": span.span_id.hex(),
                "parent_span_id": span.parent_span_id.hex(),
                "start": span.start_time_unix_nano,
                "end": span.end_time_unix_nano,
            }
            for request in self.traces
            for block in request.resource_spans
            for scope in block.scope_spans
            for span in scope.spans
        ]

    def records(self) -> list[dict[str, Any]]:
        """Each log record: logger, body, severity, attributes, event name, and ids as hex."""
        return [
            {
                "logger": scope.scope.name,
                "body": value(record.body),
                "severity_text": record.severity_text,
                "severity_number": record.severity_number,
                "attributes": attributes(record.attributes),
                "event_name": record.event_name,
                "trace_id": record.trace_id.hex(),
                "span_id": record.span_id.hex(),
            }
            for request in self.logs
            for block in request.resource_logs
            for scope in block.scope_logs
            for record in scope.log_records
        ]

    def points(self) -> dict[tuple[str, frozenset[tuple[str, Any]], str], Any]:
        """The last value, or histogram count, of each (metric, attributes, service.instance.id)."""
        found: dict[tuple[str, frozenset[tuple[str, Any]], str], Any] = {}
        for request in self.metrics:
            for block in request.resource_metrics:
                instance = attributes(block.resource.attributes).get("service.instance.id", "")
                for scope in block.scope_metrics:
                    for metric in scope.metrics:
                        data = getattr(metric, metric.WhichOneof("data"))
                        for point in data.data_points:
                            key = (metric.name, frozenset(attributes(point.attributes).items()), instance)
                            found[key] = _number(point)
        return found


def _number(point: Any) -> Any:
    if hasattr(point, "bucket_counts") or hasattr(point, "zero_count"):
        return point.count
    return getattr(point, point.WhichOneof("value"))


@contextmanager
def otlp_receiver() -> Iterator[Received]:
    """Listen on a free loopback port for as long as the block lasts."""
    received = Received()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            kind = _REQUESTS.get(self.path)
            if kind is not None:
                message = kind.FromString(body)
                getattr(received, self.path.rsplit("/", 1)[1]).append(message)
                received.headers.append({name.lower(): text for name, text in self.headers.items()})
            self.send_response(200 if kind is not None else 404)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    received.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield received
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
