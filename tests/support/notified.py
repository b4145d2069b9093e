"""Stand-ins of Slack, of PagerDuty and of a dead man's switch: they keep what Alertmanager sends them.

They take what the real services' documents say: Slack an incoming webhook's JSON, answered ``ok``; PagerDuty
an event of its Events API v2, answered 202 with the dedup key. No check of either service is imitated.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, cast

from typing_extensions import Self

SLACK = "/services/T000/B000/stand-in"
PAGERDUTY = "/v2/enqueue"
DEADMANSSWITCH = "/deadmansswitch"


@dataclass(frozen=True)
class Notification:
    """One request of Alertmanager.

    Attributes:
        path: Where it went: :data:`SLACK`, :data:`PAGERDUTY` or :data:`DEADMANSSWITCH`.
        body: Its JSON.
        at: When it came, monotonic, in seconds.
    """

    path: str
    body: dict[str, Any]
    at: float

    @property
    def title(self) -> str:
        """The headline that a person sees."""
        if self.path == SLACK:
            return str(self.body["attachments"][0]["title"])
        return str(self.body.get("payload", {}).get("summary", ""))


class NotifiedServices(ThreadingHTTPServer):
    """The stand-ins, on one port of loopback. As a context manager they serve from a thread of their own."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self._kept: list[Notification] = []
        self._changed = threading.Condition()

    def url(self, path: str) -> str:
        """The address of one of the services."""
        return f"http://127.0.0.1:{self.server_address[1]}{path}"

    def keep(self, path: str, body: dict[str, Any]) -> None:
        """Note one notification."""
        with self._changed:
            self._kept.append(Notification(path, body, time.monotonic()))
            self._changed.notify_all()

    def received(self, path: str = "") -> list[Notification]:
        """All that came so far, in order; of one service, if ``path`` is given."""
        with self._changed:
            return [one for one in self._kept if path in {"", one.path}]

    def wait_for(
        self, path: str, wanted: Callable[[Notification], bool], seconds: float, what: str
    ) -> Notification:
        """The first notification of a service that is ``wanted``.

        Args:
            path: The service.
            wanted: Says which.
            seconds: How long to wait for it.
            what: What it is, for the error.

        Raises:
            AssertionError: It did not come; names what came.
        """
        end = time.monotonic() + seconds
        with self._changed:
            while True:
                found = next((one for one in self._kept if one.path == path and wanted(one)), None)
                if found is not None:
                    return found
                left = end - time.monotonic()
                if left <= 0:
                    came = [one.title or one.path for one in self._kept]
                    raise AssertionError(f"no {what} within {seconds} s; there came: {came}")
                self._changed.wait(left)

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.shutdown()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        """Keep one notification, and answer as its service does."""
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))))
        cast("NotifiedServices", self.server).keep(self.path, body)
        if self.path == PAGERDUTY:
            answer = {"status": "success", "message": "Event processed", "dedup_key": body.get("dedup_key")}
            self._answer(202, json.dumps(answer).encode())
        else:
            self._answer(200, b"ok")

    def _answer(self, status: int, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class calls it so
        """Say nothing: what matters is kept."""
