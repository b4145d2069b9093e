"""One user of ADA: an HTTP session with its cookie, and a Socket.IO connection."""

from __future__ import annotations

import time
from typing import Any

import requests
import socketio

from .report import Report

PASSWORD = "correct horse battery staple"
NAMESPACE = "/chat"
UNMATCHED = "(unmatched)"

_SERVER_EVENTS = ("joined", "left", "message")


class DrivenUser:
    """Sends requests and events as one user, and reports each.

    Args:
        url: Where the app is, without a slash at the end.
        transport: ``polling`` or ``websocket``, for Socket.IO.
        timeout: Seconds that an answer may take.
    """

    def __init__(self, url: str, name: str, report: Report, transport: str, timeout: float) -> None:
        self.name = name
        self._url = url
        self._report = report
        self._transport = transport
        self._timeout = timeout
        self._http = _session()
        # A connection per request: one that the server closes while it is idle would cost a request.
        self._http.headers["Connection"] = "close"
        self._socket: socketio.Client | None = None

    @property
    def connected(self) -> bool:
        """Whether the Socket.IO connection stands."""
        return self._socket is not None and NAMESPACE in self._socket.namespaces

    def request(
        self, method: str, route: str, *, path: str | None = None, expect: int | None = None, **options: Any
    ) -> None:
        """Send one request.

        Args:
            method: The HTTP method.
            route: The route's template, for the report.
            path: What is asked for, where that differs from ``route``.
            expect: The only status that is right, if that is known.
            options: As for `requests.request`.
        """
        path = route if path is None else path
        started = time.perf_counter()
        try:
            answer = self._http.request(method, self._url + path, timeout=self._timeout, **options)
        except requests.RequestException as error:
            self._report.error(f"{method} {route}", error)
            return
        self._report.request(method, route, answer.status_code, time.perf_counter() - started)
        if expect is not None and answer.status_code != expect:
            self._report.unexpected(f"{method} {path} was answered {answer.status_code}, not {expect}")

    def sign_in(
        self, password: str = PASSWORD, *, name: str | None = None, expect: int | None = None
    ) -> None:
        """Sign in, by default as this user with the right password."""
        body = {"name": name or self.name, "password": password}
        self.request("POST", "/auth/sign-in", json=body, expect=expect)

    def connect(self, *, expect: str | None = None) -> None:
        """Open the Socket.IO connection, with the session's cookie; ``expect``: ``ok`` or ``refused``."""
        http = _session()
        http.cookies.update(self._http.cookies)
        client = socketio.Client(reconnection=False, http_session=http, request_timeout=self._timeout)
        refusals: list[Any] = []
        client.on("connect_error", refusals.append, namespace=NAMESPACE)
        for name in _SERVER_EVENTS:
            client.on(name, self._counter(name), namespace=NAMESPACE)
        try:
            client.connect(
                self._url, namespaces=[NAMESPACE], transports=[self._transport], wait_timeout=self._timeout
            )
            outcome = "ok"
        except socketio.exceptions.ConnectionError as error:
            client.disconnect()
            if not refusals:
                self._report.error(f"connect over {self._transport}", error)
                return
            outcome = "refused"
        else:
            self._socket = client
        self._note("connect", outcome, expect)

    def emit(self, name: str, data: dict[str, Any], *, expect: str | None = None) -> None:
        """Send one event and wait for its acknowledgement; ``expect``: ``ok`` or ``error``."""
        if self._socket is None:
            return
        try:
            answer = self._socket.call(name, data, namespace=NAMESPACE, timeout=self._timeout)
        except socketio.exceptions.SocketIOError as error:
            self._report.error(f"{name} over {self._transport}", error)
            self._socket.disconnect()
            self._socket = None
            return
        self._note(name, "error" if isinstance(answer, dict) and "error" in answer else "ok", expect)

    def disconnect(self) -> None:
        """Close the Socket.IO connection, if there is one."""
        if self._socket is not None:
            self._socket.disconnect()
            self._socket = None
            self._note("disconnect", "ok", None)

    def close(self) -> None:
        """Close all connections."""
        self.disconnect()
        self._http.close()

    def _note(self, name: str, outcome: str, expect: str | None) -> None:
        self._report.event(name, self._transport, outcome)
        if expect is not None and outcome != expect:
            self._report.unexpected(f"event {name} over {self._transport} was {outcome}, not {expect}")

    def _counter(self, name: str) -> Any:
        def count(_data: Any = None) -> None:
            self._report.received(name)

        return count


def _session() -> requests.Session:
    session = requests.Session()
    # The app is on this machine: a proxy for the world outside does not know it.
    session.trust_env = False
    session.headers["User-Agent"] = "ada-drive/1"
    return session
