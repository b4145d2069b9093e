"""A sink for OTLP as Sentry takes it. It is our own stand-in: it stores what came, and is not Sentry.

It answers ``POST /api/PROJECT/integration/otlp/v1/traces`` and ``…/v1/logs``, with or without a last slash:

- 404 for any other path or project,
- 401 without the header ``x-sentry-auth: sentry sentry_key=KEY`` with the right key,
- 411 without ``content-length``,
- 415 for a body that is not ``application/x-protobuf``,
- 400 for a body that is no OTLP request, or not the gzip that it says it is,
- 200 with an empty OTLP response for all else.

``GET /received`` gives what it accepted and what it refused, ``GET /health`` answers once it listens.
Each accepted request is one line of JSON in a file. Paths and header are those that Sentry documents.
"""

from __future__ import annotations

import argparse
import gzip
import json
import re
import sys
import threading
import time
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tools.stack.ports import LOOPBACK

_PATH = re.compile(r"/api/(?P<project>\d+)/integration/otlp/v1/(?P<signal>traces|logs)/?")
_AUTH = re.compile(r"sentry\s+(?:.*,\s*)?sentry_key=(?P<key>[^,\s]+)", re.IGNORECASE)


class RefusedError(Exception):
    """A request that is not taken.

    Args:
        status: The HTTP status to answer with.
        reason: Why, for the answer and for ``GET /received``.
    """

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


@dataclass
class Store:
    """What the sink accepted and refused, in order of arrival.

    Attributes:
        project: The project id that requests must name.
        key: The public key that they must bring.
        file: One line of JSON per accepted request.
    """

    project: str
    key: str
    file: Path
    requests: list[dict[str, Any]] = field(default_factory=list)
    refused: list[dict[str, Any]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, path: str, headers: dict[str, str], body: bytes) -> None:
        """Check and store one request.

        Args:
            path: Its path.
            headers: Its headers, names in lower case.
            body: Its body as it came.

        Raises:
            RefusedError: The request is not one that Sentry would take.
        """
        try:
            record = self._check(path, headers, body)
        except RefusedError as refusal:
            with self.lock:
                self.refused.append({"path": path, "status": refusal.status, "reason": str(refusal)})
            raise
        with self.lock:
            self.requests.append(record)
            with self.file.open("a", encoding="utf-8") as file:
                file.write(json.dumps(record) + "\n")

    def received(self) -> dict[str, Any]:
        """All of it: counts, the spans and log records of all requests, the requests, and the refusals."""
        with self.lock:
            requests, refused = list(self.requests), list(self.refused)
        spans = [span for request in requests for span in request["spans"]]
        logs = [log for request in requests for log in request["logs"]]
        return {
            "sink": "ada-otel's own stand-in for Sentry's OTLP endpoints, not Sentry",
            "counts": {
                "requests": len(requests),
                "spans": len(spans),
                "logs": len(logs),
                "refused": len(refused),
            },
            "trace_ids": sorted({entry["trace_id"] for entry in spans + logs if entry["trace_id"]}),
            "spans": spans,
            "logs": logs,
            "requests": [
                {name: value for name, value in request.items() if name not in ("spans", "logs")}
                for request in requests
            ],
            "refused": refused,
        }

    def clear(self) -> None:
        """Forget all that came, except in the file."""
        with self.lock:
            self.requests.clear()
            self.refused.clear()

    def _check(self, path: str, headers: dict[str, str], body: bytes) -> dict[str, Any]:
        route = _PATH.fullmatch(path)
        if route is None:
            raise RefusedError(404, "the path must be /api/PROJECT/integration/otlp/v1/traces or …/v1/logs")
        if route["project"] != self.project:
            raise RefusedError(
                404, f"there is no project {route['project']}; this sink has project {self.project}"
            )
        auth = headers.get("x-sentry-auth", "")
        key = _AUTH.fullmatch(auth.strip())
        if key is None:
            raise RefusedError(401, "the header x-sentry-auth must be: sentry sentry_key=KEY")
        if key["key"] != self.key:
            raise RefusedError(401, "the key in x-sentry-auth is not the one of this project")
        content_type = headers.get("content-type", "").partition(";")[0].strip()
        if content_type != "application/x-protobuf":
            raise RefusedError(
                415, f"the content type must be application/x-protobuf, not {content_type or 'none'}"
            )
        spans, logs = decode(route["signal"], _unpack(headers.get("content-encoding", ""), body))
        return {
            "received": time.time(),
            "path": path,
            "signal": route["signal"],
            "auth": auth,
            "bytes": len(body),
            "spans": spans,
            "logs": logs,
        }


def decode(signal: str, body: bytes) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The spans and log records of an OTLP request.

    Args:
        signal: ``traces`` or ``logs``.
        body: The protobuf message.

    Returns:
        Spans and log records as plain dictionaries, ids in hexadecimal; one of the two lists is empty.

    Raises:
        RefusedError: The body is no such message.
    """
    try:
        if signal == "traces":
            return _spans(ExportTraceServiceRequest.FromString(body)), []
        return [], _logs(ExportLogsServiceRequest.FromString(body))
    except DecodeError:
        raise RefusedError(400, f"the body is no OTLP request with {signal}") from None


def _spans(request: ExportTraceServiceRequest) -> list[dict[str, Any]]:
    return [
        {
            "trace_id": span.trace_id.hex(),
            "span_id": span.span_id.hex(),
            "parent_span_id": span.parent_span_id.hex(),
            "name": span.name,
            "kind": span.kind,
            "scope": scope.scope.name,
            "status": span.status.code,
            "attributes": _attributes(span.attributes),
            "resource": _attributes(block.resource.attributes),
        }
        for block in request.resource_spans
        for scope in block.scope_spans
        for span in scope.spans
    ]


def _logs(request: ExportLogsServiceRequest) -> list[dict[str, Any]]:
    return [
        {
            "trace_id": record.trace_id.hex(),
            "span_id": record.span_id.hex(),
            "body": _value(record.body),
            "severity": record.severity_text,
            "logger": scope.scope.name,
            "attributes": _attributes(record.attributes),
            "resource": _attributes(block.resource.attributes),
        }
        for block in request.resource_logs
        for scope in block.scope_logs
        for record in scope.log_records
    ]


def _attributes(pairs: Any) -> dict[str, Any]:
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: Any) -> Any:
    """The JSON value of an OTLP ``AnyValue``."""
    kind = value.WhichOneof("value")
    if kind is None:
        return None
    if kind == "array_value":
        return [_value(item) for item in value.array_value.values]
    if kind == "kvlist_value":
        return _attributes(value.kvlist_value.values)
    plain = getattr(value, kind)
    return plain.hex() if isinstance(plain, bytes) else plain


def _unpack(encoding: str, body: bytes) -> bytes:
    if encoding in ("", "identity"):
        return body
    if encoding != "gzip":
        raise RefusedError(415, f"the content encoding must be gzip or none, not {encoding}")
    try:
        return gzip.decompress(body)
    except (OSError, EOFError, zlib.error):
        raise RefusedError(400, "the body is not the gzip that its content encoding says") from None


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    store: Store

    def do_POST(self) -> None:
        length = self.headers.get("content-length", "")
        if not (length.isascii() and length.isdigit()):
            self.close_connection = True
            self._answer(411, "application/json", b'{"detail": "the header content-length is needed"}')
            return
        body = self.rfile.read(int(length))
        try:
            self.store.take(self.path, {name.lower(): value for name, value in self.headers.items()}, body)
        except RefusedError as refusal:
            self._answer(refusal.status, "application/json", json.dumps({"detail": str(refusal)}).encode())
        else:
            # An empty message is a full success in OTLP.
            self._answer(200, "application/x-protobuf", b"")

    def do_GET(self) -> None:
        if self.path == "/health":
            self._answer(200, "text/plain", b"ok: the Sentry sink of ada-otel, not Sentry\n")
        elif self.path == "/received":
            self._answer(200, "application/json", json.dumps(self.store.received()).encode())
        else:
            self._answer(404, "text/plain", b"GET /received or /health\n")

    def do_DELETE(self) -> None:
        if self.path == "/received":
            self.store.clear()
            self._answer(200, "application/json", b"{}")
        else:
            self._answer(404, "text/plain", b"DELETE /received\n")

    def _answer(self, status: int, content_type: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("content-type", content_type)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def serve(store: Store, port: int) -> ThreadingHTTPServer:
    """A server on loopback for ``store``; the caller runs ``serve_forever`` and ends it.

    Args:
        store: Takes the requests.
        port: 0 for a free one.
    """
    handler = type("Handler", (_Handler,), {"store": store})
    server = ThreadingHTTPServer((LOOPBACK, port), handler)
    server.daemon_threads = True
    return server


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line until SIGTERM."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.stack.sink",
        description="A stand-in for Sentry's OTLP endpoints. It is not Sentry.",
    )
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--project", required=True, help="the project id that requests must name")
    parser.add_argument("--key", required=True, help="the public key that requests must bring")
    parser.add_argument("--file", type=Path, required=True, help="gets one line of JSON per accepted request")
    options = parser.parse_args(arguments)
    server = serve(Store(options.project, options.key, options.file), options.port)
    sys.stdout.write(f"the Sentry sink (not Sentry) listens on {LOOPBACK}:{options.port}\n")
    sys.stdout.flush()
    server.serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main())
