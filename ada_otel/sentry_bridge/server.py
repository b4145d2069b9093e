"""The OTLP/HTTP receiver: takes log records from the collector, and answers once Sentry has the errors."""

from __future__ import annotations

import json
import logging
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from ada_otel._version import __version__
from ada_otel.sentry_bridge import records
from ada_otel.sentry_bridge.events import EventSettings, events_of
from ada_otel.sentry_bridge.sender import Outcome, Sender, whole_seconds

_logger = logging.getLogger("ada_otel.sentry_bridge")

LOGS_PATH = "/v1/logs"
HEALTH_PATH = "/health"
_PROTOBUF = "application/x-protobuf"
#: An idle connection of the collector's is kept for this long, in seconds.
_IDLE_SECONDS = 120.0
#: google.rpc.Code, which OTLP's answers carry.
_INVALID_ARGUMENT, _UNAVAILABLE, _RESOURCE_EXHAUSTED = 3, 14, 8


class Bridge(ThreadingHTTPServer):
    """The bridge's server: POST ``/v1/logs`` and GET ``/health``.

    Args:
        address: Host and port to listen on; port 0 takes a free one.
        sender: Sends the events.
        settings: How events are made.

    Raises:
        OSError: The address is taken, or is none of this machine.
    """

    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, address: tuple[str, int], sender: Sender, settings: EventSettings) -> None:
        if ":" in address[0]:
            self.address_family = socket.AF_INET6
        super().__init__(address, _Handler)
        self.sender = sender
        self.settings = settings
        self._busy = 0
        self._idle = threading.Condition()

    @property
    def url(self) -> str:
        """Where it listens."""
        host, port = self.server_address[:2]
        name = host.decode() if isinstance(host, (bytes, bytearray)) else host
        return f"http://[{name}]:{port}" if ":" in name else f"http://{name}:{port}"

    def take(self, body: bytes) -> Outcome:
        """Make events of an ``ExportLogsServiceRequest`` and send them.

        Raises:
            UndecodableError: It is no such request.
        """
        with self._idle:
            self._busy += 1
        try:
            events = events_of(records.decode(body), self.settings)
            return self.sender.send(events) if events else Outcome()
        finally:
            with self._idle:
                self._busy -= 1
                self._idle.notify_all()

    def wait_until_idle(self, seconds: float) -> bool:
        """Wait until no request is being worked on, and say whether that came in time."""
        deadline = time.monotonic() + seconds
        with self._idle:
            while self._busy:
                left = deadline - time.monotonic()
                if left <= 0 or not self._idle.wait(left):
                    return not self._busy
        return True

    def health(self) -> dict[str, Any]:
        """What ``/health`` answers: counts since the start, and whether Sentry has to be waited for."""
        counts = self.sender.counts
        waiting = self.sender.waiting()
        return {
            "status": "ok",
            "version": __version__,
            "sentry": "away" if counts.last_error else "ok",
            "rate_limited_seconds": round(waiting, 1),
            **vars(counts),
        }


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "ada-otel-sentry-bridge"
    sys_version = ""
    timeout = _IDLE_SECONDS
    # Answers are small and sent in one piece; without this each waits for the other side's acknowledgement.
    disable_nagle_algorithm = True
    server: Bridge

    def do_GET(self) -> None:
        """Answer ``/health``: 200 while the bridge runs. Sentry being away is no reason to restart it."""
        if self.path.partition("?")[0] != HEALTH_PATH:
            self._answer(404, b"", _PROTOBUF)
            return
        self._answer(200, json.dumps(self.server.health()).encode(), "application/json")

    def do_POST(self) -> None:
        """Take one export request."""
        if self.path.partition("?")[0] != LOGS_PATH:
            self.close_connection = True
            self._refuse(404, _INVALID_ARGUMENT, f"post log records to {LOGS_PATH}")
            return
        body = self._body()
        if body is None:
            return
        try:
            outcome = self.server.take(records.unpack(body, self.headers.get("Content-Encoding", "").lower()))
        except records.UndecodableError as error:
            _logger.warning("A request was refused: %s", error)
            self._refuse(400, _INVALID_ARGUMENT, str(error))
        except Exception:
            # Not the records' fault as far as we know: the collector keeps them, and this line tells why.
            _logger.exception("A request could not be worked on")
            self._refuse(503, _UNAVAILABLE, "the bridge failed; its log says why", 30)
        else:
            self._tell(outcome)

    def _body(self) -> bytes | None:
        """The request's body; ``None`` when it was refused instead."""
        self.close_connection = True
        kind = self.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        length = self.headers.get("Content-Length", "")
        if kind != _PROTOBUF:
            self._refuse(
                415, _INVALID_ARGUMENT, f"send {_PROTOBUF} (encoding: proto), not {kind or 'nothing'}"
            )
        elif not (length.isascii() and length.isdigit()):
            self._refuse(411, _INVALID_ARGUMENT, "the header Content-Length is missing")
        elif int(length) > records.MAX_BYTES:
            self._refuse(413, _INVALID_ARGUMENT, f"a request may have {records.MAX_BYTES} bytes at most")
        else:
            body = self.rfile.read(int(length))
            if len(body) == int(length):
                self.close_connection = self.headers.get("Connection", "").lower() == "close"
                return body
            self._refuse(400, _INVALID_ARGUMENT, "the body is shorter than Content-Length says")
        return None

    def _tell(self, outcome: Outcome) -> None:
        if outcome.retry_after is not None:
            status, code = (429, _RESOURCE_EXHAUSTED) if outcome.limited else (503, _UNAVAILABLE)
            self._refuse(status, code, outcome.reason, outcome.retry_after)
            return
        from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse

        response = ExportLogsServiceResponse()
        if outcome.rejected:
            response.partial_success.rejected_log_records = len(outcome.rejected)
            response.partial_success.error_message = "; ".join(outcome.rejected)[:2000]
        self._answer(200, response.SerializeToString(), _PROTOBUF)

    def _refuse(self, status: int, code: int, message: str, retry_after: float | None = None) -> None:
        from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]

        body = Status(code=code, message=f"ada-otel sentry-bridge: {message}").SerializeToString()
        self._answer(status, body, _PROTOBUF, retry_after)

    def _answer(self, status: int, body: bytes, kind: str, retry_after: float | None = None) -> None:
        try:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            if retry_after is not None:
                self.send_header("Retry-After", str(whole_seconds(retry_after)))
            if self.close_connection:
                self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(body)
        except OSError:
            # The collector has gone. It comes again with the same records, and their events are known then.
            self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is the base class's
        """Requests are not logged: the counts of ``/health`` tell."""
