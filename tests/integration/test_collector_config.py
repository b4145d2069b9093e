"""collector/ on the real collector, with a real Elasticsearch and a real Prometheus behind it.

The Sentry side is a sink of our own that keeps what it is sent: Sentry itself does not run here.
"""

from __future__ import annotations

import http.server
import json
import os
import subprocess
import threading
import time
import urllib.error
import urllib.request
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from ada_otel import _sentry_dsn
from tests.drills.report import LONG
from tests.support.collector import BASE, SENTRY, Collector, Sent, eventually, get_json
from tests.support.ports import free_port
from tools.stack import Stack

pytestmark = pytest.mark.integration

DSN = {
    "ADA_SENTRY_OTLP_ENDPOINT": "http://127.0.0.1:9/api/1/integration/otlp",
    "ADA_SENTRY_AUTH": "sentry sentry_key=k",
}


#: How long the collector tries before a stop while Elasticsearch is away; as shipped in the long form.
TRY_SECONDS = 20 if LONG else 2


@pytest.fixture(scope="module")
def backends(stack: Stack) -> dict[str, str]:
    """Where the collector finds them."""
    return {
        "ADA_ELASTICSEARCH_ENDPOINT": stack.url("elasticsearch"),
        "ADA_PROMETHEUS_OTLP_ENDPOINT": stack.url("prometheus") + "/api/v1/otlp",
    }


def _validate(program: Path, *configs: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [str(program), "validate", *(f"--config={path}" for path in configs)]
    env = {"PATH": os.environ["PATH"], **environment}
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize("configs", [(BASE,), (BASE, SENTRY), (BASE, BASE)], ids=["base", "sentry", "twice"])
def test_the_configuration_is_valid(program: Path, configs: tuple[Path, ...]) -> None:
    result = _validate(program, *configs, **DSN)
    assert (result.returncode, result.stderr) == (0, "")


def test_a_wrong_value_is_named(program: Path) -> None:
    result = _validate(program, BASE, ADA_SPAN_METRICS_INTERVAL="soon")
    assert result.returncode != 0
    assert "'metrics_flush_interval' time: invalid duration" in result.stderr


@pytest.mark.parametrize("configs", [(BASE,), (BASE, SENTRY)], ids=["base", "sentry"])
def test_it_starts_without_a_deprecation_or_an_error(
    program: Path, tmp_path: Path, configs: tuple[Path, ...]
) -> None:
    with Collector(program, tmp_path, DSN, configs) as collector:
        lines = collector.lines()
    text = collector.log.read_text(encoding="utf-8").lower()
    assert any(line["msg"].startswith("Everything is ready") for line in lines)
    assert [
        word for word in ("deprecat", "legacy service", "no longer", "will be removed") if word in text
    ] == []
    assert [line for line in lines if line["level"] not in {"info", "warn"}] == []
    # The hop's two clients start before the receiver they talk to; gRPC says so once and tries again.
    assert [
        line["msg"] for line in lines if line["level"] == "warn" and "grpc: addrConn" not in line["msg"]
    ] == []


def test_without_the_overlay_nothing_is_queued_for_sentry(program: Path, tmp_path: Path) -> None:
    with Collector(program, tmp_path, {}) as collector:
        queues = sorted(path.name for path in collector.queue.iterdir() if path.is_file())
        metrics = collector.self_metrics()
    assert queues == [
        "exporter_otlp_grpc_elasticsearch_logs",
        "exporter_otlp_grpc_elasticsearch_traces",
        "exporter_otlp_http_prometheus_metrics",
    ]
    assert "otelcol_exporter_queue_size" in metrics
    assert "sentry" not in metrics


@pytest.fixture(scope="module")
def sent(program: Path, backends: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sent]:
    """Real OTLP, sent through the real collector, which goes on running."""
    with Collector(program, tmp_path_factory.mktemp("otelcol"), backends) as collector:
        yield Sent(collector)


def _search(stack: Stack, index: str, query: str, count: int = 1) -> list[dict[str, Any]]:
    def look() -> list[dict[str, Any]]:
        try:
            hits = get_json(f"{stack.url('elasticsearch')}/{index}/_search", q=query, size="10000")["hits"][
                "hits"
            ]
        except urllib.error.HTTPError as error:
            # The data stream is made with its first document, and its shard starts a moment later.
            assert error.code in {404, 503}, error.read()
            return []
        return [hit["_source"] for hit in hits] if len(hits) >= count else []

    return eventually(f"{count} x {query} in {index}", look)


def test_the_log_line_is_in_elasticsearch_with_all_its_parts(stack: Stack, sent: Sent) -> None:
    (document,) = _search(stack, "ada-logs-*", f"trace_id:{sent.trace_id}")
    assert document["body"]["text"] == "order refused for basket 17"
    assert document["severity_text"] == "ERROR"
    assert document["scope"]["name"] == "ada.orders"
    assert document["attributes"]["basket.id"] == 17
    assert document["attributes"]["exception.type"] == "ValueError"
    assert document["resource"]["attributes"]["service.name"] == sent.service
    assert abs(float(document["@timestamp"]) / 1000 - time.time()) < 300


@pytest.mark.parametrize(
    "query",
    [
        "level:ERROR",
        "message:refused",
        'message:"refused for basket"',
        "logger:ada.orders",
        "timestamp:[now-1h TO now+1h]",
    ],
)
def test_queries_of_the_old_fields_go_on_working(stack: Stack, sent: Sent, query: str) -> None:
    assert len(_search(stack, "ada-logs-*", f"trace_id:{sent.trace_id} AND {query}")) == 1


def test_the_spans_are_in_elasticsearch_and_the_span_event_is_with_them(stack: Stack, sent: Sent) -> None:
    documents = _search(stack, "ada-traces-*", f"trace_id:{sent.trace_id}", count=3)
    spans = {document["name"]: document for document in documents if "name" in document}
    assert set(spans) == {"POST /buy", "INSERT orders"}
    assert spans["INSERT orders"]["parent_span_id"] == spans["POST /buy"]["span_id"]
    assert spans["INSERT orders"]["status"] == {"code": "Error", "message": "no such item"}
    assert spans["POST /buy"]["attributes"]["http.route"] == "/buy"
    assert [document["event_name"] for document in documents if "name" not in document] == ["exception"]


def test_filters_and_groupings_are_exact(stack: Stack, sent: Sent) -> None:
    _search(stack, "ada-traces-*", f"trace_id:{sent.trace_id}", count=3)
    body = {
        "size": 0,
        "query": {"term": {"resource.attributes.service.name": sent.service}},
        "aggs": {"routes": {"terms": {"field": "attributes.http.route"}}},
    }
    request = urllib.request.Request(
        f"{stack.url('elasticsearch')}/ada-traces-*/_search",
        data=json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        buckets = json.load(answer)["aggregations"]["routes"]["buckets"]
    assert buckets == [{"key": "/buy", "doc_count": 1}]


def _series(stack: Stack, query: str) -> list[dict[str, Any]]:
    def look() -> list[dict[str, Any]]:
        result = get_json(f"{stack.url('prometheus')}/api/v1/query", query=query)["data"]["result"]
        assert isinstance(result, list)
        return result

    return eventually(f"series of {query}", look)


def test_the_metric_is_in_prometheus_with_the_promoted_labels(stack: Stack, sent: Sent) -> None:
    (series,) = _series(stack, f'http_server_request_duration_seconds_count{{service_name="{sent.service}"}}')
    assert series["value"][1] == "1"
    expected = {
        "job": sent.service,
        "instance": "worker-1",
        "service_version": "1.2.3",
        "deployment_environment_name": "test",
        "http_request_method": "POST",
        "http_route": "/buy",
        "http_response_status_code": "500",
        "error_type": "ValueError",
    }
    assert expected.items() <= series["metric"].items()


def test_the_old_names_are_recorded(stack: Stack, sent: Sent) -> None:
    (requests,) = _series(stack, f'ada_requests_total{{job="{sent.service}"}}')
    assert requests["value"][1] == "1"
    assert {"method": "POST", "endpoint": "/buy", "status": "500"}.items() <= requests["metric"].items()
    (errors,) = _series(stack, f'ada_errors_total{{job="{sent.service}"}}')
    assert (errors["metric"]["error_type"], errors["value"][1]) == ("ValueError", "1")
    (quantile,) = _series(
        stack, f'histogram_quantile(1, ada_request_duration_seconds_bucket{{job="{sent.service}"}})'
    )
    assert 0.1 < float(quantile["value"][1]) <= 1


def test_span_metrics_stand_for_the_service_and_carry_exemplars(stack: Stack, sent: Sent) -> None:
    # Each series begins with a zero, so that rate() sees its first call; the one comes with the next sample.
    (calls,) = _series(
        stack,
        f'traces_span_metrics_calls_total{{service_name="{sent.service}",span_kind="SPAN_KIND_SERVER"}} == 1',
    )
    assert {
        "span_name": "POST /buy",
        "http_route": "/buy",
        "collector_instance_id": "otelcol-0",
    }.items() <= calls["metric"].items()
    assert set(calls["metric"]) & {"instance", "service_instance_id", "service_version"} == set()
    _series(stack, f'traces_span_metrics_duration_seconds_bucket{{service_name="{sent.service}",le="0.25"}}')

    def exemplars() -> set[str]:
        now = time.time()
        result = get_json(
            f"{stack.url('prometheus')}/api/v1/query_exemplars",
            query=f'traces_span_metrics_duration_seconds_bucket{{service_name="{sent.service}"}}',
            start=str(now - 600),
            end=str(now + 600),
        )["data"]
        return {exemplar["labels"]["trace_id"] for series in result for exemplar in series["exemplars"]}

    assert eventually("an exemplar", exemplars) == {sent.trace_id}


def test_what_was_taken_survives_a_stop_during_an_outage(
    program: Path, stack: Stack, backends: dict[str, str], tmp_path: Path
) -> None:
    nothing = f"http://127.0.0.1:{free_port()}"
    away = {
        "ADA_ELASTICSEARCH_ENDPOINT": nothing,
        "ADA_PROMETHEUS_OTLP_ENDPOINT": f"{nothing}/api/v1/otlp",
        "ADA_ES_HOP_TIMEOUT": f"{TRY_SECONDS}s",
    }
    with Collector(program, tmp_path, away) as collector:
        sent = Sent(collector)
        # Long enough for the queues to have been tried.
        eventually("a retry", lambda: any("Will retry" in line["msg"] for line in collector.lines()))
        assert collector.stop() < TRY_SECONDS + 10
    # Its log now says "Dropping data … interrupted due to shutdown" of batches that stay in the queue.
    with Collector(program, tmp_path, backends):
        assert len(_search(stack, "ada-logs-*", f"trace_id:{sent.trace_id}")) == 1
        assert len(_search(stack, "ada-traces-*", f"trace_id:{sent.trace_id}", count=3)) == 3
        (series,) = _series(
            stack, f'http_server_request_duration_seconds_count{{service_name="{sent.service}"}}'
        )
        assert series["value"][1] == "1"


def test_its_own_metrics_have_the_names_that_rules_are_written_for(
    program: Path, backends: dict[str, str], tmp_path: Path
) -> None:
    with Collector(program, tmp_path, backends) as collector:
        Sent(collector)
        text = eventually(
            "sent log records",
            lambda: (
                found
                if "otelcol_exporter_sent_log_records_total" in (found := collector.self_metrics())
                else ""
            ),
        )
    names = {line.split("{")[0].split(" ")[0] for line in text.splitlines() if not line.startswith("#")}
    assert {
        "otelcol_receiver_accepted_spans_total",
        "otelcol_receiver_accepted_log_records_total",
        "otelcol_receiver_accepted_metric_points_total",
        "otelcol_exporter_queue_size",
        "otelcol_exporter_queue_capacity",
    } <= names
    assert "otel_scope_name" not in text


class _Sink(http.server.BaseHTTPRequestHandler):
    """Takes what Sentry would be sent; a sink of our own."""

    received: list[tuple[str, str | None, bytes]]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = zlib.decompress(body, wbits=31)
        self.received.append((self.path, self.headers.get("x-sentry-auth"), body))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def sink() -> Iterator[tuple[str, list[tuple[str, str | None, bytes]]]]:
    handler = type("Sink", (_Sink,), {"received": []})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://key@127.0.0.1:{server.server_address[1]}/42", handler.received  # type: ignore[attr-defined]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_with_a_dsn_traces_and_logs_also_go_to_the_sentry_endpoints(
    program: Path,
    stack: Stack,
    backends: dict[str, str],
    tmp_path: Path,
    sink: tuple[str, list[tuple[str, str | None, bytes]]],
) -> None:
    dsn, received = sink
    environment = {**backends, **_sentry_dsn.parse(dsn).environment()}
    with Collector(program, tmp_path, environment, (BASE, SENTRY)) as collector:
        sent = Sent(collector)
        eventually("both signals at the sink", lambda: len({path for path, _, _ in received}) == 2)
        assert len(_search(stack, "ada-logs-*", f"trace_id:{sent.trace_id}")) == 1
    assert {header for _, header, _ in received} == {"sentry sentry_key=key"}
    bodies = {path: body for path, _, body in received}
    assert set(bodies) == {"/api/42/integration/otlp/v1/traces", "/api/42/integration/otlp/v1/logs"}
    traces = ExportTraceServiceRequest.FromString(bodies["/api/42/integration/otlp/v1/traces"])
    spans = [span for rs in traces.resource_spans for ss in rs.scope_spans for span in ss.spans]
    assert {span.name for span in spans} == {"POST /buy", "INSERT orders"}
    assert {span.trace_id.hex() for span in spans} == {sent.trace_id}
    logs = ExportLogsServiceRequest.FromString(bodies["/api/42/integration/otlp/v1/logs"])
    records = [record for rl in logs.resource_logs for sl in rl.scope_logs for record in sl.log_records]
    assert [record.body.string_value for record in records] == ["order refused for basket 17"]
