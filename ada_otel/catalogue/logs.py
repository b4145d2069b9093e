"""What is logged, counted where it is logged."""

from __future__ import annotations

from ada_otel.catalogue._model import Attribute, Metric

LOGS: tuple[Metric, ...] = (
    Metric(
        "ada.log.records",
        "counter",
        "{record}",
        "Log lines, by severity.",
        "logs",
        (
            Attribute(
                "ada.log.severity",
                "OpenTelemetry severity range.",
                values=("TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"),
            ),
        ),
    ),
    Metric(
        "ada.exceptions",
        "counter",
        "{exception}",
        "Exceptions that were logged.",
        "logs",
        (
            Attribute(
                "exception.type",
                "Class of the exception, with its module but for builtins.",
                bound="exception classes; capped by the cardinality limit",
            ),
            Attribute(
                "http.route",
                "Of the request within which it was logged.",
                bound="the app's routes",
                optional=True,
            ),
        ),
    ),
)
