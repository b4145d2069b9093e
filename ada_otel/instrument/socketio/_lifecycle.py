"""The way of a connection: its beginning, what the app answers, its end."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from opentelemetry import context as context_api
from opentelemetry.context import Context
from opentelemetry.trace import Link

from ada_otel._diagnostics import failed
from ada_otel.instrument.socketio._connections import POLLING, WEBSOCKET, Connection
from ada_otel.instrument.socketio._handling import Handling, call_hook, current, running
from ada_otel.instrument.socketio._names import OTHER, namespace_name
from ada_otel.instrument.socketio._telemetry import Telemetry

_EMPTY = Context()
_SERVER_DISCONNECT = "server disconnect"
_REASONS = frozenset(
    {_SERVER_DISCONNECT, "client disconnect", "ping timeout", "transport close", "transport error"}
)


def handle_connect(telemetry: Telemetry, original: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap ``Server._handle_connect``."""

    def _handle_connect(self: Any, eio_sid: str, namespace: str, data: Any) -> Any:
        namespace = namespace or "/"
        try:
            handling, connection = _begin(telemetry, self, eio_sid, namespace, data)
        except Exception as error:
            failed("Tracing a Socket.IO connection", error)
            return original(self, eio_sid, namespace, data)
        try:
            with running(handling):
                return original(self, eio_sid, namespace, data)
        finally:
            _settle(telemetry, self, eio_sid, namespace, handling, connection)
            handling.end(telemetry)

    return _handle_connect


def trigger_event(telemetry: Telemetry, original: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap ``Server._trigger_event``: what a connect handler answers, and the end of a connection."""

    def _trigger_event(self: Any, event: str, namespace: str, *arguments: Any) -> Any:
        if event == "connect":
            return _connect(telemetry, original, self, namespace, arguments)
        if event == "disconnect":
            return _disconnect(telemetry, original, self, namespace, arguments)
        result = original(self, event, namespace, *arguments)
        if telemetry.response_hook is not None:
            handling = current()
            if handling is not None:
                call_hook(telemetry.response_hook, handling.span, handling.event, handling.namespace, result)
        return result

    return _trigger_event


def _connect(
    telemetry: Telemetry,
    original: Callable[..., Any],
    server: Any,
    namespace: str,
    arguments: tuple[Any, ...],
) -> Any:
    handling = current()
    if handling is None or handling.event != "connect":
        return original(server, "connect", namespace, *arguments)
    if telemetry.request_hook is not None:
        sid, passed = arguments[0], list(arguments[1:])
        call_hook(telemetry.request_hook, handling.span, "connect", handling.namespace, sid, passed)
    try:
        result = original(server, "connect", namespace, *arguments)
    except BaseException as error:
        if isinstance(error, _refusals()):
            handling.refused = type(error).__qualname__
        handling.error = error
        raise
    if isinstance(handling.error, TypeError):
        handling.error = None  # a handler that takes no `auth` is called a second time, without it
    handling.accepted = result is not False
    if not handling.accepted:
        handling.refused = "refused"
    return result


def _disconnect(
    telemetry: Telemetry,
    original: Callable[..., Any],
    server: Any,
    namespace: str,
    arguments: tuple[Any, ...],
) -> Any:
    try:
        # A client may send an event of this name, too; it is connected, then.
        fake = not arguments or server.manager.is_connected(arguments[0], namespace)
        handling = None if fake else _begin_end(telemetry, server, namespace, arguments)
    except Exception as error:
        failed("Tracing the end of a Socket.IO connection", error)
        handling = None
    if handling is None:
        return original(server, "disconnect", namespace, *arguments)
    try:
        with running(handling):
            return original(server, "disconnect", namespace, *arguments)
    finally:
        handling.end(telemetry)


def _begin(
    telemetry: Telemetry, server: Any, eio_sid: str, namespace: str, auth: Any
) -> tuple[Handling, Connection]:
    space = namespace_name(server, namespace)
    environ = server.environ.get(eio_sid, {})
    transport = _transport(server, eio_sid) or POLLING
    handling = Handling(
        telemetry,
        "connect",
        space,
        telemetry.carrier.of_connection(environ, auth),
        partial(_connect_attributes, space, transport, environ),
    )
    span_context = handling.span.get_span_context()
    connection = Connection(space, transport, Link(span_context) if span_context.is_valid else None)
    if telemetry.connections.get(eio_sid, namespace) is None:
        telemetry.connections.begin(eio_sid, namespace, connection)
    return handling, connection


def _settle(
    telemetry: Telemetry,
    server: Any,
    eio_sid: str,
    namespace: str,
    handling: Handling,
    connection: Connection,
) -> None:
    """Count a connection that was asked for, and if it was accepted, as an open one."""
    connections = telemetry.connections
    try:
        if handling.accepted:
            connections.activate(
                eio_sid, namespace, connection, partial(_live_transport, server, eio_sid, namespace)
            )
            telemetry.asked(connection.namespace, connection.transport, "success", None).add(1)
            return
        if handling.error is None and handling.refused is None:
            handling.refused = "not_accepted"  # no such namespace, or connected to it already
        if connections.get(eio_sid, namespace) is connection:
            connections.end(eio_sid, namespace)
        reason = handling.refused or type(handling.error).__qualname__
        telemetry.asked(connection.namespace, connection.transport, "failure", reason).add(1)
    except Exception as error:
        failed("Counting a Socket.IO connection", error)


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
    parent = context_api.get_current() if reason == _SERVER_DISCONNECT else _EMPTY
    link = None if connection is None else connection.link
    return Handling(telemetry, "disconnect", space, parent, with_reason, link)


def _connect_attributes(space: str, transport: str, environ: dict[str, Any]) -> dict[str, Any]:
    found = {"socketio.namespace": space, "socketio.event": "connect", "socketio.transport": transport}
    for key, source in (("client.address", "REMOTE_ADDR"), ("user_agent.original", "HTTP_USER_AGENT")):
        text = environ.get(source)
        if isinstance(text, str):
            found[key] = text
    return found


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
