"""A line as an OTLP log record."""

from __future__ import annotations

import time
from typing import Any

from opentelemetry._logs import Logger, LogRecord, get_logger, get_logger_provider

from ada_otel.logs._line import Line, severity

__all__ = ["OTLPSink"]


class OTLPSink:
    """Sends lines to the logger provider in force.

    Body: the message. Scope name: the logger's name. Attributes: the line's. Source: OpenTelemetry log data
    model; semantic conventions for code and exceptions.
    """

    def __init__(self) -> None:
        self._loggers: dict[str, Logger] = {}

    def write(self, line: Line) -> None:
        """Send ``line``: straight into our queue where that can be, else the SDK's way."""
        logger = self._loggers.get(line.logger)
        if logger is None:
            logger = self._loggers[line.logger] = get_logger(line.logger)
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
                context=line.context,
                severity_text=text,
                severity_number=number,
                body=line.message,
                attributes=line.attributes,
                event_name=line.event_name,
            )
        )
