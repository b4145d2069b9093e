"""One log line on its way out: redacted once, then written to OTLP, file and console alike."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from typing import Any

from opentelemetry.context import Context
from opentelemetry.trace import SpanContext
from opentelemetry.trace.propagation import _SPAN_KEY

from ada_otel._diagnostics import report
from ada_otel.logs import _context
from ada_otel.logs._call_site import call_site
from ada_otel.logs._exceptions import Description, describe, describe_rendered, resolve
from ada_otel.logs._redaction import Redactor, redactor
from ada_otel.logs._values import plain, text_of
from ada_otel.pipeline.current import get_current

__all__ = ["Line", "Rendered", "from_event", "from_parts", "from_record", "level_of", "message_of"]

#: What every stdlib record has, and what structlog's formatter adds; the rest came by ``extra=``.
STANDARD_FIELDS = frozenset(vars(logging.makeLogRecord({}))) | {
    "message",
    "asctime",
    "taskName",
    "_logger",
    "_name",
    "_record",
    "_from_structlog",
}
#: A record with no more fields than this came without ``extra=`` and was not formatted before.
STANDARD_COUNT = len(vars(logging.makeLogRecord({})))

#: Keys of a structlog event that have a place of their own in a line.
_PLACED = frozenset(
    {
        "event",
        "level",
        "level_number",
        "logger",
        "timestamp",
        "exc_info",
        "exception",
        "stack",
        "stack_info",
        "positional_args",
        "module",
        "function",
        "line",
        "service",
        "trace_id",
        "span_id",
        "trace_sampled",
        "_logger",
        "_name",
        "_record",
        "_from_structlog",
    }
)

#: structlog's method names that are no level names of the stdlib.
_METHODS = {
    "exception": logging.ERROR,
    "err": logging.ERROR,
    "warn": logging.WARNING,
    "fatal": logging.CRITICAL,
}


class Rendered(str):  # noqa: SLOT000  # it must be a str to whatever prints it
    """What a structlog renderer made of an event, with the event itself.

    It goes through the stdlib as any text, and the event is there when the line comes by.
    """

    event: dict[str, Any]


class Line:
    """A log line; all texts and values in it are redacted.

    Attributes:
        timestamp: When it was logged, in nanoseconds since the epoch.
        level: The stdlib's level.
        level_name: Its name there.
        logger: The logger's name.
        message: The message.
        module: The file's name without folder and suffix.
        attributes: By the names that OTLP records have; plain values, none of them ``None``.
        event_name: The name of the event, for a line that is one.
        causes: Type and message of each cause of the exception.
        context: In which it was logged.
        span_context: Of the span in which it was logged.
    """

    __slots__ = (
        "attributes",
        "causes",
        "context",
        "event_name",
        "level",
        "level_name",
        "logger",
        "message",
        "module",
        "span_context",
        "timestamp",
    )

    timestamp: int
    level: int
    level_name: str
    logger: str
    message: str
    module: str
    attributes: dict[str, Any]
    event_name: str | None
    causes: list[dict[str, str]]
    context: Context
    span_context: SpanContext | None


def level_of(method: str, event: dict[str, Any]) -> int:
    """The stdlib's level of a structlog event: by its own word, else by the method it was logged with."""
    for word in (event.get("level"), method):
        if isinstance(word, str):
            found = _METHODS.get(word.lower()) or getattr(logging, word.upper(), None)
            if isinstance(found, int) and not isinstance(found, bool):
                return found
    return logging.INFO


def from_record(record: logging.LogRecord, message: str | None = None) -> Line:
    """The line of a stdlib record.

    Args:
        record: The record; it is not changed.
        message: What ``record.getMessage()`` gave, if it was called already.
    """
    event = _event_of(record)
    if event is not None:
        return _from_structlog_record(record, event)
    redact = redactor()
    line = _start(int(record.created * 1e9), record.levelno, record.levelname, record.name)
    line.message = redact.text(message_of(record) if message is None else message)
    line.module = record.module
    attributes = line.attributes
    path, function, number = record.pathname, record.funcName, record.lineno
    if "structlog" in path:
        # A plain stdlib logger under structlog names structlog's own frames.
        line.module, path, function, number = _outer_site(record)
    attributes["code.file.path"] = path
    attributes["code.function.name"] = function or "?"
    attributes["code.line.number"] = number
    found = vars(record)
    if len(found) > STANDARD_COUNT:
        _add(attributes, ((key, found[key]) for key in found if key not in STANDARD_FIELDS), redact)
        if attributes.get("level") == record.levelname.lower():
            del attributes["level"]  # structlog's add_log_level, by way of render_to_log_kwargs
    if record.exc_info:
        exc_info = resolve(record.exc_info)
        if exc_info is not None:
            _add_exception(line, describe(exc_info))
    if record.stack_info:
        attributes["code.stacktrace"] = redact.text(record.stack_info)
    return _finish(line, redact)


def from_event(event: dict[str, Any], level: int, logger: str | None) -> Line:
    """The line of a structlog event that does not go through the stdlib.

    Args:
        event: The event; it is not changed.
        level: The stdlib's level.
        logger: The logger's name; by default what the event says, else the module that logged it.
    """
    site = call_site()
    name = logger or event.get("logger")
    line = _start(
        time.time_ns(), level, logging.getLevelName(level), name if isinstance(name, str) else site.logger
    )
    line.module = site.module
    line.attributes["code.file.path"] = site.path
    line.attributes["code.function.name"] = site.function
    line.attributes["code.line.number"] = site.line
    return _fill(line, event)


def from_parts(
    logger: str,
    level: int,
    level_name: str,
    timestamp: int,
    span_context: SpanContext | None,
    message: str,
    attributes: dict[str, Any],
) -> Line:
    """A line of our own making.

    Args:
        logger: The logger's name.
        level: The stdlib's level.
        level_name: Its name there.
        timestamp: In nanoseconds since the epoch.
        span_context: Of the span that it is about, which may have ended.
        message: The message, free of secrets.
        attributes: Plain values, redacted; taken over.
    """
    line = _start(timestamp, level, level_name, logger)
    line.message, line.module = message, logger.rpartition(".")[2]
    line.attributes = attributes
    line.context = get_current()
    line.span_context = span_context
    return line


def message_of(record: logging.LogRecord) -> str:
    """The formatted message; the unformatted one, with a report, if the arguments do not fit."""
    try:
        return record.getMessage()
    except Exception as error:
        report(
            f"logs:arguments:{record.pathname}:{record.lineno}",
            f"the arguments of the log line at {record.pathname}:{record.lineno} do not fit its text "
            f"({type(error).__name__}: {error}); it is sent without them.",
        )
        return text_of(record.msg)


def _event_of(record: logging.LogRecord) -> dict[str, Any] | None:
    """The structlog event that came through the stdlib, rendered or for a ``ProcessorFormatter``."""
    message = record.msg
    if type(message) is str:
        return None
    if type(message) is Rendered:
        return message.event
    return message if type(message) is dict and hasattr(record, "_logger") else None


def _from_structlog_record(record: logging.LogRecord, event: dict[str, Any]) -> Line:
    line = _start(int(record.created * 1e9), record.levelno, record.levelname, record.name)
    line.module, path, function, number = record.module, record.pathname, record.funcName, record.lineno
    if "structlog" in path:
        line.module, path, function, number = _outer_site(record)
    line.attributes["code.file.path"] = path
    line.attributes["code.function.name"] = function or "?"
    line.attributes["code.line.number"] = number
    if record.exc_info and not event.get("exc_info"):
        event = {**event, "exc_info": record.exc_info}
    return _fill(line, event)


def _outer_site(record: logging.LogRecord) -> tuple[str, str, str, int]:
    site = call_site()
    if not site.line:
        return record.module, record.pathname, record.funcName or "?", record.lineno
    return site.module, site.path, site.function, site.line


def _start(timestamp: int, level: int, level_name: str, logger: str) -> Line:
    line = Line()
    line.timestamp = timestamp
    line.level = level
    line.level_name = level_name
    line.logger = logger
    line.event_name = None
    line.causes = []
    line.attributes = {}
    return line


def _fill(line: Line, event: dict[str, Any]) -> Line:
    redact = redactor()
    line.message = redact.text(text_of(event.get("event", "")))
    _add(line.attributes, ((key, event[key]) for key in event if key not in _PLACED), redact)
    exc_info = resolve(event.get("exc_info")) if event.get("exc_info") else None
    if exc_info is not None:
        _add_exception(line, describe(exc_info))
    elif event.get("exception"):
        description = describe_rendered(event["exception"])
        if description is not None:
            _add_exception(line, description)
    stack = event.get("stack")
    if isinstance(stack, str):
        line.attributes["code.stacktrace"] = redact.text(stack)
    return _finish(line, redact)


def _finish(line: Line, redact: Redactor) -> Line:
    attributes = line.attributes
    event_name = attributes.pop("otel.event.name", None)
    if isinstance(event_name, str):
        line.event_name = event_name
    _context.add_to(attributes)
    line.context = context = get_current()
    span: Any = context.get(_SPAN_KEY)
    line.span_context = span.get_span_context() if span is not None else None
    return line


def _add(attributes: dict[str, Any], pairs: Iterable[tuple[str, Any]], redact: Redactor) -> None:
    for key, value in pairs:
        # Made plain first, so that what is redacted is the very text that is sent.
        found = redact.value(key, value if type(value) is str else plain(value))
        if found is not None:
            attributes[key] = found


def _add_exception(line: Line, found: Description) -> None:
    attributes = line.attributes
    if found.type:
        attributes["exception.type"] = found.type
        attributes["exception.message"] = found.message
    if found.traceback:
        attributes["exception.stacktrace"] = found.traceback
    line.causes = found.causes
