"""Ended spans without secrets: changed in place, by the thread that exports them."""

from __future__ import annotations

from collections.abc import Iterable, MutableMapping
from typing import Any

from opentelemetry import trace
from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.trace.status import Status

from ada_otel._diagnostics import failed
from ada_otel.redaction import redactor

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
    """Put redaction before all processors of the stock SDK's tracer provider; ours redacts by itself."""
    provider = trace.get_tracer_provider()
    if not isinstance(provider, TracerProvider) or not redactor().enabled:
        return
    active = provider._active_span_processor
    with active._lock:
        active._span_processors = (_Redacting(), *active._span_processors)


class _Redacting(SpanProcessor):
    """Redacts the read-only copy that all processors after it are given."""

    def on_end(self, span: ReadableSpan) -> None:
        redact_spans((span,))


def _redact(span: Any) -> None:
    _attributes(span._attributes)
    for part in (*(span._events or ()), *(span._links or ())):
        _attributes(part._attributes if hasattr(part, "_attributes") else part.attributes)
    description = span._status.description
    if description:
        shown = redactor().text(description)
        if shown != description:
            span._status = Status(span._status.status_code, shown)


def _attributes(held: Any) -> None:
    values: Any = held._dict if isinstance(held, BoundedAttributes) else held
    if not isinstance(values, MutableMapping):
        return
    redact = redactor()
    for key, value in list(values.items()):
        if key in _SAFE or type(value) in _PLAIN:
            continue
        shown = redact.value(key, value)
        if shown is not value and shown != value:
            values[key] = shown
