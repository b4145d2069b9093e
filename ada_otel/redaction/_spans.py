"""Ended spans without secrets: changed in place, by the thread that exports them."""

from __future__ import annotations

from collections.abc import Iterable, MutableMapping
from typing import Any

from opentelemetry import trace
from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.trace.span import DEFAULT_TRACE_STATE, SpanContext, TraceState
from opentelemetry.trace.status import Status

from ada_otel._diagnostics import failed
from ada_otel.pipeline.grouped import GroupedAttributes, SharedLinks
from ada_otel.redaction import redactor
from ada_otel.redaction._redactor import LONGEST_REMEMBERED

#: Attributes that are made from bounded sets, or by Python itself.
_SAFE = frozenset(
    {
        *("http.request.method", "http.route", "http.response.status_code", "url.scheme", "server.port"),
        *("server.address", "client.port", "network.protocol.version", "network.transport", "request_id"),
        *("db.system.name", "db.operation.name", "db.namespace", "db.collection.name", "code.function.name"),
        *("code.file.path", "code.line.number", "exception.type", "exception.escaped", "error.type"),
        *("db.query.parameter.count", "thread.id", "thread.name", "db.response.returned_rows"),
        *("socketio.namespace", "socketio.event", "socketio.sid", "socketio.transport"),
    }
)
_PLAIN = frozenset({bool, float})


def redact_spans(spans: Iterable[Any]) -> None:
    """Take secrets out of attributes, events, links and status of each span."""
    if not redactor().enabled:
        return
    for span in spans:
        try:
            _redact(span)
        except Exception as error:  # noqa: PERF203  # one bad span must not stop the others
            failed("Redacting a span", error)


def guard() -> None:
    """Redact the ended spans of the stock SDK's tracer provider, also of the app's own. Ours does so itself.

    Done where its list of processors is called: that serves tracers that are there already, processors that
    come later, and a list that calls them side by side.
    """
    provider = trace.get_tracer_provider()
    if not isinstance(provider, TracerProvider) or not redactor().enabled:
        return
    active: Any = provider._active_span_processor
    original = active.on_end
    if hasattr(original, "_ada_otel_original"):
        return

    def on_end(span: ReadableSpan) -> None:
        redact_spans((span,))
        original(span)

    on_end._ada_otel_original = original  # type: ignore[attr-defined]  # found by a second call
    active.on_end = on_end


def _redact(span: Any) -> None:
    _attributes(span._attributes)
    if span._context[4] is not DEFAULT_TRACE_STATE:  # by position: half of the time by name
        _trace_state(span)
    links = span._links
    if links and not (type(links) is SharedLinks and links.redacted):
        for link in links:
            _trace_state(link)
            _attributes(_attributes_of(link))
        if type(links) is SharedLinks:
            links.redacted = True
    if events := span._events:
        for event in events:
            _attributes(_attributes_of(event))
    if description := span._status._description:
        shown = redactor().text(description)
        if shown != description:
            span._status = Status(span._status.status_code, shown)


def _attributes_of(part: Any) -> Any:
    return part._attributes if hasattr(part, "_attributes") else part.attributes


def _trace_state(holder: Any) -> None:
    """Of a span or a link: a client may send anything in it. What is passed on to others is left as it is."""
    context = holder._context
    state = context[4]
    if not state:
        return
    shown = redactor().mapping(state)
    if shown != state:
        holder._context = SpanContext(
            context.trace_id,
            context.span_id,
            context.is_remote,
            context.trace_flags,
            TraceState(list(shown.items())),
        )


def _attributes(held: Any) -> None:
    redact, kind, values = redactor(), type(held), held
    if kind is GroupedAttributes:
        held.groups = tuple(map(redact.group, held.groups))
        values = held.rest
    elif kind is BoundedAttributes:
        values = held._dict
    elif kind is not dict and not isinstance(held, MutableMapping):
        return
    repeated = redact.repeated
    for key in values.keys() - _SAFE:
        value = values[key]
        if type(value) is str and len(value) <= LONGEST_REMEMBERED:
            shown = repeated(key, value)  # as `value` does, without that call
        elif type(value) in _PLAIN:
            continue
        else:
            shown = redact.value(key, value)
        if shown is not value and shown != value:
            values[key] = shown
