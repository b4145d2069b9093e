"""The pipeline itself (semantic conventions for OpenTelemetry SDKs, development)."""

from __future__ import annotations

from ada_otel.catalogue._common import ERROR_TYPE
from ada_otel.catalogue._model import Attribute, Metric

_TYPE = Attribute("otel.component.type", "Which part of the pipeline.", bound="six values")
_NAME = Attribute("otel.component.name", "Its name.", bound="six values")

TELEMETRY: tuple[Metric, ...] = (
    Metric(
        "otel.sdk.processor.span.queue.size",
        "observable_up_down_counter",
        "{span}",
        "Items that wait to be sent.",
        "telemetry",
        (
            _TYPE,
            _NAME,
        ),
    ),
    Metric(
        "otel.sdk.processor.span.queue.capacity",
        "observable_up_down_counter",
        "{span}",
        "The most items that can wait.",
        "telemetry",
        (
            _TYPE,
            _NAME,
        ),
    ),
    Metric(
        "otel.sdk.processor.span.processed",
        "observable_counter",
        "{span}",
        "Items that left the queue, or found it full.",
        "telemetry",
        (
            _TYPE,
            _NAME,
            ERROR_TYPE,
        ),
    ),
    Metric(
        "otel.sdk.exporter.span.exported",
        "observable_counter",
        "{span}",
        "Items whose export has ended.",
        "telemetry",
        (
            _TYPE,
            _NAME,
            ERROR_TYPE,
        ),
    ),
    Metric(
        "otel.sdk.processor.log.queue.size",
        "observable_up_down_counter",
        "{log_record}",
        "Items that wait to be sent.",
        "telemetry",
        (
            _TYPE,
            _NAME,
        ),
    ),
    Metric(
        "otel.sdk.processor.log.queue.capacity",
        "observable_up_down_counter",
        "{log_record}",
        "The most items that can wait.",
        "telemetry",
        (
            _TYPE,
            _NAME,
        ),
    ),
    Metric(
        "otel.sdk.processor.log.processed",
        "observable_counter",
        "{log_record}",
        "Items that left the queue, or found it full.",
        "telemetry",
        (
            _TYPE,
            _NAME,
            ERROR_TYPE,
        ),
    ),
    Metric(
        "otel.sdk.exporter.log.exported",
        "observable_counter",
        "{log_record}",
        "Items whose export has ended.",
        "telemetry",
        (
            _TYPE,
            _NAME,
            ERROR_TYPE,
        ),
    ),
    Metric(
        "otel.sdk.exporter.metric_data_point.exported",
        "observable_counter",
        "{data_point}",
        "Data points whose export has ended.",
        "telemetry",
        (
            _TYPE,
            _NAME,
            ERROR_TYPE,
        ),
    ),
    Metric(
        "ada.sdk.exporter.last_success",
        "observable_gauge",
        "s",
        "When the collector last took something of this signal, in Unix time.",
        "telemetry",
        (
            _TYPE,
            _NAME,
        ),
    ),
    Metric(
        "ada.sdk.exporter.consecutive_failures",
        "observable_gauge",
        "{failure}",
        "Failed deliveries since the last success.",
        "telemetry",
        (
            _TYPE,
            _NAME,
        ),
    ),
)
