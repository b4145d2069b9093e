"""OTLP over HTTP with protobuf bodies: standard exporters for spans, log records and metrics.

They take the same arguments and variables as the stock ones. No gRPC, no requests, and no protobuf unless the
encoder falls back to the stock one; HTTP itself is imported on the first export.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from opentelemetry.sdk._logs.export import LogRecordExporter, LogRecordExportResult
from opentelemetry.sdk.metrics.export import MetricExporter, MetricExportResult
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from ada_otel._diagnostics import report
from ada_otel.pipeline.export import preferences, stats
from ada_otel.pipeline.export.delivery import Delivery
from ada_otel.pipeline.export.halves import halves_of_metrics, points_of_metrics
from ada_otel.pipeline.export.target import Signal, Target, from_environment
from ada_otel.pipeline.fork import no_fork, on_fork

if TYPE_CHECKING:
    from opentelemetry.sdk._logs import ReadableLogRecord
    from opentelemetry.sdk.metrics.export import AggregationTemporality, MetricsData
    from opentelemetry.sdk.metrics.view import Aggregation
    from opentelemetry.sdk.trace import ReadableSpan

    from ada_otel.pipeline.export.sender import Outcome, Sender

_LARGEST_REQUEST = 64 * 1024 * 1024


class _Exporter:
    """Encode, send, halve what is too large; shared by the three signals."""

    def __init__(self, signal: Signal, target: Target, max_request_size: int | None) -> None:
        self.target = target
        self._signal: Signal = signal
        self._largest = _LARGEST_REQUEST if max_request_size is None else max_request_size
        self._sender: Sender | None = None
        self._making = threading.Lock()
        self._last_call: float | None = None
        self._closed = False
        on_fork(self._renew)

    @property
    def failing(self) -> bool:
        """Whether the last attempt failed in a way that may pass."""
        return self._sender is not None and self._sender.failing

    @property
    def pause(self) -> float:
        """Seconds until the collector may be tried again."""
        return self._sender.pause if self._sender is not None else 0.0

    def hurry(self, deadline: float) -> None:
        """End all sending by ``deadline``, on ``time.monotonic()``."""
        self._last_call = deadline
        if self._sender is not None:
            self._sender.hurry(deadline)

    def deliver(self, items: Sequence[Any], within: float, *, once: bool = False) -> Delivery:
        """Send ``items``; see :class:`~ada_otel.pipeline.export.delivery.Delivers`."""
        return self._deliver(list(items), time.monotonic() + within, once=once)

    def send_body(self, body: bytes, within: float) -> Outcome:
        """Send a body that is encoded already, as the spool holds it, in one attempt, when it is due."""
        return self._ready_sender().send(body, within, once=True)

    def encode(self, items: Any) -> bytes:
        """The request body for ``items``."""
        raise NotImplementedError

    def _deliver(self, items: list[Any], deadline: float, *, once: bool) -> Delivery:
        done = Delivery()
        if not items:
            return done
        try:
            body = self._encoded(items)
        except Exception as error:
            return self._not_encoded(items, error, deadline, once=once)
        outcome = self._send(body, deadline, once=once)
        if outcome.kind == "sent":
            refused = min(outcome.rejection.items, len(items)) if outcome.rejection else 0
            done.sent = len(items) - refused
            done.drop("rejected", refused)
        elif outcome.kind == "retry":
            done.kept = items
            done.error = outcome.error or "timeout"
        elif outcome.kind == "too_large" and len(items) > 1:
            return self._in_halves(items, deadline, once=once)
        else:
            done.drop("rejected", len(items))
            done.error = outcome.error
        return done

    def _encoded(self, items: Any) -> bytes:
        with no_fork():  # the encoder is imported with the first batch, the stock one with the first fallback
            return self.encode(items)

    def _send(self, body: bytes, deadline: float, *, once: bool = False) -> Outcome:
        sender = self._ready_sender()
        if 0 < self._largest < len(body):
            from ada_otel.pipeline.export.sender import Outcome as _Outcome

            return _Outcome("too_large", "max_request_size")
        return sender.send(body, deadline - time.monotonic(), once=once)

    def _in_halves(self, items: list[Any], deadline: float, *, once: bool) -> Delivery:
        middle = len(items) // 2
        done = self._deliver(items[:middle], deadline, once=once)
        done.add(self._deliver(items[middle:], deadline, once=once))
        return done

    def _not_encoded(self, items: list[Any], error: Exception, deadline: float, *, once: bool) -> Delivery:
        """One bad item must not cost the batch: halves are tried until it is alone."""
        if len(items) > 1:
            return self._in_halves(items, deadline, once=once)
        report(
            f"export:encode:{self._signal}:{type(error).__name__}",
            f"An item of {self._signal} could not be encoded ({type(error).__name__}: {error}); "
            "it is dropped and counted.",
            exc=error,
        )
        done = Delivery(error=type(error).__name__)
        done.drop("encode", 1)
        return done

    def _ready_sender(self) -> Sender:
        with self._making:
            if self._sender is None:
                self._sender = self._new_sender()
                if self._last_call is not None:
                    self._sender.hurry(self._last_call)
            return self._sender

    def _new_sender(self) -> Sender:
        with no_fork():
            import encodings.idna  # noqa: F401  # looking up a host imports it

            from ada_otel.pipeline.export.sender import Sender

            if self.target.url.startswith("https:"):
                import ssl  # noqa: F401
            return Sender(self.target, self._signal)

    def _close(self) -> None:
        self._closed = True
        if self._sender is not None:
            self._sender.hurry(time.monotonic() if self._last_call is None else self._last_call)
            self._sender.close()

    def _renew(self) -> None:
        self._making = threading.Lock()
        self._last_call = None

    def _export(self, items: Sequence[Any]) -> bool:
        """The standard interface: try for the configured timeout, then give up."""
        if self._closed:
            return False
        done = self.deliver(items, self.target.timeout)
        return not done.kept and not done.dropped


class OTLPSpanExporter(_Exporter, SpanExporter):
    """Sends spans; a drop-in for ``opentelemetry.exporter.otlp.proto.http.trace_exporter.OTLPSpanExporter``.

    Args:
        endpoint: The full address, path included.
        certificate_file: CA certificates to trust.
        client_key_file: The key for mutual TLS.
        client_certificate_file: The certificate for mutual TLS.
        headers: Added to those of the variables.
        timeout: Seconds for an attempt; used by the standard ``export`` for all of its attempts together.
        compression: ``none``, ``gzip`` or ``deflate``.
        max_request_size: Bytes before compression, 64 MiB by default; a larger batch is sent in halves.
    """

    def __init__(
        self,
        endpoint: str | None = None,
        certificate_file: str | None = None,
        client_key_file: str | None = None,
        client_certificate_file: str | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
        compression: str | None = None,
        *,
        max_request_size: int | None = None,
    ) -> None:
        target = from_environment(
            "traces",
            endpoint=endpoint,
            headers=headers,
            timeout=timeout,
            compression=compression,
            certificate_file=certificate_file,
            client_key_file=client_key_file,
            client_certificate_file=client_certificate_file,
        )
        super().__init__("traces", target, max_request_size)

    def encode(self, items: Any) -> bytes:
        """The ``ExportTraceServiceRequest`` for spans."""
        from ada_otel.pipeline.encoder import encode_spans

        return encode_spans(items)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send a batch, trying again until the timeout."""
        return SpanExportResult.SUCCESS if self._export(spans) else SpanExportResult.FAILURE

    def shutdown(self) -> None:
        """Stop sending."""
        self._close()

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Nothing is kept here."""
        return True


class OTLPLogExporter(_Exporter, LogRecordExporter):
    """Sends log records; the arguments are those of :class:`OTLPSpanExporter`."""

    def __init__(
        self,
        endpoint: str | None = None,
        certificate_file: str | None = None,
        client_key_file: str | None = None,
        client_certificate_file: str | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
        compression: str | None = None,
        *,
        max_request_size: int | None = None,
    ) -> None:
        target = from_environment(
            "logs",
            endpoint=endpoint,
            headers=headers,
            timeout=timeout,
            compression=compression,
            certificate_file=certificate_file,
            client_key_file=client_key_file,
            client_certificate_file=client_certificate_file,
        )
        super().__init__("logs", target, max_request_size)

    def encode(self, items: Any) -> bytes:
        """The ``ExportLogsServiceRequest`` for log records."""
        from ada_otel.pipeline.encoder import encode_logs

        return encode_logs(items)

    def export(self, batch: Sequence[ReadableLogRecord]) -> LogRecordExportResult:
        """Send a batch, trying again until the timeout."""
        return LogRecordExportResult.SUCCESS if self._export(batch) else LogRecordExportResult.FAILURE

    def shutdown(self) -> None:
        """Stop sending."""
        self._close()

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Nothing is kept here."""
        return True


class OTLPMetricExporter(_Exporter, MetricExporter):
    """Sends metrics; the arguments are those of :class:`OTLPSpanExporter`, and two preferences.

    Args:
        preferred_temporality: Overrides ``OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE``, by class.
        preferred_aggregation: Overrides ``OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION``.
    """

    def __init__(
        self,
        endpoint: str | None = None,
        certificate_file: str | None = None,
        client_key_file: str | None = None,
        client_certificate_file: str | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
        compression: str | None = None,
        preferred_temporality: dict[type, AggregationTemporality] | None = None,
        preferred_aggregation: dict[type, Aggregation] | None = None,
        *,
        max_request_size: int | None = None,
    ) -> None:
        target = from_environment(
            "metrics",
            endpoint=endpoint,
            headers=headers,
            timeout=timeout,
            compression=compression,
            certificate_file=certificate_file,
            client_key_file=client_key_file,
            client_certificate_file=client_certificate_file,
        )
        _Exporter.__init__(self, "metrics", target, max_request_size)
        MetricExporter.__init__(
            self,
            preferred_temporality=preferences.temporality(preferred_temporality),
            preferred_aggregation=preferences.aggregation(preferred_aggregation),
        )
        self.stats = stats.of("metrics")

    def encode(self, items: Any) -> bytes:
        """The ``ExportMetricsServiceRequest`` for one ``MetricsData``."""
        from ada_otel.pipeline.encoder import encode_metrics

        return encode_metrics(items)

    def export(
        self, metrics_data: MetricsData, timeout_millis: float = 10_000, **_kwargs: Any
    ) -> MetricExportResult:
        """Send one collection, trying again until the timeout; the next one repeats cumulative sums."""
        if self._closed:
            return MetricExportResult.FAILURE
        within = min(self.target.timeout, timeout_millis / 1e3) if timeout_millis else self.target.timeout
        done = self._deliver_metrics(metrics_data, time.monotonic() + within)
        self.stats.delivered(done)
        return MetricExportResult.FAILURE if done.dropped else MetricExportResult.SUCCESS

    def shutdown(self, timeout_millis: float = 30_000, **_kwargs: Any) -> None:
        """Stop sending."""
        self._close()

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        """Nothing is kept here."""
        return True

    def _deliver_metrics(self, data: MetricsData, deadline: float) -> Delivery:
        points = points_of_metrics(data)
        done = Delivery()
        if not points:
            return done
        try:
            outcome = self._send(self._encoded(data), deadline)
        except Exception as error:
            report(
                f"export:encode:metrics:{type(error).__name__}",
                f"Metrics could not be encoded: {error}.",
                exc=error,
            )
            done.error = type(error).__name__
            done.drop("encode", points)
            return done
        if outcome.kind == "sent":
            refused = min(outcome.rejection.items, points) if outcome.rejection else 0
            done.sent = points - refused
            done.drop("rejected", refused)
            return done
        parts = halves_of_metrics(data) if outcome.kind == "too_large" else []
        for part in parts:
            done.add(self._deliver_metrics(part, deadline))
        if not parts:
            done.error = outcome.error or "timeout"
            done.drop("retry_exhausted" if outcome.kind == "retry" else "rejected", points)
        return done


#: The exporters by signal, for whoever builds a pipeline from a list of signals.
EXPORTERS: Mapping[Signal, Callable[[], Any]] = {
    "traces": OTLPSpanExporter,
    "logs": OTLPLogExporter,
    "metrics": OTLPMetricExporter,
}
