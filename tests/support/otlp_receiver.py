"""A small OTLP/HTTP receiver on loopback, which reads out what it was sent; for tests that run a process.

It is a stand-in: the tests in tests/integration use the real collector.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.drills.faults import Collector, collector


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


class Received:
    """All that arrived, in order of arrival."""

    def __init__(self, server: Collector) -> None:
        self._server = server

    @property
    def endpoint(self) -> str:
        """The base address to send to."""
        return self._server.endpoint

    @property
    def headers(self) -> list[dict[str, str]]:
        """The headers of each request, in lower case."""
        return [request.headers for request in list(self._server.accepted)]

    @property
    def traces(self) -> list[Any]:
        """Each ``ExportTraceServiceRequest``."""
        return self._server.messages("/v1/traces")

    @property
    def metrics(self) -> list[Any]:
        """Each ``ExportMetricsServiceRequest``."""
        return self._server.messages("/v1/metrics")

    @property
    def logs(self) -> list[Any]:
        """Each ``ExportLogsServiceRequest``."""
        return self._server.messages("/v1/logs")

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
    with collector() as server:
        yield Received(server)
