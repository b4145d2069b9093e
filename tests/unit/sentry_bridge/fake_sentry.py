"""A stand-in for Sentry's envelope endpoint, which answers as it is told. It is ours, not Sentry."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

KEY = "0123456789abcdef0123456789abcdef"


@dataclass
class FakeSentry:
    """What came, and what is answered.

    Attributes:
        dsn: The DSN that leads to it.
        events: The events that it took.
        asked: The path and ``X-Sentry-Auth`` of every request, also of those refused.
        answers: Status and headers of the next answers; when there are none left, 200.
    """

    dsn: str
    events: list[dict[str, Any]] = field(default_factory=list)
    asked: list[tuple[str, str]] = field(default_factory=list)
    answers: list[tuple[int, dict[str, str]]] = field(default_factory=list)


@contextmanager
def fake_sentry() -> Iterator[FakeSentry]:
    """One on a free port."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = gzip.decompress(self.rfile.read(int(self.headers["Content-Length"])))
            sentry.asked.append((self.path, self.headers["X-Sentry-Auth"]))
            status, headers = sentry.answers.pop(0) if sentry.answers else (200, {})
            if status == 200:
                sentry.events.append(opened(body))
            self.send_response(status)
            for name, value in {"Content-Length": "0", **headers}.items():
                self.send_header(name, value)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    sentry = FakeSentry(f"http://{KEY}@127.0.0.1:{server.server_address[1]}/42")
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield sentry
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def opened(envelope: bytes) -> dict[str, Any]:
    """The one event of an envelope, whose headers must fit it."""
    head, item, rest = envelope.split(b"\n", 2)
    header = json.loads(item)
    body = rest[: header["length"]]
    assert rest[header["length"] :] == b"\n"
    assert header["type"] == "event"
    event: dict[str, Any] = json.loads(body)
    assert json.loads(head)["event_id"] == event["event_id"]
    return event
