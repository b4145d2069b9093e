"""A Flask-SocketIO server in this process, the real client, and what was recorded."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import socketio
from flask import Flask
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from werkzeug.serving import make_server

from ada_otel.instrument.socketio import SocketIOInstrumentor
from ada_otel.pipeline.tracing.provider import TracerProvider


class Recorded:
    """Spans and metrics of one instrumentation."""

    def __init__(self) -> None:
        self._spans = InMemorySpanExporter()
        self.tracers = TracerProvider()
        self.tracers.add_span_processor(SimpleSpanProcessor(self._spans))
        self._reader = InMemoryMetricReader()
        self.meters = MeterProvider([self._reader])

    def spans(self, name: str) -> list[ReadableSpan]:
        return [span for span in self._spans.get_finished_spans() if span.name == name]

    def names(self) -> list[str]:
        return [span.name for span in self._spans.get_finished_spans()]

    def points(self, metric: str) -> dict[tuple[str, ...], Any]:
        """Value, or count, of each point of a metric, by the sorted values of its attributes."""
        data = self._reader.get_metrics_data()
        return {
            tuple(str(text) for _, text in sorted((point.attributes or {}).items())): getattr(
                point, "value", getattr(point, "count", None)
            )
            for resource in (data.resource_metrics if data else ())
            for scope in resource.scope_metrics
            for found in scope.metrics
            if found.name == f"socketio.server.{metric}"
            for point in found.data.data_points
        }


@contextmanager
def instrumented(**hooks: Any) -> Iterator[Recorded]:
    recorded = Recorded()
    instrumentor = SocketIOInstrumentor()
    instrumentor.instrument(tracer_provider=recorded.tracers, meter_provider=recorded.meters, **hooks)
    try:
        yield recorded
    finally:
        instrumentor.uninstrument()


@contextmanager
def served(app: Flask) -> Iterator[str]:
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.port}"
    finally:
        server.shutdown()
        thread.join(5)


@contextmanager
def client(url: str, *, transports: list[str], **options: Any) -> Iterator[socketio.Client]:
    found = socketio.Client(reconnection=False)
    found.connect(url, transports=transports, wait_timeout=5, **options)
    try:
        yield found
    finally:
        found.disconnect()


def eventually(check: Callable[[], Any], seconds: float = 20.0) -> Any:
    """Give what ``check`` gives as soon as it is true; fail with its last answer."""
    deadline = time.monotonic() + seconds
    while not (answer := check()):
        assert time.monotonic() < deadline, answer
        time.sleep(0.01)
    return answer
