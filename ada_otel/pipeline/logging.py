"""Recording log lines: from the stdlib bridge straight into the export queue.

The SDK makes three objects per line and cleans each attribute: 25 to 50 µs. A line whose attributes are plain
values, on its way to our own exporter only, is one object here; what it says is redacted and encoded by the
thread that sends it, batch by batch. Every other line takes the SDK's way.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import cached_property
from typing import Any

from opentelemetry._logs import SeverityNumber, get_logger
from opentelemetry.sdk._logs import LoggerProvider as _SDKLoggerProvider
from opentelemetry.sdk._logs import LogRecordProcessor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, TraceFlags

from ada_otel._diagnostics import failed
from ada_otel.pipeline.export.batch import BatchLogRecordProcessor
from ada_otel.pipeline.export.otlp import OTLPLogExporter
from ada_otel.pipeline.grouped import PLAIN
from ada_otel.pipeline.lines import MOST_ATTRIBUTES, OWN_LOGGERS, Deferred, made, severity

#: So many pairs of logger and level are remembered.
_MOST_KINDS = 1024
_NO_FLAGS = TraceFlags(0)


class QueuedLog:
    """A log record in the queue: what the encoder reads of an SDK record, and nothing else."""

    __slots__ = (
        "attributes",
        "body",
        "event_name",
        "instrumentation_scope",
        "observed_timestamp",
        "resource",
        "severity_number",
        "severity_text",
        "span_id",
        "timestamp",
        "trace_flags",
        "trace_id",
    )

    dropped_attributes = 0

    timestamp: int
    observed_timestamp: int
    severity_number: SeverityNumber
    severity_text: str
    body: str
    attributes: dict[str, Any]
    event_name: str | None
    trace_id: int
    span_id: int
    trace_flags: TraceFlags
    resource: Resource
    instrumentation_scope: InstrumentationScope

    @property
    def log_record(self) -> QueuedLog:
        """The record itself: an SDK record keeps these fields one level down."""
        return self


class LineKind:
    """What the lines of one logger and level have in common.

    Args:
        logger: The SDK logger of their scope.
        severity_number: Their severity.
        severity_text: Its name.
        important: Whether it is that of an error.
        add: Takes a line, as :data:`ada_otel.pipeline.lines.Deferred` has it, and whether it is important;
            ``None`` where nothing takes any.

    Attributes:
        encoded: The OTLP bytes of the severity, kept by the encoder.
    """

    __slots__ = ("add", "encoded", "important", "logger", "severity_number", "severity_text")

    def __init__(
        self,
        logger: Any,
        severity_number: SeverityNumber,
        severity_text: str,
        *,
        important: bool,
        add: Callable[[Any, bool], None] | None,
    ) -> None:
        self.logger = logger
        self.severity_number = severity_number
        self.severity_text = severity_text
        self.important = important
        self.add = add
        self.encoded: bytes | None = None


class DeferredLog:
    """A deferred line as whoever knows nothing of it reads it: with the fields of an SDK record.

    Args:
        line: The line, as :data:`ada_otel.pipeline.lines.Deferred` has it.
    """

    dropped_attributes = 0
    event_name = None

    def __init__(self, line: Deferred) -> None:
        self._line = line
        self._kind: LineKind = line[0]
        self.timestamp: int = line[1]
        self._span_context: SpanContext | None = line[2]

    @cached_property
    def made(self) -> tuple[str, dict[str, Any]]:
        """Body and attributes, redacted."""
        try:
            return made(self._line[3](self._line))
        except Exception as error:
            # What could not be redacted is not sent; that there was a line is.
            failed("Sending a log line", error)
            return "[this line could not be made]", {}

    @property
    def log_record(self) -> DeferredLog:
        """The record itself: an SDK record keeps these fields one level down."""
        return self

    @property
    def body(self) -> str:
        """The message, redacted."""
        return self.made[0]

    @property
    def attributes(self) -> dict[str, Any]:
        """The attributes, redacted."""
        return self.made[1]

    @property
    def observed_timestamp(self) -> int:
        """When it was seen here: when it was logged."""
        return self.timestamp

    @property
    def severity_number(self) -> SeverityNumber:
        """The severity."""
        return self._kind.severity_number

    @property
    def severity_text(self) -> str:
        """Its name."""
        return self._kind.severity_text

    @property
    def resource(self) -> Resource:
        """The resource of its logger."""
        found: Resource = self._kind.logger._resource
        return found

    @property
    def instrumentation_scope(self) -> InstrumentationScope:
        """The scope of its logger."""
        found: InstrumentationScope = self._kind.logger._instrumentation_scope
        return found

    @property
    def trace_id(self) -> int:
        """That of its span; 0 for none."""
        return 0 if self._span_context is None else self._span_context[0]

    @property
    def span_id(self) -> int:
        """That of its span; 0 for none."""
        return 0 if self._span_context is None else self._span_context[1]

    @property
    def trace_flags(self) -> TraceFlags:
        """Those of its span."""
        return _NO_FLAGS if self._span_context is None else self._span_context[3]


class LineKinds(dict[tuple[str, int, "str | None"], "LineKind | None"]):
    """By logger, level and its name, or ``None`` for the stdlib's; ``None`` where lines are made at once."""

    __slots__ = ("_make",)

    def __init__(self, make: Callable[[str, int, str], LineKind | None]) -> None:
        self._make = make

    def __missing__(self, key: tuple[str, int, str | None]) -> LineKind | None:
        name, level, level_name = key
        if len(self) >= _MOST_KINDS:
            self.clear()
        found = self[key] = self._make(name, level, level_name or logging.getLevelName(level))
        return found


class LoggerProvider(_SDKLoggerProvider):
    """The SDK's logger provider, which knows whether a line may go straight into our queue."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._counts = type(self._logger_metrics).__name__ != "NoOpLoggerMetrics"
        limits = self._log_record_limits
        count = limits.max_log_record_attributes
        # Plain attributes are queued as they are where no limit could touch them.
        self._most = count if count is not None and limits.max_log_record_attribute_length is None else -1
        self._look_again()

    def add_log_record_processor(self, log_record_processor: LogRecordProcessor) -> None:
        """As the SDK's."""
        super().add_log_record_processor(log_record_processor)
        self._look_again()

    def _set_logger_configurator(self, *, logger_configurator: Any) -> None:
        super()._set_logger_configurator(logger_configurator=logger_configurator)
        self._look_again()

    def _look_again(self) -> None:
        processors = self._multi_log_record_processor._log_record_processors
        #: Whether anything takes what is written: without an exporter nothing does.
        self.heard = bool(processors)
        self._queue = _only_ours(processors)
        # Another object, so that no thread puts into it what it has found before.
        self.line_kinds = LineKinds(self._kind)

    def _kind(self, name: str, level: int, level_name: str) -> LineKind | None:
        """What is known of the lines of a logger and level; ``None`` if they must be made at once."""
        if name.partition(".")[0] in OWN_LOGGERS or self._most < MOST_ATTRIBUTES or self._counts:
            return None
        logger: Any = get_logger(name, logger_provider=self)  # as `logs` does: one scope for both ways
        important = level >= logging.ERROR
        if not self.heard:
            add: Callable[[Any, bool], None] | None = None
        elif self._queue is None or not logger._logger_config.is_enabled:
            return None
        else:
            add = self._queue.add if important else self._queue._queue.add
        return LineKind(logger, *severity(level, level_name), important=important, add=add)

    def queue_plain(
        self,
        logger: Any,
        span_context: SpanContext | None,
        timestamp: int,
        observed: int,
        severity: SeverityNumber,
        severity_text: str,
        body: str,
        attributes: dict[str, Any],
        event_name: str | None,
    ) -> bool:
        """Queue a line, or say that it must take the SDK's way; without any processor it is dropped.

        Args:
            logger: The SDK logger of the line's scope.
            span_context: Of the span in which it was logged.
            timestamp: When it was logged, in nanoseconds since the epoch.
            observed: When it was seen here, likewise.
            severity: The severity number.
            severity_text: Its name.
            body: The message.
            attributes: The attributes, taken over and not copied.
            event_name: The name of the event, for a line that is one.
        """
        queue = self._queue
        if queue is None or len(attributes) > self._most or not logger._logger_config.is_enabled:
            return not self.heard
        for value in attributes.values():
            if type(value) not in PLAIN:
                return False
        item = QueuedLog()
        item.timestamp = timestamp
        item.observed_timestamp = observed
        item.severity_number = severity
        item.severity_text = severity_text
        item.body = body
        item.attributes = attributes
        item.event_name = event_name
        item.resource = logger._resource
        item.instrumentation_scope = logger._instrumentation_scope
        if span_context is None:
            item.trace_id = item.span_id = 0
            item.trace_flags = _NO_FLAGS
        else:
            item.trace_id, item.span_id, _, item.trace_flags, _, _ = span_context
        if self._counts:
            self._logger_metrics.emit_log()
        queue.on_emit(item)  # type: ignore[arg-type]  # it has the fields that are read
        return True


def _only_ours(processors: tuple[Any, ...]) -> BatchLogRecordProcessor | None:
    only = processors[0] if len(processors) == 1 else None
    if type(only) is BatchLogRecordProcessor and type(only._exporter) is OTLPLogExporter:
        return only
    return None
