"""The real collector on the shipped configuration, and one app's worth of real OTLP to send through it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, Status, StatusCode, format_trace_id
from typing_extensions import Self

from tests.support.ports import free_port

COLLECTOR = Path(__file__).resolve().parents[2] / "collector"
BASE = COLLECTOR / "otelcol.yaml"
SENTRY = COLLECTOR / "otelcol.sentry.yaml"

Found = TypeVar("Found")

#: What of a collector's own metrics tells where data is that did not arrive.
_TELLING = (
    "otelcol_elasticsearch_bulk_requests_count",
    "otelcol_elasticsearch_docs_processed",
    "otelcol_exporter_enqueue_failed",
    "otelcol_exporter_in_flight_requests",
    "otelcol_exporter_queue_size",
    "otelcol_exporter_send_failed",
    "otelcol_exporter_sent",
    "otelcol_process_memory_rss",
    "otelcol_processor_memory_limiter_refused",
    "otelcol_receiver_accepted",
    "otelcol_receiver_refused",
)


def eventually(what: str, look: Callable[[], Found], seconds: float = 60) -> Found:
    """What ``look`` gives, once that is neither false nor empty; ``what`` names it if that never comes."""
    end = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < end, f"not within {seconds} s: {what}"
        time.sleep(0.25)


def get_json(url: str, **parameters: str) -> Any:
    """The JSON that a GET of ``url`` with ``parameters`` gives."""
    query = "?" + urllib.parse.urlencode(parameters) if parameters else ""
    with urllib.request.urlopen(url + query, timeout=10) as answer:
        return json.load(answer)


def condition(metrics: str, log: Path) -> str:
    """Where data is that did not arrive, as the collector tells it: queues, failures, the end of its log.

    Args:
        metrics: The address of its own metrics.
        log: Its log.
    """
    try:
        with urllib.request.urlopen(metrics, timeout=10) as answer:
            lines = answer.read().decode().splitlines()
        shown = [line for line in lines if line.startswith(_TELLING) and not line.endswith(" 0")]
    except OSError as error:
        shown = [f"it does not answer: {error}"]
    said = log.read_text(encoding="utf-8", errors="replace").splitlines()[-20:]
    return "\n".join(["the collector's metrics:", *shown, "the end of its log:", *said])


class Collector:
    """One run of the real collector on the shipped configuration, on free ports.

    Args:
        program: The collector.
        folder: Its queue and its log; a later run in the same folder goes on with the queue.
        environment: The variables of collector/README.md to set.
        configs: Its ``--config`` files, in order.
    """

    def __init__(
        self, program: Path, folder: Path, environment: Mapping[str, str], configs: tuple[Path, ...] = (BASE,)
    ) -> None:
        ports = [free_port() for _ in range(5)]
        self.grpc, self.http, hop, self.health = (f"127.0.0.1:{port}" for port in ports[:4])
        self.metrics = f"http://127.0.0.1:{ports[4]}/metrics"
        self.queue = folder / "queue"
        self.log = folder / f"otelcol-{uuid.uuid4().hex}.log"
        self._command = [str(program), *(f"--config={path}" for path in configs)]
        self._environment = {
            "PATH": os.environ["PATH"],
            "ADA_OTLP_GRPC_ENDPOINT": self.grpc,
            "ADA_OTLP_HTTP_ENDPOINT": self.http,
            "ADA_OTLP_ES_HOP_ENDPOINT": hop,
            "ADA_HEALTH_ENDPOINT": self.health,
            "ADA_SELF_METRICS_PORT": str(ports[4]),
            "ADA_QUEUE_DIR": str(self.queue),
            "ADA_SPAN_METRICS_INTERVAL": "1s",
            **environment,
        }

    def __enter__(self) -> Self:
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                self._command, env=self._environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )
        try:
            eventually("the collector is healthy", self._healthy)
        except BaseException:
            self._process.kill()
            self._process.wait()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _healthy(self) -> bool:
        assert self._process.poll() is None, self.log.read_text(encoding="utf-8")
        try:
            return str(get_json(f"http://{self.health}/")["status"]) == "Server available"
        except (urllib.error.URLError, ConnectionError):
            return False

    def stop(self) -> float:
        """End it in an orderly way; returns the seconds that took."""
        started = time.monotonic()
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(timeout=45)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
                raise
        return time.monotonic() - started

    def lines(self) -> list[dict[str, Any]]:
        """Its own log so far."""
        return [json.loads(line) for line in self.log.read_text(encoding="utf-8").splitlines()]

    def self_metrics(self) -> str:
        """Its own metrics, as Prometheus scrapes them."""
        with urllib.request.urlopen(self.metrics, timeout=10) as answer:
            return str(answer.read().decode())


class Sent:
    """One app's telemetry: a request with a query in it that fails, a log line, and a request metric.

    Attributes:
        service: Its `service.name`, new each time.
        trace_id: The trace of the request, in hex.
    """

    def __init__(self, collector: Collector) -> None:
        self.service = f"ada-{uuid.uuid4().hex[:8]}"
        resource = Resource.create(
            {
                "service.name": self.service,
                "service.instance.id": "worker-1",
                "service.version": "1.2.3",
                "deployment.environment.name": "test",
            }
        )
        tracers = TracerProvider(resource=resource)
        tracers.add_span_processor(
            BatchSpanProcessor(OTLPSpanExporter(endpoint=collector.grpc, insecure=True, timeout=10))
        )
        meters = MeterProvider(
            resource=resource,
            metric_readers=[
                PeriodicExportingMetricReader(
                    OTLPMetricExporter(endpoint=collector.grpc, insecure=True, timeout=10), 3_600_000
                )
            ],
        )
        tracer = tracers.get_tracer("test")
        durations = meters.get_meter("test").create_histogram(
            "http.server.request.duration", unit="s", explicit_bucket_boundaries_advisory=[0.1, 1, 10]
        )
        loggers = LoggerProvider(resource=resource)
        loggers.add_log_record_processor(
            BatchLogRecordProcessor(OTLPLogExporter(endpoint=f"http://{collector.http}/v1/logs", timeout=10))
        )
        request: dict[str, str | int] = {
            "http.request.method": "POST",
            "http.route": "/buy",
            "http.response.status_code": 500,
        }
        with tracer.start_as_current_span("POST /buy", kind=SpanKind.SERVER, attributes=request) as server:
            self.trace_id = format_trace_id(server.get_span_context().trace_id)
            with tracer.start_as_current_span(
                "INSERT orders", kind=SpanKind.CLIENT, attributes={"db.system.name": "postgresql"}
            ) as query:
                error = ValueError("no such item")
                query.record_exception(error)
                query.set_status(Status(StatusCode.ERROR, "no such item"))
                loggers.get_logger("ada.orders").emit(
                    LogRecord(
                        timestamp=time.time_ns(),
                        severity_text="ERROR",
                        severity_number=SeverityNumber.ERROR,
                        body="order refused for basket 17",
                        attributes={"basket.id": 17},
                        exception=error,
                    )
                )
            durations.record(0.25, {**request, "error.type": "ValueError"})
        assert tracers.force_flush()
        assert meters.force_flush()
        assert loggers.force_flush()
        loggers.shutdown()
        tracers.shutdown()
        meters.shutdown()
