"""OTLP protobuf, written by hand: the messages of the stock encoder, several times cheaper.

Each function returns a serialized ``Export…ServiceRequest`` that parses to the same message as what
opentelemetry-exporter-otlp-proto-common makes of the same input. Whatever this encoder does not know for
certain (a type, a range, a string that is not valid Unicode) sends the whole batch through the stock encoder,
is counted in `fallbacks`, and is logged at debug level, once per signal and reason.

Spans are read by their private attributes if their class is the SDK's, or says ``otlp_direct = True`` (see
`ada_otel.pipeline.encoder._traces`); by their public properties otherwise.

Not imported here: protobuf, nor the generated OTLP classes. They load with the first fallback.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk.metrics.export import MetricsData
from opentelemetry.sdk.trace import ReadableSpan

from ada_otel._diagnostics import report
from ada_otel.pipeline.encoder import _groups, _logs, _metrics, _traces, _values
from ada_otel.pipeline.encoder._wire import SurpriseError

if TYPE_CHECKING:
    from ada_otel.pipeline.lines import Deferred

__all__ = ["clear_caches", "encode_logs", "encode_metrics", "encode_spans", "fallbacks"]

_fallbacks: dict[tuple[str, str], int] = {}


def encode_spans(spans: Sequence[ReadableSpan]) -> bytes:
    """Serialize ended spans as an ``ExportTraceServiceRequest``.

    Raises:
        Exception: What the stock encoder raises, for a batch that it refuses too.
    """
    try:
        return _traces.encode(spans)
    except Exception as error:
        _count("traces", error)
    from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans as stock

    return bytes(stock(spans).SerializeToString())


def encode_logs(batch: Sequence[ReadableLogRecord | Deferred]) -> bytes:
    """Serialize log records, and lines that are yet to be put together, as an ``ExportLogsServiceRequest``.

    Raises:
        Exception: What the stock encoder raises, for a batch that it refuses too.
    """
    try:
        return _logs.encode(batch)
    except Exception as error:
        _count("logs", error)
    from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs as stock

    from ada_otel.pipeline.logging import DeferredLog

    readable: list[Any] = [DeferredLog(item) if type(item) is tuple else item for item in batch]
    return bytes(stock(readable).SerializeToString())


def encode_metrics(data: MetricsData) -> bytes:
    """Serialize one collection of metrics as an ``ExportMetricsServiceRequest``.

    Raises:
        Exception: What the stock encoder raises, for a collection that it refuses too.
    """
    try:
        return _metrics.encode(data)
    except Exception as error:
        _count("metrics", error)
    from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics as stock

    return bytes(stock(data).SerializeToString())


def fallbacks() -> dict[tuple[str, str], int]:
    """Return how many batches the stock encoder had to take, by signal and reason, since the start.

    Signals are ``traces``, ``logs`` and ``metrics``. Reasons are few: fixed phrases, or names of exceptions.
    """
    return dict(_fallbacks)


def clear_caches() -> None:
    """Forget all cached bytes; for tests and memory measurements. The caches are bounded without it."""
    _values.clear_attributes()
    _groups.clear_groups()
    _traces.clear_names()
    _logs.clear_redacted()
    _metrics.clear_bounds()


def _count(signal: str, error: Exception) -> None:
    reason = error.reason if isinstance(error, SurpriseError) else type(error).__name__
    _fallbacks[signal, reason] = _fallbacks.get((signal, reason), 0) + 1
    report(
        f"encoder:{signal}:{reason}",
        f"A batch of {signal} went through the stock OTLP encoder: {reason}.",
        level=logging.DEBUG,
        exc=error,
    )
