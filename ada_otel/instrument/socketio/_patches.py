"""Puts the wrappers in place and takes them off again."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from ada_otel.instrument.socketio import _events, _lifecycle, _traffic
from ada_otel.instrument.socketio._connections import UpgradeWatch
from ada_otel.instrument.socketio._handling import current
from ada_otel.instrument.socketio._telemetry import Telemetry
from ada_otel.web.requests import socket_event

_Wrapper = Callable[[Telemetry, Callable[..., Any]], Callable[..., Any]]

#: Methods of ``socketio.Server``. Each is looked up on the class at every call, so that servers that exist
#: already are traced too.
_SERVER: dict[str, _Wrapper] = {
    "_handle_connect": _lifecycle.handle_connect,
    "_handle_event_internal": _events.handle_event,
    "_trigger_event": _lifecycle.trigger_event,
    "_handle_ack": _traffic.handle_ack,
    "_handle_eio_message": _traffic.handle_message,
    "_handle_eio_disconnect": _traffic.handle_session_end,
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
        self._watched: Any = None

    def wrap_server(self, module: Any) -> None:
        """Wrap the methods of ``socketio.Server``.

        Raises:
            AttributeError: This version of python-socketio has no such method; nothing is wrapped.
        """
        from engineio.socket import Socket

        server = module.Server
        originals = {name: getattr(server, name) for name in _SERVER}
        for name, wrapper in _SERVER.items():
            self._replace(server, name, wrapper(self._telemetry, originals[name]))
        self._replace(server, "_handle_connect", _registering(server._handle_connect))
        Socket.upgraded = UpgradeWatch(self._telemetry.connections)
        self._watched = Socket

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
        if self._watched is not None:
            del self._watched.upgraded
            self._watched = None

    def _replace(self, owner: Any, name: str, wrapper: Callable[..., Any]) -> None:
        original = getattr(owner, name)
        self._replaced.append((owner, name, original))
        setattr(owner, name, functools.wraps(original)(wrapper))


def _registering(wrapped: Callable[..., Any]) -> Callable[..., Any]:
    """Hand the wrapped methods to Engine.IO for a server that was made before they were wrapped."""

    def _handle_connect(self: Any, eio_sid: str, namespace: str, data: Any) -> Any:
        for event, name in _REGISTERED.items():
            method = getattr(self, name)
            if self.eio.handlers.get(event) != method:
                self.eio.on(event, method)
        return wrapped(self, eio_sid, namespace, data)

    return _handle_connect


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
