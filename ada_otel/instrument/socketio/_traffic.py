"""Packets in and out, emits and their acknowledgements, background tasks."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from opentelemetry import context as context_api
from opentelemetry.context import Context
from opentelemetry.trace import SpanKind
from opentelemetry.trace.propagation import _SPAN_KEY
from opentelemetry.trace.status import Status, StatusCode

from ada_otel._diagnostics import failed
from ada_otel.instrument.socketio import _packets
from ada_otel.instrument.socketio._handling import call_hook
from ada_otel.instrument.socketio._names import ACKNOWLEDGEMENT, OTHER, emitted_name, namespace_name
from ada_otel.instrument.socketio._telemetry import Telemetry

_EMPTY = Context()
_LONGEST_ROOM = 100
_COUNTED = "_ada_otel"


def handle_message(telemetry: Telemetry, original: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap ``Server._handle_eio_message``: count the bytes that came in."""

    def count(server: Any, eio_sid: str, data: Any) -> None:
        pending = server._binary_packet.get(eio_sid)
        if pending is not None:
            found = pending.namespace or "/"
        elif isinstance(data, str):
            found = _packets.namespace(data)
        else:
            found = OTHER  # msgpack: what is in it is not known before it is decoded
        telemetry.io(namespace_name(server, found), "receive").add(_packets.size(data), None, None)

    def _handle_eio_message(self: Any, eio_sid: str, data: Any) -> Any:
        if telemetry.on:
            try:
                count(self, eio_sid, data)
            except Exception as error:
                failed("Counting what came over Socket.IO", error)
        return original(self, eio_sid, data)

    return _handle_eio_message


def handle_session_end(telemetry: Telemetry, original: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap ``Server._handle_eio_disconnect``: whatever a failing handler left behind is not counted on."""

    def _handle_eio_disconnect(self: Any, eio_sid: str, *reason: Any) -> Any:
        try:
            return original(self, eio_sid, *reason)
        finally:
            telemetry.connections.end_session(eio_sid)

    return _handle_eio_disconnect


def handle_ack(telemetry: Telemetry, original: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap ``Server._handle_ack``: count acknowledgements that came in."""

    def _handle_ack(self: Any, eio_sid: str, namespace: str, *arguments: Any) -> Any:
        try:
            space = namespace_name(self, namespace or "/")
            telemetry.messages(space, ACKNOWLEDGEMENT, "receive").add(1, None, None)
        except Exception as error:
            failed("Counting what came over Socket.IO", error)
        return original(self, eio_sid, namespace, *arguments)

    return _handle_ack


def send_packet(telemetry: Telemetry, original: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap ``Server._send_packet``, the way of everything that is sent to one client."""

    def count(server: Any, packet: Any) -> None:
        encoded = packet.encode()
        # It is encoded once more inside, which would cost as much again.
        packet.encode = lambda: encoded
        size = sum(map(_packets.size, encoded)) if isinstance(encoded, list) else _packets.size(encoded)
        space = namespace_name(server, packet.namespace or "/")
        telemetry.io(space, "transmit").add(size, None, None)
        kind = packet.packet_type
        if kind in _packets.EVENTS:
            name = emitted_name(packet.data[0])
            telemetry.messages(space, name, "transmit").add(1, None, None)
        elif kind in _packets.ACKNOWLEDGEMENTS:
            telemetry.messages(space, ACKNOWLEDGEMENT, "transmit").add(1, None, None)

    def _send_packet(self: Any, eio_sid: str, pkt: Any) -> Any:
        try:
            count(self, pkt)
        except Exception as error:
            _failed_unless_apps(error)
        return original(self, eio_sid, pkt)

    return _send_packet


def send_part(telemetry: Telemetry, original: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap ``Server._send_eio_packet``, the way of what is encoded once and sent to many."""

    def handles(server: Any, data: Any) -> tuple[Any, int, Any]:
        size = _packets.size(data)
        if not isinstance(data, str):
            return telemetry.io(OTHER, "transmit"), size, None  # an attachment, or msgpack
        space = namespace_name(server, _packets.namespace(data))
        counted = None
        if data[:1] in {"2", "5"}:
            counted = telemetry.messages(space, emitted_name(_packets.event(data)), "transmit")
        return telemetry.io(space, "transmit"), size, counted

    def _send_eio_packet(self: Any, eio_sid: str, eio_pkt: Any) -> Any:
        try:
            found = eio_pkt.__dict__.get(_COUNTED)
            if found is None:
                # One packet goes to all recipients: what is known of it stays with it.
                found = eio_pkt.__dict__[_COUNTED] = handles(self, eio_pkt.data)
            io, size, counted = found
            io.add(size, None, None)
            if counted is not None:
                counted.add(1, None, None)
        except Exception as error:
            failed("Counting what went over Socket.IO", error)
        return original(self, eio_sid, eio_pkt)

    return _send_eio_packet


def emit(telemetry: Telemetry, original: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap ``Server.emit``: a producer span within a trace that is recorded."""

    def traced(
        server: Any, parent: Context, event: Any, namespace: str, room: Any, data: Any, has_callback: bool
    ) -> tuple[Any, Context, str]:
        name, space = emitted_name(event), namespace_name(server, namespace)
        span = telemetry.begin(
            f"emit {name} {space}",
            SpanKind.PRODUCER,
            parent,
            partial(_emit_attributes, name, space, room, has_callback),
        )
        if telemetry.emit_hook is not None:
            call_hook(telemetry.emit_hook, span, name, space, data)
        inner = Context(parent)
        dict.__setitem__(inner, _SPAN_KEY, span)
        return span, inner, f"ack {name} {space}"

    def emit(
        self: Any,
        event: Any,
        data: Any = None,
        to: Any = None,
        room: Any = None,
        skip_sid: Any = None,
        namespace: str | None = None,
        callback: Any = None,
        ignore_queue: bool = False,
    ) -> Any:
        parent = context_api.get_current()
        current: Any = parent.get(_SPAN_KEY)
        if current is None or not current.is_recording():
            return original(self, event, data, to, room, skip_sid, namespace, callback, ignore_queue)
        try:
            span, inner, ack = traced(
                self, parent, event, namespace or "/", to or room, data, callback is not None
            )
        except Exception as error:
            failed("Tracing a Socket.IO emit", error)
            return original(self, event, data, to, room, skip_sid, namespace, callback, ignore_queue)
        if callback is not None:
            callback = partial(_acknowledged, telemetry, callback, inner, ack)
        token = context_api.attach(inner)
        try:
            return original(self, event, data, to, room, skip_sid, namespace, callback, ignore_queue)
        except BaseException as error:
            _note(span, error)
            raise
        finally:
            context_api.detach(token)
            span.end()

    return emit


def start_background_task(_telemetry: Telemetry, original: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap ``Server.start_background_task``: the task runs in the context that it was started in."""

    def start_background_task(self: Any, target: Any, *args: Any, **kwargs: Any) -> Any:
        owner = getattr(target, "__self__", None)
        context = context_api.get_current()
        if owner is self or not context:
            return original(self, target, *args, **kwargs)
        if owner is self.manager:
            # It listens to the message queue to the end of the process, for all clients.
            context = _EMPTY
        return original(self, _run, context, target, args, kwargs)

    return start_background_task


def _run(context: Context, target: Any, args: Any, kwargs: Any) -> Any:
    token = context_api.attach(context)
    try:
        return target(*args, **kwargs)
    finally:
        context_api.detach(token)


def _acknowledged(telemetry: Telemetry, callback: Any, context: Context, name: str, *args: Any) -> Any:
    """Call an acknowledgement's callback within a span of its own, under that of the emit."""
    span = telemetry.begin(name, SpanKind.CONSUMER, context, dict)
    inner = Context(context)
    dict.__setitem__(inner, _SPAN_KEY, span)
    token = context_api.attach(inner)
    try:
        return callback(*args)
    except BaseException as error:
        _note(span, error)
        raise
    finally:
        context_api.detach(token)
        span.end()


def _note(span: Any, error: BaseException) -> None:
    if span.is_recording():
        span.set_attribute("error.type", type(error).__qualname__)
        span.record_exception(error)
        span.set_status(Status(StatusCode.ERROR, f"{type(error).__name__}: {error}"))


def _emit_attributes(name: str, space: str, room: Any, has_callback: bool) -> dict[str, Any]:
    found: dict[str, Any] = {"socketio.namespace": space, "socketio.event": name}
    if isinstance(room, str):
        found["socketio.room"] = room[:_LONGEST_ROOM]
    if has_callback:
        found["socketio.ack"] = True
    return found


def _failed_unless_apps(error: Exception) -> None:
    """Leave it to the app's own call to raise what encoding the app's data raises."""
    if not isinstance(error, (TypeError, ValueError)):
        failed("Counting what went over Socket.IO", error)
