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
_new = object.__new__


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


#: Makes body and attributes, plain values all, of what was known when the line was logged.
Finish = Callable[..., tuple[str, GroupedAttributes]]


class LineKind:
    """What the lines of one logger and level have in common.

    Args:
        logger: The SDK logger of their scope.
        severity_number: Their severity.
        severity_text: Its name.
        important: Whether it is that of an error.

    Attributes:
        encoded: The OTLP bytes of the severity, kept by the encoder.
    """

    __slots__ = ("encoded", "important", "logger", "severity_number", "severity_text")

    def __init__(
        self, logger: Any, severity_number: SeverityNumber, severity_text: str, *, important: bool
    ) -> None:
        self.logger = logger
        self.severity_number = severity_number
        self.severity_text = severity_text
        self.important = important
        self.encoded: bytes | None = None


class DeferredLog:
    """A log record in the queue whose body and attributes are made when they are first read.

    It has the fields that are read of an SDK record.

    Attributes:
        kind: What it shares with others.
        timestamp: When it was logged, in nanoseconds since the epoch.
        span_context: Of the span in which it was logged.
        finish: Makes body and attributes.
        parts: Its arguments: nothing that changes, and nothing that keeps a request alive.
    """

    __slots__ = ("_made", "finish", "kind", "parts", "span_context", "timestamp")

    #: To the encoder: it may read `kind` and `made`.
    otlp_deferred = True
    dropped_attributes = 0
    event_name = None

    kind: LineKind
    timestamp: int
    span_context: SpanContext | None
    finish: Finish
    parts: tuple[Any, ...]
    _made: tuple[str, GroupedAttributes] | None

    @property
    def made(self) -> tuple[str, GroupedAttributes]:
        """Body and attributes, redacted."""
        if self._made is None:
            try:
                self._made = self.finish(*self.parts)
            except Exception as error:
                # What could not be redacted is not sent; that there was a line is.
                failed("Sending a log line", error)
                self._made = "[this line could not be made]", GroupedAttributes((), {})
        return self._made

    @property
    def log_record(self) -> DeferredLog:
        """The record itself: an SDK record keeps these fields one level down."""
        return self

    @property
    def body(self) -> str:
        """The message, redacted."""
        return self.made[0]

    @property
    def attributes(self) -> GroupedAttributes:
        """The attributes, redacted."""
        return self.made[1]

    @property
    def observed_timestamp(self) -> int:
        """When it was seen here: when it was logged."""
        return self.timestamp

    @property
    def severity_number(self) -> SeverityNumber:
        """The severity."""
        return self.kind.severity_number

    @property
    def severity_text(self) -> str:
        """Its name."""
        return self.kind.severity_text

    @property
    def resource(self) -> Resource:
        """The resource of its logger."""
        found: Resource = self.kind.logger._resource
        return found

    @property
    def instrumentation_scope(self) -> InstrumentationScope:
        """The scope of its logger."""
        found: InstrumentationScope = self.kind.logger._instrumentation_scope
        return found

    @property
    def trace_id(self) -> int:
        """That of its span; 0 for none."""
        return 0 if self.span_context is None else self.span_context[0]

    @property
    def span_id(self) -> int:
        """That of its span; 0 for none."""
        return 0 if self.span_context is None else self.span_context[1]

    @property
    def trace_flags(self) -> TraceFlags:
        """Those of its span."""
        return _NO_FLAGS if self.span_context is None else self.span_context[3]


class LoggerProvider(_SDKLoggerProvider):
    """The SDK's logger provider, which knows whether a line may go straight into our queue."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._checked: tuple[Any, ...] | None = None
        self._queue: BatchLogRecordProcessor | None = None
        self._counts = type(self._logger_metrics).__name__ != "NoOpLoggerMetrics"
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

    def queue_deferred(
        self,
        kind: LineKind,
        span_context: SpanContext | None,
        timestamp: int,
        finish: Finish,
        parts: tuple[Any, ...],
        most: int,
    ) -> bool:
        """Queue a line that is made later, or say that it must be made now; likewise.

        Args:
            kind: Logger and severity.
            span_context: Of the span in which it was logged.
            timestamp: When it was logged, in nanoseconds since the epoch.
            finish: Makes body and attributes.
            parts: Its arguments.
            most: More attributes than this it does not make.
        """
        if self._multi_log_record_processor._log_record_processors is not self._checked:
            self._check()
        queue = self._queue
        if queue is None or most > self._most or not kind.logger._logger_config.is_enabled:
            return not self._checked  # nobody hears it
        item = _new(DeferredLog)
        item._made = None
        item.kind = kind
        item.timestamp = timestamp
        item.span_context = span_context
        item.finish = finish
        item.parts = parts
        if self._counts:
            self._logger_metrics.emit_log()
        if kind.important:
            queue.add(item, True)
        else:
            queue._queue.add(item, False)
        return True

    def _our_queue(self, logger: Any, attributes: int) -> BatchLogRecordProcessor | None:
        """The queue for a line of so many plain attributes, if it may go straight there."""
        if self._multi_log_record_processor._log_record_processors is not self._checked:
            self._check()
        if attributes > self._most or not logger._logger_config.is_enabled:
            return None
        return self._queue

    def _check(self) -> None:
        processors = self._multi_log_record_processor._log_record_processors
        self._queue = _only_ours(processors)
        self._checked = processors


def _only_ours(processors: tuple[Any, ...]) -> BatchLogRecordProcessor | None:
    only = processors[0] if len(processors) == 1 else None
    if type(only) is BatchLogRecordProcessor and type(only._exporter) is OTLPLogExporter:
        return only
    return None
