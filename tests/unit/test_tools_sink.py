"""The Sentry sink takes what Sentry's OTLP endpoints take, and refuses the rest with the reason."""

from __future__ import annotations

import gzip
import json
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tools.stack.sink import Store, serve

TRACE_ID = bytes.fromhex("0af7651916cd43dd8448eb211c80319c")
TRACES = "/api/42/integration/otlp/v1/traces"
LOGS = "/api/42/integration/otlp/v1/logs"
HEADERS = {"x-sentry-auth": "sentry sentry_key=abc", "content-type": "application/x-protobuf"}


def traces() -> bytes:
    request = ExportTraceServiceRequest()
    block = request.resource_spans.add()
    resource = block.resource.attributes.add(key="service.name")
    resource.value.string_value = "ada"
    span = block.scope_spans.add().spans.add(name="GET /items", trace_id=TRACE_ID, span_id=b"12345678")
    for key, number in (("http.response.status_code", 200),):
        span.attributes.add(key=key).value.int_value = number
    span.attributes.add(key="tags").value.array_value.values.add().string_value = "a"
    return bytes(request.SerializeToString())


def logs() -> bytes:
    request = ExportLogsServiceRequest()
    scope = request.resource_logs.add().scope_logs.add()
    scope.scope.name = "ada.chat"
    record = scope.log_records.add(trace_id=TRACE_ID, severity_text="ERROR")
    record.body.string_value = "refused"
    return bytes(request.SerializeToString())


@pytest.fixture
def sink(tmp_path: Path) -> Iterator[str]:
    server = serve(Store("42", "abc", tmp_path / "received.jsonl"), 0)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


def ask(url: str, body: bytes | None = None, method: str | None = None, **headers: str) -> tuple[int, Any]:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(url, data=body, headers=names, method=method)
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            status, content = answer.status, answer.read()
    except urllib.error.HTTPError as error:
        status, content = error.code, error.read()
    return status, json.loads(content) if content else None


@pytest.mark.parametrize("slash", ["", "/"])
@pytest.mark.parametrize("packed", [True, False])
def test_takes_traces_and_logs(sink: str, tmp_path: Path, slash: str, packed: bool) -> None:
    for path, body in ((TRACES, traces()), (LOGS, logs())):
        encoding = {"content-encoding": "gzip"} if packed else {}
        sent = gzip.compress(body) if packed else body
        assert ask(f"{sink}{path}{slash}", sent, **HEADERS, **encoding) == (200, None)
    _, received = ask(f"{sink}/received")
    assert received["counts"] == {"requests": 2, "spans": 1, "logs": 1, "refused": 0}
    assert received["trace_ids"] == [TRACE_ID.hex()]
    (span,) = received["spans"]
    assert span["name"] == "GET /items"
    assert span["attributes"] == {"http.response.status_code": 200, "tags": ["a"]}
    assert span["resource"] == {"service.name": "ada"}
    (log,) = received["logs"]
    assert (log["body"], log["severity"], log["logger"]) == ("refused", "ERROR", "ada.chat")
    assert [request["path"] for request in received["requests"]] == [f"{TRACES}{slash}", f"{LOGS}{slash}"]
    assert {request["auth"] for request in received["requests"]} == {"sentry sentry_key=abc"}
    lines = [json.loads(line) for line in (tmp_path / "received.jsonl").read_text().splitlines()]
    assert [line["signal"] for line in lines] == ["traces", "logs"]
    assert "not Sentry" in received["sink"]


@pytest.mark.parametrize(
    ("path", "changes", "body", "status", "reason"),
    [
        ("/v1/traces", {}, traces(), 404, "the path must be"),
        ("/api/42/integration/otlp/v1/metrics", {}, traces(), 404, "the path must be"),
        ("/api/43/integration/otlp/v1/traces", {}, traces(), 404, "no project 43"),
        (TRACES, {"x-sentry-auth": ""}, traces(), 401, "sentry sentry_key=KEY"),
        (TRACES, {"x-sentry-auth": "Bearer abc"}, traces(), 401, "sentry sentry_key=KEY"),
        (TRACES, {"x-sentry-auth": "sentry sentry_key=abcd"}, traces(), 401, "not the one of this project"),
        (TRACES, {"content-type": "application/json"}, b"{}", 415, "must be application/x-protobuf"),
        (TRACES, {"content-encoding": "zstd"}, traces(), 415, "must be gzip or none"),
        (TRACES, {"content-encoding": "gzip"}, traces(), 400, "not the gzip"),
        (TRACES, {}, b"\xff\xff\xff", 400, "no OTLP request with traces"),
        (LOGS, {}, b"\xff\xff\xff", 400, "no OTLP request with logs"),
    ],
)
def test_refuses_with_the_reason(
    sink: str, path: str, changes: dict[str, str], body: bytes, status: int, reason: str
) -> None:
    answered, detail = ask(f"{sink}{path}", body, **{**HEADERS, **changes})
    assert answered == status
    assert reason in detail["detail"]
    _, received = ask(f"{sink}/received")
    assert received["counts"] == {"requests": 0, "spans": 0, "logs": 0, "refused": 1}
    assert received["refused"][0]["status"] == status


def test_a_body_without_length_is_refused(sink: str) -> None:
    chunks = iter([traces()])  # urllib sends an iterable in chunks
    request = urllib.request.Request(f"{sink}{TRACES}", data=chunks, headers=HEADERS)
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request, timeout=5)
    assert caught.value.code == 411


def test_forgets_on_request(sink: str) -> None:
    ask(f"{sink}{TRACES}", traces(), **HEADERS)
    assert ask(f"{sink}/received", method="DELETE")[0] == 200
    assert ask(f"{sink}/received")[1]["counts"]["requests"] == 0
