"""A line as an OTLP log record."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any

from opentelemetry._logs import Logger, LogRecord, get_logger, get_logger_provider
from opentelemetry._logs import _internal as _api
from opentelemetry.context import Context
from opentelemetry.trace import NonRecordingSpan, SpanContext, get_current_span, set_span_in_context

from ada_otel.logs._line import Line, severity

if TYPE_CHECKING:
    from ada_otel.pipeline.logging import Finish, LineKind

__all__ = ["OTLPSink"]

#: So many pairs of logger and level are remembered.
_MOST_KINDS = 1024


class OTLPSink:
    """Sends lines to the logger provider in force.

    Body: the message. Scope name: the logger's name. Attributes: the line's. Source: OpenTelemetry log data
    model; semantic conventions for code and exceptions.
    """

    def __init__(self) -> None:
        self._loggers: dict[str, Logger] = {}
        self._provider: object = None
        self._kinds: dict[tuple[str, int, str], LineKind] = {}

    @property
    def heard(self) -> bool:
        """Whether anything takes what is written: without an exporter nothing does."""
        composite = getattr(
            (getattr(_api, "_LOGGER_PROVIDER", None) or get_logger_provider()),
            "_multi_log_record_processor",
            None,
        )
        return composite is None or bool(composite._log_record_processors)

    def defer(
        self,
        name: str,
        level: int,
        level_name: str,
        timestamp: int,
        span_context: SpanContext | None,
        finish: Finish,
        parts: tuple[Any, ...],
        most: int,
    ) -> bool:
        """Queue a line that is made when it is sent, or say that it must be made now.

        Args:
            name: The logger's name.
            level: The stdlib's level.
            level_name: Its name there.
            timestamp: When it was logged, in nanoseconds since the epoch.
            span_context: Of the span in which it was logged.
            finish: Makes its message and attributes, redacted.
            parts: The arguments of ``finish``.
            most: It makes no more attributes than this.
        """
        provider: Any = getattr(_api, "_LOGGER_PROVIDER", None) or get_logger_provider()
        if provider is not self._provider:
            self._provider, self._kinds = provider, {}
        key = (name, level, level_name)
        kind = self._kinds.get(key)
        if kind is None:
            if not hasattr(provider, "queue_deferred"):
                return False
            kind = self._kind(key)
        queued: bool = provider.queue_deferred(kind, span_context, timestamp, finish, parts, most)
        return queued

    def _kind(self, key: tuple[str, int, str]) -> LineKind:
        from ada_otel.pipeline.logging import LineKind

        name, level, level_name = key
        number, text = severity(level, level_name)
        logger = self._loggers.get(name) or self._logger(name)
        if len(self._kinds) >= _MOST_KINDS:
            self._kinds.clear()
        made = self._kinds[key] = LineKind(logger, number, text, important=level >= logging.ERROR)
        return made

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
