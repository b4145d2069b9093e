"""A stand-in for what the collector sends to over HTTP: Elasticsearch, Prometheus, Sentry and its bridge."""

from __future__ import annotations

from http.server import BaseHTTPRequestHandler
from typing import Any, ClassVar


class BackEnds(BaseHTTPRequestHandler):
    """Takes all that it is sent, and keeps the headers of each path."""

    asked: ClassVar[dict[str, Any]] = {}

    def do_POST(self) -> None:
        """Take it; a bulk request is answered as by Elasticsearch with one document."""
        self.rfile.read(int(self.headers["Content-Length"]))
        self.asked[self.path.partition("?")[0]] = self.headers
        answer = b'{"took": 1, "errors": false, "items": [{"create": {"status": 201}}]}'
        self.send_response(200)
        self.send_header("X-Elastic-Product", "Elasticsearch")
        self.send_header(
            "Content-Type", "application/json" if "bulk" in self.path else "application/x-protobuf"
        )
        self.send_header("Content-Length", str(len(answer) if "bulk" in self.path else 0))
        self.end_headers()
        self.wfile.write(answer if "bulk" in self.path else b"")

    def log_message(self, *_: object) -> None:
        """Say nothing."""
