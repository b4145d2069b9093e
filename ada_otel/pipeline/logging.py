"""Recording log lines: from the stdlib bridge straight into the export queue.

The SDK makes three objects per line and cleans each attribute: 25 to 50 µs. A line whose attributes are plain
values, on its way to our own exporter only, is one object here; what it says is put together by the thread
that sends it, batch by batch, which takes half of the time. Every other line takes the SDK's way.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from opentelemetry._logs import SeverityNumber
from opentelemetry.sdk._logs import LoggerProvider as _SDKLoggerProvider
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, TraceFlags

from ada_otel._diagnostics import failed
from ada_otel.pipeline.export.batch import BatchLogRecordProcessor
from ada_otel.pipeline.export.otlp import OTLPLogExporter
from ada_otel.pipeline.grouped import PLAIN, GroupedAttributes

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

    def place(self, logger: Any, span_context: SpanContext | None) -> None:
        """Take resource and scope of an SDK logger, and the ids of a span, if there is one."""
        self.resource = logger._resource
        self.instrumentation_scope = logger._instrumentation_scope
        if span_context is None:
            self.trace_id = self.span_id = 0
            self.trace_flags = _NO_FLAGS
        else:
            self.trace_id, self.span_id, _, self.trace_flags, _, _ = span_context

    @property
    def log_record(self) -> QueuedLog:
        """The record itself: an SDK record keeps these fields one level down."""
        return self


#: Makes body and attributes, plain values all, of what was known when the line was logged.
Finish = Callable[..., tuple[str, GroupedAttributes]]


class DeferredLog(QueuedLog):
    """A queued record whose body and attributes are made when they are first read.

    Attributes:
        finish: Makes them.
        parts: Its arguments: nothing that changes, and nothing that keeps a request alive.
    """

    __slots__ = ("_made", "finish", "parts")

    finish: Finish
    parts: tuple[Any, ...]
    _made: tuple[str, GroupedAttributes] | None

    @property
    def body(self) -> str:  # type: ignore[override]  # read only
        """The message, redacted."""
        return (self._made or self._make())[0]

    @property
    def attributes(self) -> GroupedAttributes:  # type: ignore[override]  # read only
        """The attributes, redacted."""
        return (self._made or self._make())[1]

    def _make(self) -> tuple[str, GroupedAttributes]:
        try:
            made = self.finish(*self.parts)
        except Exception as error:
            # What could not be redacted is not sent; that there was a line is.
            failed("Sending a log line", error)
            made = "[this line could not be made]", GroupedAttributes((), {})
        self._made = made
        return made


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
        queue = self._our_queue(logger, len(attributes))
        if queue is None:
            return not self._checked  # nobody hears it
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
        item.place(logger, span_context)
        self._logger_metrics.emit_log()
        queue.on_emit(item)  # type: ignore[arg-type]  # it has the fields that are read
        return True

    def queue_deferred(
        self,
        logger: Any,
        span_context: SpanContext | None,
        timestamp: int,
        severity: SeverityNumber,
        severity_text: str,
        finish: Finish,
        parts: tuple[Any, ...],
        most: int,
        *,
        important: bool,
    ) -> bool:
        """Queue a line that is made later, or say that it must be made now; likewise.

        Args:
            logger: The SDK logger of the line's scope.
            span_context: Of the span in which it was logged.
            timestamp: When it was logged, in nanoseconds since the epoch.
            severity: The severity number.
            severity_text: Its name.
            finish: Makes body and attributes.
            parts: Its arguments.
            most: More attributes than this it does not make.
            important: Whether its severity is that of an error.
        """
        queue = self._our_queue(logger, most)
        if queue is None:
            return not self._checked  # nobody hears it
        item = DeferredLog()
        item._made = None
        item.finish = finish
        item.parts = parts
        item.timestamp = item.observed_timestamp = timestamp
        item.severity_number = severity
        item.severity_text = severity_text
        item.event_name = None
        item.place(logger, span_context)
        self._logger_metrics.emit_log()
        queue.add(item, important)
        return True

    def _our_queue(self, logger: Any, attributes: int) -> BatchLogRecordProcessor | None:
        """The queue for a line of so many plain attributes, if it may go straight there."""
        processors = self._multi_log_record_processor._log_record_processors
        if processors is not self._checked:
            self._queue = _only_ours(processors)
            self._checked = processors
        if attributes > self._most or not logger._logger_config.is_enabled:
            return None
        return self._queue


def _only_ours(processors: tuple[Any, ...]) -> BatchLogRecordProcessor | None:
    only = processors[0] if len(processors) == 1 else None
    if type(only) is BatchLogRecordProcessor and type(only._exporter) is OTLPLogExporter:
        return only
    return None
