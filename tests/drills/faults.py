"""A loopback collector that is healthy or misbehaves on command, and keeps what it accepted."""

from __future__ import annotations

import gzip
import socket
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

_MESSAGES: dict[str, Any] = {
    "/v1/traces": ExportTraceServiceRequest,
    "/v1/metrics": ExportMetricsServiceRequest,
    "/v1/logs": ExportLogsServiceRequest,
}


@dataclass
class Request:
    """One request: when it came (monotonic), its path, headers in lower case, and the body as sent."""

    at: float
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def plain(self) -> bytes:
        """The body without its content encoding."""
        encoding = self.headers.get("content-encoding")
        if encoding == "gzip":
            return gzip.decompress(self.body)
        return zlib.decompress(self.body) if encoding == "deflate" else self.body

    def message(self) -> Any:
        """The OTLP message in it."""
        return _MESSAGES[self.path].FromString(self.plain)


Answer = Callable[[Request], bytes]


def answer(status: int, body: bytes = b"", **headers: str) -> bytes:
    """An HTTP answer, with header names' underscores as dashes."""
    lines = "".join(f"{name.replace('_', '-')}: {text}\r\n" for name, text in headers.items())
    return f"HTTP/1.1 {status} X\r\ncontent-length: {len(body)}\r\n{lines}\r\n".encode() + body


@dataclass
class Collector:
    """What arrived, and what is answered.

    ``mode``: ``healthy``; ``black_hole``, which never answers; ``drip``, which answers a byte a second; a
    status code as text; or a function from the request to the bytes of the answer. Only what was answered
    with 200 by ``healthy`` or by a function counts as accepted.
    """

    mode: str | Answer = "healthy"
    endpoint: str = ""
    connections: int = 0
    requests: list[Request] = field(default_factory=list)
    accepted: list[Request] = field(default_factory=list)

    def messages(self, path: str) -> list[Any]:
        """The accepted OTLP messages of one path."""
        return [request.message() for request in list(self.accepted) if request.path == path]

    def spans(self) -> list[Any]:
        """All accepted spans."""
        return [
            span
            for message in self.messages("/v1/traces")
            for block in message.resource_spans
            for scope in block.scope_spans
            for span in scope.spans
        ]

    def names(self) -> list[str]:
        """The names of all accepted spans."""
        return [span.name for span in self.spans()]

    def bodies(self) -> list[str]:
        """The bodies of all accepted log records."""
        return [
            record.body.string_value
            for message in self.messages("/v1/logs")
            for block in message.resource_logs
            for scope in block.scope_logs
            for record in scope.log_records
        ]

    def totals(self, metric: str) -> dict[str, int]:
        """The last value of a cumulative counter, or count of a histogram, by ``service.instance.id``.

        Series of one process are added up; what another process counted is in another row.
        """
        last: dict[tuple[str, str], int] = {}
        for message in self.messages("/v1/metrics"):
            for block in message.resource_metrics:
                instance = _instance(block.resource)
                for scope in block.scope_metrics:
                    for found in scope.metrics:
                        for point in _points(found) if found.name == metric else ():
                            series = str(sorted(str(pair) for pair in point.attributes))
                            last[instance, series] = _count(point)
        totals: dict[str, int] = {}
        for (instance, _), count in last.items():
            totals[instance] = totals.get(instance, 0) + count
        return totals

    def wait_for(self, ready: Callable[[], bool], seconds: float = 10) -> bool:
        """Wait until ``ready()``, and say whether it came to that."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if ready():
                return True
            time.sleep(0.02)
        return ready()


@contextmanager
def collector(mode: str | Answer = "healthy") -> Iterator[Collector]:
    """Listen on a free loopback port for as long as the block lasts."""
    state = Collector(mode)
    listener = socket.create_server(("127.0.0.1", 0), backlog=256)
    state.endpoint = f"http://127.0.0.1:{listener.getsockname()[1]}"
    ended = threading.Event()

    def accept() -> None:
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            state.connections += 1
            threading.Thread(target=_serve, args=(sock, state, ended), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield state
    finally:
        ended.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def _instance(resource: Any) -> str:
    found = [pair.value.string_value for pair in resource.attributes if pair.key == "service.instance.id"]
    return found[0] if found else ""


def _points(metric: Any) -> Any:
    return getattr(metric, metric.WhichOneof("data")).data_points


def _count(point: Any) -> int:
    return int(point.count if hasattr(point, "count") else point.as_int)


@contextmanager
def refusing() -> Iterator[str]:
    """The address of a loopback port where nobody listens."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))  # bound, so that nobody else gets it; not listening
        yield f"http://127.0.0.1:{holder.getsockname()[1]}"


def _serve(sock: socket.socket, state: Collector, ended: threading.Event) -> None:
    with sock, sock.makefile("rb") as stream:
        while True:
            try:
                request = _read(stream)
            except (OSError, ValueError):
                return
            if request is None:
                return
            state.requests.append(request)
            try:
                if not _reply(sock, state, request, ended):
                    return
            except OSError:
                return


def _reply(sock: socket.socket, state: Collector, request: Request, ended: threading.Event) -> bool:
    mode = state.mode
    if mode == "black_hole":
        ended.wait()
        return False
    if mode == "drip":
        for byte in answer(200, b"x" * 100):
            if ended.wait(1):
                return False
            sock.sendall(bytes([byte]))
        return False
    if mode == "healthy":
        state.accepted.append(request)
        sock.sendall(answer(200))
        return True
    said = answer(int(mode)) if isinstance(mode, str) else mode(request)
    if said.startswith(b"HTTP/1.1 200"):
        state.accepted.append(request)
    sock.sendall(said)
    return bool(said)


def _read(stream: Any) -> Request | None:
    first = stream.readline()
    if not first:
        return None
    headers = {}
    while (line := stream.readline()) not in {b"\r\n", b""}:
        name, _, text = line.decode().partition(":")
        headers[name.strip().lower()] = text.strip()
    body = stream.read(int(headers.get("content-length", "0")))
    return Request(time.monotonic(), first.decode().split()[1], headers, body)
