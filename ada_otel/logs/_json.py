"""A line as one line of JSON, with the field names that the log files have always had."""

from __future__ import annotations

import json
import logging
import os
from datetime import datetime, timezone
from typing import Any

from opentelemetry import trace

from ada_otel.logs._line import Line, from_record

__all__ = ["JSONFormatter", "as_dict", "render"]

#: Attributes that have a field of their own.
_MOVED = frozenset(
    {
        "code.file.path",
        "code.function.name",
        "code.line.number",
        "exception.type",
        "exception.message",
        "exception.stacktrace",
    }
)
#: Fields that an attribute of the same name must not replace: it gets an underscore at its end.
_FIELDS = frozenset(
    {
        "timestamp",
        "level",
        "logger",
        "message",
        "service",
        "module",
        "function",
        "line",
        "exception",
        "trace_id",
        "span_id",
        "event_name",
    }
)

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=str).encode
_service: str | None = None


def as_dict(line: Line) -> dict[str, Any]:
    """The fields of a line: those of the log file first, then its other attributes by their own names."""
    attributes = line.attributes
    moment = datetime.fromtimestamp(line.timestamp // 1_000_000_000, timezone.utc)
    found: dict[str, Any] = {
        # Put together by hand, for a float of seconds has no nanoseconds.
        "timestamp": f"{moment:%Y-%m-%dT%H:%M:%S}.{line.timestamp // 1000 % 1_000_000:06d}Z",
        "level": line.level_name,
        "logger": line.logger,
        "message": line.message,
        "service": service_name(),
        "module": line.module,
        "function": attributes.get("code.function.name"),
        "line": attributes.get("code.line.number"),
    }
    if "exception.type" in attributes or "exception.stacktrace" in attributes:
        exception: dict[str, Any] = {
            "type": attributes.get("exception.type"),
            "message": attributes.get("exception.message"),
            "traceback": attributes.get("exception.stacktrace"),
        }
        if line.causes:
            exception["causes"] = line.causes
        found["exception"] = exception
    span = line.span_context
    if span is not None and span.is_valid:
        found["trace_id"] = f"{span.trace_id:032x}"
        found["span_id"] = f"{span.span_id:016x}"
    if line.event_name is not None:
        found["event_name"] = line.event_name
    for key, value in attributes.items():
        if key not in _MOVED:
            found[f"{key}_" if key in _FIELDS else key] = value
    return found


def render(line: Line) -> str:
    """The line as JSON, without a line break."""
    return _encode(as_dict(line))


def service_name() -> str | None:
    """``service.name`` of this process's telemetry, else ``OTEL_SERVICE_NAME``; ``None`` without either."""
    global _service  # noqa: PLW0603  # it is the process's
    if _service is None:
        resource: Any = getattr(trace.get_tracer_provider(), "resource", None)
        if resource is None:
            return os.environ.get("OTEL_SERVICE_NAME") or None
        _service = str(resource.attributes.get("service.name", ""))
    return _service or None


class JSONFormatter(logging.Formatter):
    """For handlers of your own: each record as a line of JSON, redacted, with the fields of the log file."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line of JSON."""
        return render(from_record(record))
