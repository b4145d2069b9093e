"""One call of a handler: its span, its duration, its error."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter_ns, time_ns
from types import TracebackType
from typing import Any

from opentelemetry import context as context_api
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import SpanKind
from opentelemetry.trace.propagation import _SPAN_KEY

from ada_otel._diagnostics import failed
from ada_otel.instrument.socketio._calls import Within
from ada_otel.instrument.socketio._telemetry import Telemetry
from ada_otel.pipeline.current import detach, get_current
from ada_otel.pipeline.grouped import SharedLinks
from ada_otel.pipeline.tracing.provider import MakeAttributes
from ada_otel.pipeline.tracing.span import RecordingSpan, error_status

_KEY = context_api.create_key("ada_otel.socketio")


class Handling(Within):
    """A handler while it runs, from before it is called until its span has ended."""

    __slots__ = ("error", "event", "namespace", "refused", "span", "started", "telemetry")

    def __init__(
        self,
        telemetry: Telemetry,
        event: str,
        namespace: str,
        parent: Context,
        attributes: MakeAttributes,
        links: SharedLinks | None = None,
    ) -> None:
        self.started = perf_counter_ns()
        self.telemetry = telemetry
        self.event = event
        self.namespace = namespace
        self.error: BaseException | None = None
        self.refused: str | None = None
        self.span = span = telemetry.begin(
            f"{event} {namespace}", SpanKind.SERVER, parent, attributes, start_time=time_ns()
        )
        if links:
            if type(span) is RecordingSpan and span._tracer.shares_links:
                span._links = links
            else:
                _add_links(span, links)
        self.arguments = None
        self.context = context = Context(parent)
        dict.__setitem__(context, _SPAN_KEY, span)
        dict.__setitem__(context, _KEY, self)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Note what was raised, and end."""
        if error is not None:
            self.error = error
        detach(self._token)
        # It holds this object: without it, there is no cycle that waits for the garbage collector.
        del self.context
        self.end()

    def end(self) -> None:
        """Record the duration, and end the span."""
        try:
            span, error = self.span, self.error
            kind = self.refused if error is None else type(error).__qualname__
            handle = self.telemetry.duration(self.namespace, self.event, kind)
            context = span._context if type(span) is RecordingSpan else span.get_span_context()
            handle.record((perf_counter_ns() - self.started) / 1e9, None, context)
            if kind is not None and span.is_recording():
                # To refuse a client is an answer, as 401 is; it is no error of the server.
                if error is not None and self.refused is None:
                    note_error(span, error)
                else:
                    span.set_attribute("error.type", kind)
            span.end()
        except Exception as problem:
            failed("Ending the span of a Socket.IO event", problem)


def current() -> Handling | None:
    """The call of a handler that goes on, if any."""
    found = get_current().get(_KEY)
    return found if isinstance(found, Handling) else None


def note_error(span: trace.Span, error: BaseException) -> None:
    """Record an error as what the span ended with."""
    if span.is_recording():
        span.set_attribute("error.type", type(error).__qualname__)
        span.record_exception(error)
        span.set_status(error_status(error))


def _add_links(span: trace.Span, links: SharedLinks) -> None:
    if span.is_recording():
        for link in links:
            span.add_link(link.context)


def call_hook(hook: Callable[..., Any], *arguments: Any) -> None:
    """Call a hook of the user; its errors go no further."""
    try:
        hook(*arguments)
    except Exception as error:
        failed("A hook of the Socket.IO instrumentation", error)
