"""The OTLP exporters: configured like the stock ones, interchangeable with them, and cheap to import."""

from __future__ import annotations

import json
import socket
import ssl
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter as StockLogs
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter as StockMetrics
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as StockSpans
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, MetricExportResult
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor as StockBatch
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExportResult

from ada_otel import _diagnostics
from ada_otel.pipeline.export import stats
from ada_otel.pipeline.export.halves import halves_of_metrics, points_of_metrics
from ada_otel.pipeline.export.otlp import OTLPLogExporter, OTLPMetricExporter, OTLPSpanExporter
from tests.drills.faults import Request, answer, collector

PAIRS = {
    "traces": (OTLPSpanExporter, StockSpans),
    "logs": (OTLPLogExporter, StockLogs),
    "metrics": (OTLPMetricExporter, StockMetrics),
}

ENVIRONMENTS: list[dict[str, str]] = [
    {},
    {"ENDPOINT": "http://collector:4318"},
    {"ENDPOINT": "https://collector/base/"},
    {"ENDPOINT": "http://general", "<S>_ENDPOINT": "http://own:99/as/it/is"},
    {"<S>_ENDPOINT": "http://own:99"},
    {"HEADERS": "a=1,B=two%20words, c = 3"},
    {"HEADERS": "a=1,b=2", "<S>_HEADERS": "only=this"},
    {"HEADERS": "authorization=Bearer abc def"},
    {"HEADERS": "user-agent=mine"},
    {"TIMEOUT": "3.5"},
    {"TIMEOUT": "3", "<S>_TIMEOUT": "7"},
    {"TIMEOUT": "soon"},
    {"COMPRESSION": "gzip"},
    {"COMPRESSION": "GZIP ", "<S>_COMPRESSION": "none"},
    {"<S>_COMPRESSION": "deflate"},
    {"COMPRESSION": "brotli"},
    {"CERTIFICATE": "/ca.pem"},
    {"CERTIFICATE": "/ca.pem", "<S>_CERTIFICATE": "/own.pem"},
    {"CLIENT_CERTIFICATE": "/c.pem", "CLIENT_KEY": "/k.pem"},
    {"CLIENT_CERTIFICATE": "/c.pem", "CLIENT_KEY": "/k.pem", "<S>_CLIENT_KEY": "/own.pem"},
    {"ENDPOINT": "", "<S>_ENDPOINT": "", "TIMEOUT": "", "COMPRESSION": ""},
]


@pytest.fixture(autouse=True)
def _fresh() -> None:
    _diagnostics.forget_reports()
    stats._process.signals.clear()


@pytest.mark.parametrize("environment", ENVIRONMENTS, ids=str)
@pytest.mark.parametrize("signal", PAIRS)
def test_variables_are_read_as_stock_reads_them(
    signal: Any, environment: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in environment.items():
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_" + name.replace("<S>", signal.upper()), text)
    ours, stock = (make() for make in PAIRS[signal])
    target = ours.target
    client = stock._client
    headers = dict(client._headers)
    headers.pop("Content-Encoding", None)
    assert target.url == stock._endpoint
    assert target.timeout == client._timeout
    assert target.compression == stock._compression.value
    if "HEADERS" not in environment or "user-agent" not in environment["HEADERS"]:
        assert headers.pop("user-agent").startswith("OTel-OTLP-Exporter-Python")
        assert target.headers["user-agent"].startswith("ada-otel/")
    assert {name: target.headers[name] for name in headers} == headers
    # SDK 1.45.0 sends by urllib3, whose pool does not tell what it was given; 1.45.1 by a requests session.
    session = getattr(client._transport, "_session", None)
    if session is not None:
        assert (target.certificate or True) == session.verify
        if target.client_certificate and target.client_key:
            assert session.cert == (target.client_certificate, target.client_key)
    ours.shutdown()


@pytest.mark.parametrize("temporality", ["cumulative", "DELTA", "LowMemory", "odd"])
@pytest.mark.parametrize(
    "histogram", ["explicit_bucket_histogram", "Base2_Exponential_Bucket_Histogram", "odd"]
)
def test_metric_preferences_are_those_of_stock(
    temporality: Any, histogram: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", temporality)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION", histogram)
    ours, stock = OTLPMetricExporter(), StockMetrics()
    assert ours._preferred_temporality == stock._preferred_temporality
    assert {kind: type(value) for kind, value in (ours._preferred_aggregation or {}).items()} == {
        kind: type(value) for kind, value in (stock._preferred_aggregation or {}).items()
    }


def test_proxy_variables_are_honoured(monkeypatch: pytest.MonkeyPatch) -> None:
    with collector() as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "no_proxy", "NO_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("http_proxy", proxy.endpoint.replace("http://", "http://me:pass@"))
        exporter = OTLPSpanExporter("http://collector.invalid:4318/v1/traces", timeout=2)
        assert exporter.export(spans(1)) is SpanExportResult.SUCCESS
        assert proxy.requests[0].path == "http://collector.invalid:4318/v1/traces"
        assert proxy.requests[0].headers["proxy-authorization"] == "Basic bWU6cGFzcw=="
        monkeypatch.setenv("no_proxy", "collector.invalid")
        assert OTLPSpanExporter("http://collector.invalid:4318/v1/traces").target.proxy is None


def spans(count: Any) -> Any:
    tracer = TracerProvider(shutdown_on_exit=False).get_tracer("test")
    made = [tracer.start_span(f"s{number}") for number in range(count)]
    for span in made:
        span.end()
    return made


def test_it_works_under_the_stock_processors() -> None:
    with collector() as server:
        for processor in (SimpleSpanProcessor, StockBatch):
            provider = TracerProvider(shutdown_on_exit=False)
            provider.add_span_processor(processor(OTLPSpanExporter(server.endpoint + "/v1/traces")))
            provider.get_tracer("test").start_span(processor.__module__).end()
            assert provider.force_flush()
            provider.shutdown()
        assert len(server.names()) == 2


def test_export_gives_up_at_its_timeout_and_says_so() -> None:
    with collector("503") as server:
        exporter = OTLPSpanExporter(server.endpoint + "/v1/traces", timeout=1)
        begun = time.monotonic()
        assert exporter.export(spans(1)) is SpanExportResult.FAILURE
        assert time.monotonic() - begun < 1.6
        exporter.shutdown()
        assert exporter.export(spans(1)) is SpanExportResult.FAILURE


def test_max_request_size_splits_before_sending() -> None:
    with collector() as server:
        exporter = OTLPSpanExporter(server.endpoint + "/v1/traces", max_request_size=600)
        done = exporter.deliver(spans(40), 10)
        assert (done.sent, done.kept, done.dropped) == (40, [], {})
        assert max(len(request.body) for request in server.requests) <= 600
        assert len(set(server.names())) == 40


def metrics(count: Any) -> Any:
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], shutdown_on_exit=False)
    for number in range(count):
        meter = provider.get_meter(f"scope {number % 3}")
        counter = meter.create_counter(f"m{number}")
        counter.add(number, {"k": "a"})
        counter.add(number, {"k": "b"})
    data = reader.get_metrics_data()
    assert data is not None
    return data


def names_of(data: Any) -> Any:
    return sorted(
        metric.name
        for block in data.resource_metrics
        for scope in block.scope_metrics
        for metric in scope.metrics
    )


def test_metrics_too_large_are_halved_and_counted_by_points() -> None:
    def few_only(request: Request) -> bytes:
        return answer(200) if len(names_of(request.message())) <= 3 else answer(413)

    data = metrics(10)
    assert points_of_metrics(data) == 20
    first, second = halves_of_metrics(data)
    assert sorted(names_of(first) + names_of(second)) == names_of(data)
    with collector(few_only) as server:
        exporter = OTLPMetricExporter(server.endpoint + "/v1/metrics")
        assert exporter.export(data) is MetricExportResult.SUCCESS
        arrived = [name for request in server.accepted for name in names_of(request.message())]
        assert sorted(arrived) == names_of(data)
        assert stats.snapshot()["metrics"]["sent"] == 20
        server.mode = "400"
        assert exporter.export(data) is MetricExportResult.FAILURE
        assert stats.snapshot()["metrics"]["dropped"] == {"rejected": 20}
        exporter.shutdown()


def test_logs_arrive() -> None:
    from opentelemetry._logs import LogRecord

    from ada_otel.pipeline.export.batch import BatchLogRecordProcessor

    with collector() as server:
        provider = LoggerProvider(shutdown_on_exit=False)
        provider.add_log_record_processor(
            BatchLogRecordProcessor(OTLPLogExporter(server.endpoint + "/v1/logs"))
        )
        provider.get_logger("test").emit(LogRecord(body="hello"))
        assert provider.force_flush(5000)
        assert server.bodies() == ["hello"]
        provider.shutdown()


def test_tls_is_verified_against_the_given_certificate(tmp_path: Path) -> None:
    openssl = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=localhost",
    ]
    openssl += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "key.pem", "-out", "cert.pem"]
    subprocess.run(openssl, cwd=tmp_path, check=True, capture_output=True)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(tmp_path / "cert.pem"))
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    listener = socket.create_server(("127.0.0.1", 0))
    got = []

    def serve() -> None:
        while listener.fileno() != -1:
            with suppress(OSError):
                converse(listener.accept()[0])

    def converse(raw: socket.socket) -> None:
        with context.wrap_socket(raw, server_side=True) as sock:
            for _ in range(2):
                data = b""
                while b"\r\n\r\n" not in data:
                    data += sock.recv(65536)
                got.append(data)
                sock.sendall(answer(200))

    threading.Thread(target=serve, daemon=True).start()
    url = f"https://127.0.0.1:{listener.getsockname()[1]}/v1/traces"
    files: dict[str, Any] = {
        "certificate_file": str(tmp_path / "cert.pem"),
        "client_key_file": str(tmp_path / "key.pem"),
        "client_certificate_file": str(tmp_path / "cert.pem"),
    }
    exporter = OTLPSpanExporter(url, timeout=3, **files)
    assert exporter.export(spans(1)) is SpanExportResult.SUCCESS
    assert exporter.export(spans(1)) is SpanExportResult.SUCCESS  # over the same connection
    assert len(got) == 2
    untrusting = OTLPSpanExporter(url, timeout=1)
    assert untrusting.export(spans(1)) is SpanExportResult.FAILURE
    assert untrusting._sender is not None
    assert untrusting._sender.last_error == "SSLCertVerificationError"
    exporter.shutdown()
    listener.close()


def test_import_brings_in_neither_grpc_nor_requests_nor_http() -> None:
    code = """
import json, sys
import opentelemetry.sdk.trace.export, opentelemetry.sdk._logs.export, opentelemetry.sdk.metrics.export
before = set(sys.modules)
import ada_otel.pipeline.export.otlp, ada_otel.pipeline.export.batch, ada_otel.pipeline.exit
print(json.dumps(sorted(set(sys.modules) - before)))
"""
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    added = json.loads(out)
    heavy = ("grpc", "requests", "urllib3", "google.protobuf", "http.client", "ssl", "multiprocessing")
    assert not [name for name in added if name.startswith(heavy)]
    assert [name for name in added if name.startswith("ada_otel.pipeline.export")]
