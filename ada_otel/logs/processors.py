"""structlog processors, to be used together or one by one in a chain of your own.

Each takes ``(logger, method_name, event_dict)`` and returns the event. A value that the event has already is
left as it is. :func:`chain` gives all of them in the order in which they belong::

    structlog.configure(processors=[*chain(), structlog.processors.JSONRenderer()])
"""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from typing import Any

from opentelemetry import trace

from ada_otel.logs import _context
from ada_otel.logs._call_site import call_site
from ada_otel.logs._exceptions import describe, resolve
from ada_otel.logs._json import service_name
from ada_otel.logs._redaction import redactor
from ada_otel.logs._structlog import emit_otlp

__all__ = [
    "add_call_site",
    "add_exception",
    "add_request_context",
    "add_service",
    "add_trace_context",
    "chain",
    "emit_otlp",
    "redact",
]

Event = MutableMapping[str, Any]

#: What is no value of the app's, but for structlog's formatters.
_INNER = ("exc_info", "_record", "_logger", "_name", "_from_structlog")


def add_trace_context(_logger: Any, _method_name: str, event_dict: Event) -> Event:
    """Add ``trace_id`` and ``span_id``, in hex, and ``trace_sampled``, within a span."""
    span = trace.get_current_span().get_span_context()
    if span.is_valid:
        event_dict.setdefault("trace_id", f"{span.trace_id:032x}")
        event_dict.setdefault("span_id", f"{span.span_id:016x}")
        event_dict.setdefault("trace_sampled", span.trace_flags.sampled)
    return event_dict


def add_request_context(_logger: Any, _method_name: str, event_dict: Event) -> Event:
    """Add what is known of the current request.

    ``request_id``, ``user_id``, ``session.id``, ``http.route``, ``client.address``, ``user_agent.original``.
    """
    _context.add_to(event_dict)
    return event_dict


def add_service(_logger: Any, _method_name: str, event_dict: Event) -> Event:
    """Add ``service``, the ``service.name`` of this process, if it has one."""
    name = service_name()
    if name is not None:
        event_dict.setdefault("service", name)
    return event_dict


def add_exception(_logger: Any, _method_name: str, event_dict: Event) -> Event:
    """Turn ``exc_info`` into ``exception``: ``type``, ``message``, ``traceback``, and ``causes`` if any.

    Messages and traceback are redacted. Each cause has ``type`` and ``message``; the nearest comes first.
    """
    exc_info = resolve(event_dict.pop("exc_info", None))
    if exc_info is not None:
        found = describe(exc_info)
        exception: dict[str, Any] = {
            "type": found.type,
            "message": found.message,
            "traceback": found.traceback,
        }
        if found.causes:
            exception["causes"] = found.causes
        event_dict["exception"] = exception
    return event_dict


def add_call_site(_logger: Any, _method_name: str, event_dict: Event) -> Event:
    """Add ``module``, ``function`` and ``line`` of the place that logged."""
    site = call_site()
    event_dict.setdefault("module", site.module)
    event_dict.setdefault("function", site.function)
    event_dict.setdefault("line", site.line)
    return event_dict


def redact(_logger: Any, _method_name: str, event_dict: Event) -> Event:
    """Take secrets and personal data out of all values, by their keys and by what they look like."""
    kept = {key: event_dict[key] for key in _INNER if key in event_dict}
    found = redactor().mapping({key: value for key, value in event_dict.items() if key not in kept})
    return {**found, **kept}


def chain() -> list[Callable[[Any, str, Any], Any]]:
    """All processors in their order, to be followed by a renderer."""
    from structlog.contextvars import merge_contextvars
    from structlog.processors import TimeStamper, add_log_level

    return [
        merge_contextvars,
        add_log_level,
        TimeStamper(fmt="iso", utc=True),
        add_trace_context,
        add_request_context,
        add_service,
        add_call_site,
        add_exception,
        redact,
        emit_otlp,
    ]
