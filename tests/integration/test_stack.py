"""The native stack on its real servers: they start, have the pinned versions, work, and are gone after."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import socket
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tools.stack import SERVERS, Stack, StackError, free_ports
from tools.stack.process import ProcessId, descendants, is_running, start_time
from tools.stack.ready import http
from tools.versions import pinned

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def webhook() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A listener for Alertmanager's webhook: its URL, and the notifications that came."""
    came: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            came.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/deadmansswitch", came
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(scope="module")
def stack(webhook: tuple[str, list[dict[str, Any]]]) -> Iterator[Stack]:
    # Not pytest's own folder: PostgreSQL runs as another user when we are root, and may not enter that.
    folder = Path(tempfile.mkdtemp(prefix="ada-stack-"))
    folder.chmod(0o755)
    stack = Stack(folder, ports=free_ports(), secrets={"deadmansswitch_url": webhook[0]})
    try:
        stack.ensure()
    except StackError as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(f"servers are missing here: {error}")
    try:
        stack.up()
        yield stack
    finally:
        stack.down(purge=True)
        shutil.rmtree(folder)


def get(url: str) -> Any:
    status, body = http(url)
    assert status == 200, body
    return json.loads(body)


def eventually(found: Callable[[], Any], seconds: float = 30) -> Any:
    """What ``found`` returns as soon as it is true; fails after ``seconds``."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if result := found():
            return result
        time.sleep(0.2)
    pytest.fail(f"nothing within {seconds} s")


def spans_in_elasticsearch(stack: Stack, name: str) -> list[dict[str, Any]]:
    status, body = http(f"{stack.url('elasticsearch')}/ada-traces-*/_search?q=name:{name}")
    return [hit["_source"] for hit in json.loads(body)["hits"]["hits"]] if status == 200 else []


def send_span(stack: Stack, name: str) -> str:
    """Send one span to the collector; its trace id."""
    request = ExportTraceServiceRequest()
    block = request.resource_spans.add()
    block.resource.attributes.add(key="service.name").value.string_value = "stack-test"
    now = time.time_ns()
    trace_id = os.urandom(16)
    block.scope_spans.add().spans.add(
        name=name,
        trace_id=trace_id,
        span_id=os.urandom(8),
        start_time_unix_nano=now,
        end_time_unix_nano=now + 1,
    )
    posted = urllib.request.Request(
        f"{stack.url('otelcol')}/v1/traces",
        data=gzip.compress(request.SerializeToString()),
        headers={"content-type": "application/x-protobuf", "content-encoding": "gzip"},
    )
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(posted, timeout=10) as answer:
        assert answer.status == 200
    return trace_id.hex()


def test_all_are_ready(stack: Stack) -> None:
    rows = {row.name: row for row in stack.status()}
    assert set(rows) == set(SERVERS)
    assert {row.state for row in rows.values()} == {"ready"}
    for name in ("otelcol", "prometheus", "alertmanager", "elasticsearch"):
        assert rows[name].version == pinned(name)


def test_servers_say_the_pinned_versions(stack: Stack) -> None:
    build = get(f"{stack.url('prometheus')}/api/v1/status/buildinfo")["data"]
    assert build["version"] == pinned("prometheus")
    assert get(f"{stack.url('alertmanager')}/api/v2/status")["versionInfo"]["version"] == pinned(
        "alertmanager"
    )
    root = get(stack.url("elasticsearch"))
    assert root["version"]["number"] == pinned("elasticsearch")
    assert root["tagline"] == "You Know, for Search"
    health = get(f"http://127.0.0.1:{stack.ports['otelcol_health']}/")
    assert health["status"] == "Server available"
    status, own = http(f"http://127.0.0.1:{stack.ports['otelcol_metrics']}/metrics")
    assert status == 200
    assert f'service_version="{pinned("otelcol")}"' in own.decode()


def test_redis_and_postgresql_take_clients(stack: Stack) -> None:
    import psycopg
    import redis

    with redis.Redis.from_url(stack.app_env()["REDIS_URL"]) as client:
        assert client.set("key", "value")
        assert client.get("key") == b"value"
    with psycopg.connect(stack.url("postgresql")) as connection:
        row = connection.execute("SELECT current_database(), current_user").fetchone()
        assert row == ("ada", "ada")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(stack.url("postgresql").replace("ada:ada", "ada:wrong"))


def test_index_templates_are_installed(stack: Stack) -> None:
    templates = get(f"{stack.url('elasticsearch')}/_index_template")["index_templates"]
    assert {"ada-logs", "ada-traces"} <= {template["name"] for template in templates}


def test_prometheus_scrapes_this_stack_and_knows_its_rules(stack: Stack) -> None:
    def healthy() -> dict[str, str] | None:
        active = get(f"{stack.url('prometheus')}/api/v1/targets")["data"]["activeTargets"]
        up = {target["labels"]["job"]: target["scrapeUrl"] for target in active if target["health"] == "up"}
        return up if len(up) == len(active) else None

    urls = eventually(healthy, 40)
    assert urls["otelcol"] == f"http://127.0.0.1:{stack.ports['otelcol_metrics']}/metrics"
    assert urls["alertmanager"] == f"{stack.url('alertmanager')}/metrics"
    assert get(f"{stack.url('prometheus')}/api/v1/rules")["data"]["groups"]
    managers = get(f"{stack.url('prometheus')}/api/v1/alertmanagers")["data"]["activeAlertmanagers"]
    assert [manager["url"] for manager in managers] == [f"{stack.url('alertmanager')}/api/v2/alerts"]


def test_an_alert_goes_all_the_way_by_the_secret_file(
    stack: Stack, webhook: tuple[str, list[dict[str, Any]]]
) -> None:
    came = webhook[1]
    eventually(lambda: came, 60)
    assert came[0]["receiver"] == "deadmansswitch"
    assert [alert["labels"]["alertname"] for alert in came[0]["alerts"]] == ["Watchdog"]
    assert stack.log("alertmanager").is_file()


def test_every_port_is_on_loopback_only(stack: Stack) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # sends nothing; tells this machine's own address
        address = probe.getsockname()[0]
    if address.startswith("127."):
        pytest.skip("this machine has no address beside loopback")
    for name, port in stack.ports.items():
        with socket.create_connection(("127.0.0.1", port), timeout=2):
            pass
        with pytest.raises(OSError), socket.create_connection((address, port), timeout=2):
            pytest.fail(f"{name} listens on {address}")


def test_collector_starts_without_deprecation(stack: Stack) -> None:
    log = stack.log("otelcol").read_text()
    assert "Everything is ready" in log
    assert "deprecat" not in log.lower()


def test_a_span_arrives_in_elasticsearch_and_at_the_sentry_sink(stack: Stack) -> None:
    trace_id = send_span(stack, "stack-span")
    (document,) = eventually(lambda: spans_in_elasticsearch(stack, "stack-span"))
    assert document["trace_id"] == trace_id
    received = eventually(
        lambda: (answer := get(f"{stack.url('sentry_sink')}/received"))["counts"]["spans"] and answer
    )
    assert trace_id in received["trace_ids"]
    assert received["refused"] == []
    assert {request["path"] for request in received["requests"]} == {"/api/42/integration/otlp/v1/traces"}


def test_busy_ports_are_named_before_anything_is_started(stack: Stack, tmp_path: Path) -> None:
    second = Stack(tmp_path, ports=stack.ports)
    with pytest.raises(StackError) as caught:
        second.up()
    assert set(caught.value.failures) == set(SERVERS)
    message = caught.value.failures["prometheus"]
    assert f"port {stack.ports['prometheus']}" in message
    assert f"pid {stack.pid('prometheus')} (prometheus)" in message
    assert "ADA_STACK_PROMETHEUS_PORT" in message
    assert not (tmp_path / "logs").exists()


@pytest.mark.parametrize("as_overlay", [True, False])
def test_a_configuration_that_the_collector_refuses_is_named(tmp_path: Path, as_overlay: bool) -> None:
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("exporters: {elastic: {}}\n")
    other = Stack(
        tmp_path,
        ports=free_ports(),
        servers=["otelcol"],
        otelcol_configs=() if as_overlay else [wrong],
        otelcol_overlays=[wrong] if as_overlay else (),
    )
    with pytest.raises(StackError, match=rf"otelcol refuses its configuration \(.*{wrong}\)(?s:.*)elastic"):
        other.up()
    assert other.pid("otelcol") is None


def test_a_killed_server_can_be_started_again_and_loses_nothing(stack: Stack) -> None:
    first = stack.pid("otelcol")
    assert stack.kill("otelcol")
    assert {row.name: row.state for row in stack.status()}["otelcol"] == "stopped"
    assert stack.stop("elasticsearch") == "stopped"
    stack.start("otelcol")
    assert stack.pid("otelcol") not in (None, first)
    trace_id = send_span(stack, "while-elasticsearch-is-away")
    stack.start("elasticsearch")
    documents = eventually(lambda: spans_in_elasticsearch(stack, "while-elasticsearch-is-away"), 60)
    # At least once: a try that timed out while Elasticsearch was starting may have been taken all the same.
    assert {document["trace_id"] for document in documents} == {trace_id}


def test_down_leaves_no_process(stack: Stack) -> None:
    """The last test of the module: the fixture's own ``down`` finds nothing more to do."""
    pids = [stack.pid(name) for name in stack.servers]
    processes = [ProcessId(pid, start_time(pid) or "") for pid in pids if pid is not None]
    assert len(processes) == len(SERVERS)
    below = [child for running in processes for child in descendants(running.pid)]
    assert below, "PostgreSQL has processes below it"
    outcome = stack.down()
    assert outcome == dict.fromkeys(reversed(list(SERVERS)), "stopped")
    assert [one for one in (*processes, *below) if is_running(one)] == []
    assert {row.state for row in stack.status()} == {"stopped"}
