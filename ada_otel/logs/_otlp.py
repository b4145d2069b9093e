"""A line as an OTLP log record."""

from __future__ import annotations

import time
from typing import Any

from opentelemetry._logs import Logger, LogRecord, get_logger, get_logger_provider
from opentelemetry.context import Context
from opentelemetry.trace import NonRecordingSpan, get_current_span, set_span_in_context

from ada_otel.logs._line import Line
from ada_otel.pipeline.lines import severity

__all__ = ["OTLPSink"]


class OTLPSink:
    """Sends lines to the logger provider in force.

    Body: the message. Scope name: the logger's name. Attributes: the line's. Source: OpenTelemetry log data
    model; semantic conventions for code and exceptions.
    """

    def __init__(self) -> None:
        self._loggers: dict[str, Logger] = {}

    def _logger(self, name: str) -> Logger:
        found = self._loggers[name] = get_logger(name)
        return found

    def write(self, line: Line) -> None:
        """Send ``line``: straight into our queue where that can be, else the SDK's way."""
        logger = self._loggers.get(line.logger) or self._logger(line.logger)
        number, text = severity(line.level, line.level_name)
        observed = time.time_ns()
        queue_plain: Any = getattr(get_logger_provider(), "queue_plain", None)
        if queue_plain is not None and queue_plain(
            logger,
            line.span_context,
            line.timestamp,
            observed,
            number,
            text,
            line.message,
            line.attributes,
            line.event_name,
        ):
            return
        logger.emit(
            LogRecord(
                timestamp=line.timestamp,
                observed_timestamp=observed,
                context=_context_of(line),
                severity_text=text,
                severity_number=number,
                body=line.message,
                attributes=line.attributes,
                event_name=line.event_name,
            )
        )


def _context_of(line: Line) -> Context:
    """The line's context with its span in it: a request's line is written when the span has ended."""
    span = line.span_context
    if span is None or get_current_span(line.context).get_span_context() == span:
        return line.context
    return set_span_in_context(NonRecordingSpan(span), line.context)
