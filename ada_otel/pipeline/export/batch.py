"""Batch processors for spans and log records over any standard exporter.

``on_end`` and ``on_emit`` append to a deque and compare a length. They take no lock that another thread may
hold, never wait for the network, and log nothing.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from opentelemetry.context import Context
from opentelemetry.sdk._logs import LogRecordProcessor, ReadableLogRecord, ReadWriteLogRecord
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.trace import StatusCode

from ada_otel._diagnostics import report
from ada_otel.pipeline.export import stats
from ada_otel.pipeline.export.queue import ErrorTraces, ItemQueue, weight, weight_of_parts
from ada_otel.pipeline.export.target import Signal
from ada_otel.pipeline.export.worker import Worker

if TYPE_CHECKING:
    from ada_otel.pipeline.export.spool import Spool
    from ada_otel.pipeline.lines import Deferred

_MAX_BYTES = 32 * 1024 * 1024
_SPOOL_BYTES = 64 * 1024 * 1024
_SEVERITY_ERROR = 17
_ERROR = StatusCode.ERROR

#: Shared by both signals: an error that was only logged makes the spans of its trace important, too.
_error_traces = ErrorTraces()


class _Batching:
    """What both processors do: queue, worker, figures, and the variables that shape them."""

    def __init__(
        self,
        signal: Signal,
        exporter: Any,
        *,
        prefix: str,
        max_queue_size: int | None,
        schedule_delay_millis: float | None,
        max_export_batch_size: int | None,
        export_timeout_millis: float | None,
        max_queue_bytes: int | None,
        spool_folder: str | None,
        spool_max_bytes: int,
        spool_fsync: bool,
        default_delay_millis: int,
    ) -> None:
        self._exporter = exporter
        capacity = int(_positive(max_queue_size, f"{prefix}_MAX_QUEUE_SIZE", 2048))
        delay = _positive(schedule_delay_millis, f"{prefix}_SCHEDULE_DELAY", default_delay_millis)
        timeout = _positive(export_timeout_millis, f"{prefix}_EXPORT_TIMEOUT", 30000)
        batch = int(_positive(max_export_batch_size, f"{prefix}_MAX_EXPORT_BATCH_SIZE", 512))
        if batch > capacity:
            report(
                f"setting:{prefix}_MAX_EXPORT_BATCH_SIZE",
                f"{prefix}_MAX_EXPORT_BATCH_SIZE is {batch}, which is more than {prefix}_MAX_QUEUE_SIZE, "
                f"{capacity}; {capacity} is used.",
            )
            batch = capacity
        self.stats = stats.of(signal)
        self._queue = ItemQueue(
            capacity,
            max_queue_bytes or _MAX_BYTES,
            weigh=self._weigh,
            trace_of=self._trace_of,
            error_traces=_error_traces,
            drop=self.stats.drop,
        )
        self._worker = Worker(
            f"ada-otel-{signal}",
            self._queue,
            exporter,
            self.stats,
            is_important=self._is_important,
            delay=delay / 1e3,
            batch=batch,
            export_timeout=timeout / 1e3,
            spool=_spool(spool_folder, exporter, self.stats, spool_max_bytes, spool_fsync),
        )
        self.stats.attach(self)

    @property
    def capacity(self) -> int:
        """The most items that can wait."""
        return self._queue.capacity

    def __len__(self) -> int:
        """The items that wait or are being sent."""
        return len(self._queue) + self._worker.in_hand

    def __bool__(self) -> bool:
        return True

    def force_flush(self, timeout_millis: int | None = 30000) -> bool:
        """Export all that is queued; true if that was done in time, in milliseconds."""
        if self._queue.closed:
            return False
        return self._worker.flush((30000 if timeout_millis is None else timeout_millis) / 1e3)

    def shutdown(self, timeout_millis: int = 30000) -> None:
        """Export all that is queued within the time, in milliseconds; drop and count the rest. Done once."""
        if self._queue.closed:
            return
        self._queue.closed = True
        self._worker.stop(timeout_millis / 1e3)
        self._exporter.shutdown()

    @staticmethod
    def _weigh(item: Any) -> int:
        raise NotImplementedError

    @staticmethod
    def _trace_of(item: Any) -> int:
        raise NotImplementedError

    @staticmethod
    def _is_important(item: Any) -> bool:
        raise NotImplementedError


class BatchSpanProcessor(_Batching, SpanProcessor):
    """Batches spans; takes the arguments and ``OTEL_BSP_*`` variables of the stock one.

    Args:
        span_exporter: Any standard span exporter.
        max_queue_size: The most spans that wait (``OTEL_BSP_MAX_QUEUE_SIZE``, 2048).
        schedule_delay_millis: From one batch to the next (``OTEL_BSP_SCHEDULE_DELAY``, 5000).
        max_export_batch_size: The most spans in a request (``OTEL_BSP_MAX_EXPORT_BATCH_SIZE``, 512).
        export_timeout_millis: For one batch with its further tries (``OTEL_BSP_EXPORT_TIMEOUT``, 30000).
        max_queue_bytes: The most bytes that wait, estimated; 32 MiB.
        spool_folder: Where to write what cannot be sent while the collector is away; nowhere by default.
            Needs one of our own exporters.
        spool_max_bytes: The most that it may take there; 64 MiB.
        spool_fsync: Whether it must be on the disk at once, for machines that lose power.
    """

    #: Ended spans are queued as they are; see ``ada_otel.pipeline.tracing.processors``.
    takes_live_spans = True

    def __init__(
        self,
        span_exporter: Any,
        max_queue_size: int | None = None,
        schedule_delay_millis: float | None = None,
        max_export_batch_size: int | None = None,
        export_timeout_millis: float | None = None,
        *,
        max_queue_bytes: int | None = None,
        spool_folder: str | None = None,
        spool_max_bytes: int = _SPOOL_BYTES,
        spool_fsync: bool = False,
    ) -> None:
        super().__init__(
            "traces",
            span_exporter,
            prefix="OTEL_BSP",
            max_queue_size=max_queue_size,
            schedule_delay_millis=schedule_delay_millis,
            max_export_batch_size=max_export_batch_size,
            export_timeout_millis=export_timeout_millis,
            max_queue_bytes=max_queue_bytes,
            spool_folder=spool_folder,
            spool_max_bytes=spool_max_bytes,
            spool_fsync=spool_fsync,
            default_delay_millis=5000,
        )

    def on_end(self, span: ReadableSpan) -> None:
        """Queue a span, if it is sampled."""
        # By the private names, which ReadableSpan and our span share: three properties are 0.3 µs.
        context = span._context
        if context is None or not context[3] & 1:
            return
        failed = span._status._status_code is _ERROR
        if failed:
            _error_traces.add(context.trace_id)
        self._queue.add(span, failed)

    @staticmethod
    def _weigh(item: ReadableSpan) -> int:
        total = weight(getattr(item, "_attributes", None))
        for event in getattr(item, "_events", None) or ():
            total += weight(getattr(event, "_attributes", None))
        return total

    @staticmethod
    def _trace_of(item: ReadableSpan) -> int:
        return item.context.trace_id if item.context is not None else 0

    @staticmethod
    def _is_important(item: ReadableSpan) -> bool:
        return item.status.status_code is _ERROR


class BatchLogRecordProcessor(_Batching, LogRecordProcessor):
    """Batches log records; takes the arguments and ``OTEL_BLRP_*`` variables of the stock one.

    Args:
        exporter: Any standard log record exporter.
        schedule_delay_millis: From one batch to the next (``OTEL_BLRP_SCHEDULE_DELAY``, 1000).
        max_export_batch_size: The most records in a request (``OTEL_BLRP_MAX_EXPORT_BATCH_SIZE``, 512).
        export_timeout_millis: For one batch with its further tries (``OTEL_BLRP_EXPORT_TIMEOUT``, 30000).
        max_queue_size: The most records that wait (``OTEL_BLRP_MAX_QUEUE_SIZE``, 2048).
        max_queue_bytes: The most bytes that wait, estimated; 32 MiB.
        spool_folder: Where to write what cannot be sent while the collector is away; nowhere by default.
            Needs one of our own exporters.
        spool_max_bytes: The most that it may take there; 64 MiB.
        spool_fsync: Whether it must be on the disk at once, for machines that lose power.
    """

    def __init__(
        self,
        exporter: Any,
        schedule_delay_millis: float | None = None,
        max_export_batch_size: int | None = None,
        export_timeout_millis: float | None = None,
        max_queue_size: int | None = None,
        *,
        max_queue_bytes: int | None = None,
        spool_folder: str | None = None,
        spool_max_bytes: int = _SPOOL_BYTES,
        spool_fsync: bool = False,
    ) -> None:
        super().__init__(
            "logs",
            exporter,
            prefix="OTEL_BLRP",
            max_queue_size=max_queue_size,
            schedule_delay_millis=schedule_delay_millis,
            max_export_batch_size=max_export_batch_size,
            export_timeout_millis=export_timeout_millis,
            max_queue_bytes=max_queue_bytes,
            spool_folder=spool_folder,
            spool_max_bytes=spool_max_bytes,
            spool_fsync=spool_fsync,
            default_delay_millis=1000,
        )

    def on_emit(self, log_record: ReadWriteLogRecord) -> None:
        """Queue a log record. What has the fields of a ``ReadableLogRecord`` already is queued as it is."""
        item = _readable(log_record) if type(log_record) is ReadWriteLogRecord else log_record
        self.add(item, self._is_important(item))  # type: ignore[arg-type]  # the same, but for its name

    def add(self, item: Any, important: bool) -> None:
        """Queue a log record of which it is known whether its severity is that of an error."""
        if important and (trace_id := self._trace_of(item)):
            _error_traces.add(trace_id)
        self._queue.add(item, important)

    @staticmethod
    def _weigh(item: ReadableLogRecord | Deferred) -> int:
        if isinstance(item, tuple):
            return weight_of_parts(item)
        return weight(item.log_record.attributes, item.log_record.body)

    @staticmethod
    def _trace_of(item: ReadableLogRecord | Deferred) -> int:
        if isinstance(item, tuple):
            return 0 if item[2] is None else item[2].trace_id
        return item.log_record.trace_id or 0

    @staticmethod
    def _is_important(item: ReadableLogRecord | Deferred) -> bool:
        if isinstance(item, tuple):
            return bool(item[0].important)
        severity = item.log_record.severity_number
        return severity is not None and severity.value >= _SEVERITY_ERROR


_NO_CONTEXT = Context()


def _readable(given: ReadWriteLogRecord) -> ReadableLogRecord:
    """A copy that later processors cannot change, and that does not hold the context alive."""
    record = object.__new__(type(given.log_record))
    record.__dict__.update(given.log_record.__dict__)
    record.context = _NO_CONTEXT
    resource = given.resource if given.resource is not None else Resource.create({})
    return ReadableLogRecord(record, resource, given.instrumentation_scope, given.limits)


def _spool(
    folder: str | None, exporter: Any, figures: stats.SignalStats, max_bytes: int, fsync: bool
) -> Spool | None:
    if not folder:
        return None
    if not hasattr(exporter, "send_body"):
        report(
            f"spool:{figures.signal}:exporter",
            f"{type(exporter).__name__} cannot be used with a spool; {figures.signal} stay in memory.",
        )
        return None
    from pathlib import Path

    from ada_otel.pipeline.export.spool import Folder
    from ada_otel.pipeline.export.spool import Spool as _Spool

    try:
        files = Folder(Path(folder), figures.signal, max_bytes=max_bytes, fsync=fsync)
    except OSError as error:
        report(
            f"spool:{folder}",
            f"The spool folder {folder!r} cannot be used ({error}); {figures.signal} stay in memory. "
            "It has to be a folder that this process may write.",
        )
        return None
    return _Spool(files, exporter, figures)


def _positive(given: float | None, variable: str, default: int) -> float:
    """The argument, the variable, or the default; a bad argument raises, a bad variable is reported."""
    if given is not None:
        if not given > 0:
            raise ValueError(f"{given!r} is not above 0, as the argument for {variable} has to be")
        return given
    text = os.environ.get(variable, "").strip()
    if not text:
        return default
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value > 0:
        return value
    report(
        f"setting:{variable}",
        f"{variable} is {text!r}, which is not a whole number above 0; {default} is used.",
    )
    return default
