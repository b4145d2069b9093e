"""HTTP calls of AI operations by requests and httpx: a client span each, and the trace goes along."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import util
from pathlib import Path

import pytest

from tests.support.otlp_receiver import otlp_receiver
from tests.support.process import run_program

CLIENTS = ("httpx", "requests")
CLIENT_KIND = 3  # of OTLP

SETUP = "import ada_otel\nada_otel.setup()\n"
#: What the launcher has each process of a program do first.
LAUNCHED = "from opentelemetry.instrumentation.auto_instrumentation import initialize\ninitialize()\n"
#: What a missing extra is like: an import of the instrumentation fails.
WITHOUT = """
import sys
for name in ("httpx", "requests"):
    sys.modules[f"opentelemetry.instrumentation.{name}"] = None
"""
PROGRAM = """
import os
import httpx, requests
from ada_otel import business

url = os.environ["AI_URL"]
with business.ai_operation(model="ada-small", kind="chat"):
    assert httpx.post(url + "/httpx?api_key=hush", json={"prompt": "hello"}).status_code == 200
    with httpx.Client() as client:
        assert client.get(url + "/httpx").status_code == 429
    assert requests.post(url + "/requests?api_key=hush", json={"prompt": "hello"}).status_code == 200
    assert requests.get(url + "/requests").status_code == 429
print("done")
"""


class Server(ThreadingHTTPServer):
    """Answers POST with 200 and GET with 429, and keeps which headers came."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.seen: list[tuple[str, str, str]] = []


class Handler(BaseHTTPRequestHandler):
    server: Server

    def _answer(self, status: int) -> None:
        self.rfile.read(int(self.headers.get("content-length", 0)))
        path = self.path.partition("?")[0]
        self.server.seen.append((self.command, path, self.headers.get("traceparent", "")))
        body = json.dumps({"answer": 1}).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        self._answer(429)

    def do_POST(self) -> None:
        self._answer(200)

    def log_message(self, *_args: object) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as made:
        thread = threading.Thread(target=made.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        yield made
        made.shutdown()
        thread.join()


@pytest.mark.parametrize("launcher", [True, False], ids=["launcher", "setup"])
@pytest.mark.parametrize("fast", ["true", "false"], ids=["fast", "stock"])
def test_each_call_is_a_client_span_of_the_operation(
    launcher: bool, fast: str, server: Server, tmp_path: Path
) -> None:
    if any(util.find_spec(f"opentelemetry.instrumentation.{name}") is None for name in CLIENTS):
        pytest.skip("without the extra `ai`")
    with otlp_receiver() as received:
        done = run_program(
            ("" if launcher else SETUP) + PROGRAM,
            tmp_path,
            launcher=launcher,
            environment={
                "OTEL_EXPORTER_OTLP_ENDPOINT": received.endpoint,
                "ADA_OTEL_RAISE": "true",
                "ADA_OTEL_FAST_PATH": fast,
                "AI_URL": f"http://127.0.0.1:{server.server_port}",
            },
        )
        assert done.returncode == 0, done.stderr
        spans, metrics = received.spans(), received.metrics
    (operation,) = (span for span in spans if span["name"] == "chat ada-small")
    calls = [span for span in spans if span is not operation]
    assert sorted(
        (span["scope"].rpartition(".")[2], span["attributes"]["http.request.method"]) for span in calls
    ) == [
        ("httpx", "GET"),
        ("httpx", "POST"),
        ("requests", "GET"),
        ("requests", "POST"),
    ]
    for span in calls:
        assert span["kind"] == CLIENT_KIND
        assert span["parent_span_id"] == operation["span_id"]
        assert span["trace_id"] == operation["trace_id"]
        assert span["attributes"]["server.address"] == "127.0.0.1"
        status = 200 if span["attributes"]["http.request.method"] == "POST" else 429
        assert span["attributes"]["http.response.status_code"] == status
        assert "hush" not in json.dumps(span["attributes"])
    # Each request carried its own span as the parent.
    sent = {
        (span["attributes"]["http.request.method"], f"/{span['scope'].rpartition('.')[2]}"): span["span_id"]
        for span in calls
    }
    assert len(server.seen) == len(sent)
    for method, path, parent in server.seen:
        version, trace_id, span_id, flags = parent.split("-")
        assert (version, trace_id, span_id) == ("00", operation["trace_id"], sent[method, path])
        assert int(flags, 16) & 1 == 1
    durations = [
        point
        for request in metrics
        for block in request.resource_metrics
        for scope in block.scope_metrics
        for metric in scope.metrics
        if metric.name == "http.client.request.duration"
        for point in metric.histogram.data_points
    ]
    assert sum(point.count for point in durations) == len(calls)


@pytest.mark.parametrize("start", [LAUNCHED, SETUP], ids=["launcher", "setup"])
def test_without_the_extra_the_calls_work_untraced(start: str, server: Server, tmp_path: Path) -> None:
    with otlp_receiver() as received:
        done = run_program(
            WITHOUT + start + PROGRAM,
            tmp_path,
            environment={
                "OTEL_EXPORTER_OTLP_ENDPOINT": received.endpoint,
                "AI_URL": f"http://127.0.0.1:{server.server_port}",
            },
        )
        spans = received.spans()
    assert done.returncode == 0, done.stderr
    assert done.stdout == "done\n"
    assert [span["name"] for span in spans] == ["chat ada-small"]
    assert "Traceback" not in done.stderr
    assert [(method, parent) for method, _path, parent in server.seen] == [("POST", ""), ("GET", "")] * 2
