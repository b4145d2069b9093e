"""Puts the wrappers in place and takes them off again."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

from ada_otel.instrument.socketio import _events, _lifecycle, _traffic
from ada_otel.instrument.socketio._calls import Before, awaited, plain
from ada_otel.instrument.socketio._connections import UpgradeWatch
from ada_otel.instrument.socketio._handling import current
from ada_otel.instrument.socketio._telemetry import Telemetry
from ada_otel.web.requests import socket_event

#: Methods of ``socketio.Server`` and ``socketio.AsyncServer``. Each is looked up on the class at every call,
#: so that servers that exist already are traced too.
_METHODS: dict[str, Callable[[Telemetry], Before]] = {
    "_handle_connect": _lifecycle.handle_connect,
    "_handle_event_internal": _events.handle_event,
    "_trigger_event": _lifecycle.trigger_event,
    "_handle_ack": _traffic.handle_ack,
    "_handle_eio_message": _traffic.handle_message,
    "_handle_eio_disconnect": _lifecycle.handle_session_end,
    "_send_packet": _traffic.send_packet,
    "_send_eio_packet": _traffic.send_part,
    "emit": _traffic.emit,
    "start_background_task": _traffic.start_background_task,
}
#: But for these, which a server hands to Engine.IO when it is made.
_REGISTERED = {"message": "_handle_eio_message", "disconnect": "_handle_eio_disconnect"}


class Patches:
    """The wrappers of one instrumentation."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry
        self._replaced: list[tuple[Any, str, Any]] = []
        self._watched: list[Any] = []

    def wrap_server(self, module: Any) -> None:
        """Wrap the methods of ``socketio.Server`` and ``socketio.AsyncServer``.

        Raises:
            AttributeError: This version of python-socketio has no such method; nothing is wrapped.
        """
        from engineio.async_socket import AsyncSocket
        from engineio.socket import Socket

        servers = (module.Server, module.AsyncServer)
        originals = [(server, name, getattr(server, name)) for server in servers for name in _METHODS]
        for server, name, original in originals:
            self._wrap(server, name, original, _METHODS[name](self._telemetry))
        for server in servers:
            self._wrap(server, "_handle_connect", server._handle_connect, _register)
        for socket in (Socket, AsyncSocket):
            socket.upgraded = UpgradeWatch(self._telemetry.connections)
            self._watched.append(socket)

    def wrap_flask(self, module: Any) -> None:
        """Wrap ``flask_socketio.SocketIO._handle_event``, which keeps errors to itself.

        Raises:
            AttributeError: This version of Flask-SocketIO has no such method.
        """
        original = module.SocketIO._handle_event

        def _handle_event(self: Any, handler: Any, *arguments: Any) -> Any:
            return original(self, functools.partial(_noting, handler), *arguments)

        self._replace(module.SocketIO, "_handle_event", _handle_event)

    def remove(self) -> None:
        """Take all wrappers off."""
        self._telemetry.on = False
        for owner, name, original in reversed(self._replaced):
            setattr(owner, name, original)
        self._replaced.clear()
        for socket in self._watched:
            del socket.upgraded
        self._watched.clear()

    def _wrap(self, owner: Any, name: str, original: Any, before: Before) -> None:
        wrap = awaited if inspect.iscoroutinefunction(original) else plain
        self._replace(owner, name, wrap(before, original))

    def _replace(self, owner: Any, name: str, wrapper: Callable[..., Any]) -> None:
        original = getattr(owner, name)
        self._replaced.append((owner, name, original))
        setattr(owner, name, functools.wraps(original)(wrapper))


def _register(server: Any, *_arguments: Any) -> None:
    """Hand the wrapped methods to Engine.IO for a server that was made before they were wrapped."""
    for event, name in _REGISTERED.items():
        method = getattr(server, name)
        if server.eio.handlers.get(event) != method:
            server.eio.on(event, method)


def _noting(handler: Any, *arguments: Any) -> Any:
    """Call a handler of Flask-SocketIO; its error is noted even if ``on_error`` then deals with it."""
    handling = current()
    if handling is None:
        return handler(*arguments)
    with socket_event(handling.event, handling.namespace):
        try:
            return handler(*arguments)
        except Exception as error:
            handling.error = error
            raise
