"""Recording log lines: from the stdlib bridge straight into the export queue.

The SDK makes three objects per line and cleans each attribute: 25 to 50 µs. A line whose attributes are plain
values, on its way to our own exporter only, is one object here. Every other line takes the SDK's way.
"""

from __future__ import annotations

from typing import Any

from opentelemetry._logs import SeverityNumber
from opentelemetry.sdk._logs import LoggerProvider as _SDKLoggerProvider
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, TraceFlags

from ada_otel.pipeline.export.batch import BatchLogRecordProcessor
from ada_otel.pipeline.export.otlp import OTLPLogExporter

_NO_FLAGS = TraceFlags(0)
#: Values of exactly these types need no cleaning.
_PLAIN = frozenset({str, bool, int, float})


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


class LoggerProvider(_SDKLoggerProvider):
    """The SDK's logger provider, which knows whether a line may go straight into our queue."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._checked: tuple[Any, ...] | None = None
        self._queue: BatchLogRecordProcessor | None = None
        limits = self._log_record_limits
        count = limits.max_log_record_attributes
        # Plain attributes are queued as they are where no limit could touch them.
        self._most = count if count is not None and limits.max_log_record_attribute_length is None else -1

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
        processors = self._multi_log_record_processor._log_record_processors
        if processors is not self._checked:
            self._queue = _only_ours(processors)
            self._checked = processors
        queue = self._queue
        if not processors:
            return True  # nobody hears it
        if queue is None or len(attributes) > self._most or not logger._logger_config.is_enabled:
            return False
        for value in attributes.values():
            if type(value) not in _PLAIN:
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
        self._logger_metrics.emit_log()
        queue.on_emit(item)  # type: ignore[arg-type]  # it has the fields that are read
        return True


def _only_ours(processors: tuple[Any, ...]) -> BatchLogRecordProcessor | None:
    only = processors[0] if len(processors) == 1 else None
    if type(only) is BatchLogRecordProcessor and type(only._exporter) is OTLPLogExporter:
        return only
    return None
