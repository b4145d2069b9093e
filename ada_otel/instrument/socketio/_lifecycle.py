"""The way of a connection: its beginning, what the app answers, its end."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import TracebackType
from typing import Any

from opentelemetry.context import Context
from opentelemetry.trace import Link

from ada_otel._diagnostics import contained, failed
from ada_otel.instrument.socketio._calls import Around, Before
from ada_otel.instrument.socketio._connections import POLLING, WEBSOCKET, Connection
from ada_otel.instrument.socketio._handling import Handling, call_hook, current
from ada_otel.instrument.socketio._names import OTHER, namespace_name
from ada_otel.instrument.socketio._telemetry import Telemetry
from ada_otel.pipeline.current import get_current
from ada_otel.pipeline.grouped import SharedLinks

_EMPTY = Context()
_SERVER_DISCONNECT = "server disconnect"
_REASONS = frozenset(
    {_SERVER_DISCONNECT, "client disconnect", "ping timeout", "transport close", "transport error"}
)


class Connecting(Handling):
    """A connection while it is being made.

    Attributes:
        accepted: Whether the app's handler, if there is one, has let it in.
    """

    __slots__ = ("_asked", "_connection", "_eio_sid", "_server", "accepted")

    def __init__(self, telemetry: Telemetry, server: Any, eio_sid: str, asked: str, auth: Any) -> None:
        space = namespace_name(server, asked)
        environ = server.environ.get(eio_sid, {})
        transport = _transport(server, eio_sid) or POLLING
        super().__init__(
            telemetry,
            "connect",
            space,
            telemetry.carrier.of_connection(environ, auth),
            partial(_connect_attributes, server, space, transport, environ),
        )
        span_context = self.span.get_span_context()
        self.accepted = False
        self._server = server
        self._eio_sid = eio_sid
        self._asked = asked
        links = SharedLinks((Link(span_context),) if span_context.is_valid else ())
        self._connection = Connection(space, transport, links)
        if telemetry.connections.get(eio_sid, asked) is None:
            telemetry.connections.begin(eio_sid, asked, self._connection)

    def end(self) -> None:
        """Count it as asked for, and if it was accepted, as an open one; end the span."""
        try:
            self._settle()
        except Exception as error:
            failed("Counting a Socket.IO connection", error)
        super().end()

    def _settle(self) -> None:
        telemetry, connection = self.telemetry, self._connection
        at = self._eio_sid, self._asked
        if self.accepted:
            telemetry.connections.activate(*at, connection, partial(_live_transport, self._server, *at))
            telemetry.asked(connection.namespace, connection.transport, "success", None).add(1)
            return
        if self.error is None and self.refused is None:
            self.refused = "not_accepted"  # no such namespace, or connected to it already
        if telemetry.connections.get(*at) is connection:
            telemetry.connections.end(*at)
        reason = self.refused or type(self.error).__qualname__
        telemetry.asked(connection.namespace, connection.transport, "failure", reason).add(1)


class _ConnectHandler(Around):
    """The app's connect handler within a :class:`Connecting`."""

    __slots__ = ("_connecting",)
    listens = True

    def __init__(self, connecting: Connecting) -> None:
        super().__init__()
        self._connecting = connecting

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            if isinstance(error, _refusals()):
                self._connecting.refused = type(error).__qualname__
            self._connecting.error = error

    def returned(self, result: Any) -> None:
        connecting = self._connecting
        if isinstance(connecting.error, TypeError):
            connecting.error = None  # a handler that takes no `auth` is called a second time, without it
        connecting.accepted = result is not False
        if not connecting.accepted:
            connecting.refused = "refused"


class _EventHandler(Around):
    """The handler of an event, whose result the response hook gets to see."""

    __slots__ = ("_handling", "_hook")
    listens = True

    def __init__(self, handling: Handling, hook: Callable[..., Any]) -> None:
        super().__init__()
        self._handling = handling
        self._hook = hook

    def returned(self, result: Any) -> None:
        handling = self._handling
        call_hook(self._hook, handling.span, handling.event, handling.namespace, result)


class _SessionEnd(Around):
    """The end of an Engine.IO session: whatever a failing handler left behind is not counted on."""

    __slots__ = ("_eio_sid", "_telemetry")

    def __init__(self, telemetry: Telemetry, eio_sid: str) -> None:
        super().__init__()
        self._telemetry = telemetry
        self._eio_sid = eio_sid

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contained("Counting Socket.IO connections"):
            self._telemetry.connections.end_session(self._eio_sid)


def handle_connect(telemetry: Telemetry) -> Before:
    """Around ``Server._handle_connect``."""

    def before(server: Any, eio_sid: str, namespace: str, data: Any) -> Connecting:
        return Connecting(telemetry, server, eio_sid, namespace or "/", data)

    return before


def handle_session_end(telemetry: Telemetry) -> Before:
    """Around ``Server._handle_eio_disconnect``."""
    return lambda _server, eio_sid, *_reason: _SessionEnd(telemetry, eio_sid)


def trigger_event(telemetry: Telemetry) -> Before:
    """Around ``Server._trigger_event``: what a handler answers, and the end of a connection."""

    def before(server: Any, event: str, namespace: str, *arguments: Any) -> Around | None:
        if event == "disconnect":
            # A client may send an event of this name, too; it is connected, then.
            fake = not arguments or server.manager.is_connected(arguments[0], namespace)
            return None if fake else _begin_end(telemetry, server, namespace, arguments)
        if event == "connect":
            connecting = current()
            if not isinstance(connecting, Connecting):
                return None
            if telemetry.request_hook is not None:
                sid, passed = arguments[0], list(arguments[1:])
                call_hook(
                    telemetry.request_hook, connecting.span, "connect", connecting.namespace, sid, passed
                )
            return _ConnectHandler(connecting)
        if telemetry.response_hook is None:
            return None
        handling = current()
        return None if handling is None else _EventHandler(handling, telemetry.response_hook)

    return before


def _begin_end(telemetry: Telemetry, server: Any, namespace: str, arguments: tuple[Any, ...]) -> Handling:
    sid = arguments[0]
    eio_sid = server.manager.eio_sid_from_sid(sid, namespace)
    connection = telemetry.connections.end(eio_sid, namespace)
    given = arguments[1] if len(arguments) > 1 else None
    reason = given if given in _REASONS else OTHER
    space = namespace_name(server, namespace)
    telemetry.disconnects(space, reason).add(1)

    def with_reason() -> dict[str, Any]:
        found = {
            "socketio.namespace": space,
            "socketio.event": "disconnect",
            "socketio.sid": sid,
            "socketio.disconnect.reason": reason,
        }
        if connection is not None:
            found["socketio.transport"] = connection.transport
        return found

    # The app's own call ends the connection within what it is doing.
    parent = get_current() if reason == _SERVER_DISCONNECT else _EMPTY
    links = None if connection is None else connection.links
    return Handling(telemetry, "disconnect", space, parent, with_reason, links)


def _connect_attributes(server: Any, space: str, transport: str, environ: dict[str, Any]) -> dict[str, Any]:
    found = {"socketio.namespace": space, "socketio.event": "connect", "socketio.transport": transport}
    seen = {
        "client.address": _client_address(server, environ),
        "user_agent.original": environ.get("HTTP_USER_AGENT"),
    }
    return found | {key: text for key, text in seen.items() if isinstance(text, str)}


def _client_address(server: Any, environ: dict[str, Any]) -> Any:
    if not server.is_asyncio_based():
        return environ.get("REMOTE_ADDR")
    # Engine.IO's drivers for asyncio put 127.0.0.1 there, whoever it is.
    client = environ.get("asgi.scope", {}).get("client")
    return client[0] if client else getattr(environ.get("aiohttp.request"), "remote", None)


def _transport(server: Any, eio_sid: str) -> str | None:
    """The transport of an Engine.IO session; ``None`` if it has ended or is ending."""
    socket = server.eio.sockets.get(eio_sid)
    if socket is None:
        # Flask-SocketIO's test client has no Engine.IO beneath.
        return POLLING if eio_sid in server.environ else None
    if socket.closing or socket.closed:
        return None
    return WEBSOCKET if socket.upgraded else POLLING


def _live_transport(server: Any, eio_sid: str, namespace: str) -> str | None:
    sid = server.manager.sid_from_eio_sid(eio_sid, namespace)
    return _transport(server, eio_sid) if server.manager.is_connected(sid, namespace) else None


def _refusals() -> tuple[type[BaseException], ...]:
    from socketio.exceptions import ConnectionRefusedError as Refused

    return (Refused, ConnectionRefusedError)
