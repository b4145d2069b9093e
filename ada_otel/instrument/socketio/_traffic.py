"""Packets in and out, emits and their acknowledgements, background tasks."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import TracebackType
from typing import Any

from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanKind
from opentelemetry.trace.propagation import _SPAN_KEY

from ada_otel._diagnostics import contained
from ada_otel.instrument.socketio import _packets
from ada_otel.instrument.socketio._calls import Around, Before, Within, awaited, plain
from ada_otel.instrument.socketio._handling import call_hook, note_error
from ada_otel.instrument.socketio._names import ACKNOWLEDGEMENT, OTHER, emitted_name, namespace_name
from ada_otel.instrument.socketio._telemetry import Telemetry
from ada_otel.pipeline.current import get_current

_EMPTY = Context()
_LONGEST_ROOM = 100
_COUNTED = "_ada_otel"
_COUNTERS = "_ada_otel_io"
#: The arguments of ``Server.emit`` by position.
_EMIT = ("event", "data", "to", "room", "skip_sid", "namespace", "callback", "ignore_queue")


class _InSpan(Within):
    """A call within a span of its own."""

    __slots__ = ("_span",)

    def __init__(self, span: Span, parent: Context) -> None:
        context = Context(parent)
        dict.__setitem__(context, _SPAN_KEY, span)
        super().__init__(context)
        self._span = span

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)
        with contained("Ending the span of a Socket.IO emit"):
            if error is not None:
                note_error(self._span, error)
            self._span.end()


def handle_message(telemetry: Telemetry) -> Before:
    """Before ``Server._handle_eio_message``: count the bytes that came in."""

    def before(server: Any, eio_sid: str, data: Any) -> None:
        if not telemetry.on:
            return
        pending = server._binary_packet.get(eio_sid)
        if pending is not None:
            found = pending.namespace or "/"
        elif isinstance(data, str):
            found = _packets.namespace(data)
        else:
            found = OTHER  # msgpack: what is in it is not known before it is decoded
        _counter(telemetry, server, found, "receive", None).take(_packets.size(data))

    return before


def _counter(telemetry: Telemetry, server: Any, namespace: str, direction: str, event: str | None) -> Any:
    """That of messages of an event, or of bytes; remembered on the server for namespaces that it knows."""
    try:
        return server.__dict__[_COUNTERS][telemetry, namespace, direction, event]
    except KeyError:
        space = namespace_name(server, namespace)
        found = (
            telemetry.io(space, direction) if event is None else telemetry.messages(space, event, direction)
        )
        if space is not OTHER:
            server.__dict__.setdefault(_COUNTERS, {})[telemetry, namespace, direction, event] = found
        return found


def handle_ack(telemetry: Telemetry) -> Before:
    """Before ``Server._handle_ack``: count acknowledgements that came in."""

    def before(server: Any, _eio_sid: str, namespace: str, *_arguments: Any) -> None:
        space = namespace_name(server, namespace or "/")
        telemetry.messages(space, ACKNOWLEDGEMENT, "receive").take(1)

    return before


def send_packet(telemetry: Telemetry) -> Before:
    """Before ``Server._send_packet``, the way of everything that is sent to one client."""

    def before(server: Any, _eio_sid: str, packet: Any) -> None:
        try:
            encoded = packet.encode()
        except Exception:
            return  # it is the app's data: the call itself raises this
        # It is encoded once more inside, which would cost as much again.
        packet.encode = lambda: encoded
        size = sum(map(_packets.size, encoded)) if isinstance(encoded, list) else _packets.size(encoded)
        asked, kind = packet.namespace or "/", packet.packet_type
        _counter(telemetry, server, asked, "transmit", None).take(size)
        if kind in _packets.EVENTS:
            name = emitted_name(packet.data[0])
            _counter(telemetry, server, asked, "transmit", name).take(1)
        elif kind in _packets.ACKNOWLEDGEMENTS:
            _counter(telemetry, server, asked, "transmit", ACKNOWLEDGEMENT).take(1)

    return before


def send_part(telemetry: Telemetry) -> Before:
    """Before ``Server._send_eio_packet``, the way of what is encoded once and sent to many."""

    def handles(server: Any, data: Any) -> tuple[Any, int, Any]:
        size = _packets.size(data)
        if not isinstance(data, str):
            return telemetry.io(OTHER, "transmit"), size, None  # an attachment, or msgpack
        space = namespace_name(server, _packets.namespace(data))
        counted = None
        if data[:1] in {"2", "5"}:
            counted = telemetry.messages(space, emitted_name(_packets.event(data)), "transmit")
        return telemetry.io(space, "transmit"), size, counted

    def before(server: Any, _eio_sid: str, packet: Any) -> None:
        found = packet.__dict__.get(_COUNTED)
        if found is None:
            # One packet goes to all recipients: what is known of it stays with it.
            found = packet.__dict__[_COUNTED] = handles(server, packet.data)
        io, size, counted = found
        io.take(size)
        if counted is not None:
            counted.take(1)

    return before


def emit(telemetry: Telemetry) -> Before:
    """Around ``Server.emit``: a producer span within a trace that is recorded."""

    def before(server: Any, *args: Any, **kwargs: Any) -> _InSpan | None:
        parent = get_current()
        current: Any = parent.get(_SPAN_KEY)
        if current is None or not _is_traced(current):
            return None
        given = dict(zip(_EMIT, args, strict=False)) | kwargs
        name, space = emitted_name(given["event"]), namespace_name(server, given.get("namespace") or "/")
        callback = given.get("callback")
        room = given.get("to") or given.get("room")
        attributes = partial(_emit_attributes, name, space, room, callback is not None)
        span = telemetry.begin(f"emit {name} {space}", SpanKind.PRODUCER, parent, attributes)
        if telemetry.emit_hook is not None:
            call_hook(telemetry.emit_hook, span, name, space, given.get("data"))
        around = _InSpan(span, parent)
        if callback is not None:
            traced = _acknowledging(telemetry, server, callback, around.context, f"ack {name} {space}")
            position = _EMIT.index("callback")
            if len(args) > position:
                args = (*args[:position], traced, *args[position + 1 :])
            else:
                kwargs["callback"] = traced
            around.arguments = (server, *args), kwargs
        return around

    return before


def start_background_task(_telemetry: Telemetry) -> Before:
    """Around ``Server.start_background_task``: the task runs in the context that it was started in."""

    def before(server: Any, target: Any, *args: Any, **kwargs: Any) -> Around | None:
        owner = getattr(target, "__self__", None)
        if owner is server:
            return None
        context = get_current()
        if owner is server.manager:
            # It listens to the message queue to the end of the process, for all clients.
            context = _EMPTY
        if server.is_asyncio_based():
            return Within(context)  # which asyncio hands on to the task
        around = Around()
        around.arguments = (server, _run, context, target, args, kwargs), {}
        return around

    return before


def _run(context: Context, target: Any, args: Any, kwargs: Any) -> Any:
    with Within(context):
        return target(*args, **kwargs)


def _is_traced(span: Span) -> bool:
    """Whether its trace is recorded; of a background task, the span may have ended by now."""
    return span.is_recording() or span.get_span_context().trace_flags.sampled


def _acknowledging(
    telemetry: Telemetry, server: Any, callback: Any, context: Context, name: str
) -> Callable[..., Any]:
    """Give an acknowledgement's callback that runs within a span of its own, under that of the emit."""

    def before(*_arguments: Any, **_named: Any) -> _InSpan:
        return _InSpan(telemetry.begin(name, SpanKind.CONSUMER, context, dict), context)

    return (awaited if server.is_asyncio_based() else plain)(before, callback)


def _emit_attributes(name: str, space: str, room: Any, has_callback: bool) -> dict[str, Any]:
    found: dict[str, Any] = {"socketio.namespace": space, "socketio.event": name}
    if isinstance(room, str):
        found["socketio.room"] = room[:_LONGEST_ROOM]
    if has_callback:
        found["socketio.ack"] = True
    return found
