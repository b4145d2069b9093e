"""Temporality and histogram aggregation of the metric exporter, by the specification's two variables."""

from __future__ import annotations

import os

from opentelemetry.sdk.metrics import (
    Counter,
    Histogram,
    ObservableCounter,
    ObservableGauge,
    ObservableUpDownCounter,
    UpDownCounter,
)
from opentelemetry.sdk.metrics.export import AggregationTemporality
from opentelemetry.sdk.metrics.view import (
    Aggregation,
    ExplicitBucketHistogramAggregation,
    ExponentialBucketHistogramAggregation,
)

from ada_otel._diagnostics import report

_TEMPORALITY = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE"
_AGGREGATION = "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION"

#: What is delta under each preference; everything else is cumulative.
_DELTAS: dict[str, tuple[type, ...]] = {
    "cumulative": (),
    "delta": (Counter, Histogram, ObservableCounter),
    "lowmemory": (Counter, Histogram),
}
_AGGREGATIONS: dict[str, type[Aggregation]] = {
    "explicit_bucket_histogram": ExplicitBucketHistogramAggregation,
    "base2_exponential_bucket_histogram": ExponentialBucketHistogramAggregation,
}
_INSTRUMENTS = (
    Counter,
    UpDownCounter,
    Histogram,
    ObservableCounter,
    ObservableUpDownCounter,
    ObservableGauge,
)


def temporality(
    preferred: dict[type, AggregationTemporality] | None = None,
) -> dict[type, AggregationTemporality]:
    """The temporality of each instrument class; ``preferred`` wins over the variable."""
    deltas = _DELTAS[_choice(_TEMPORALITY, "cumulative", tuple(_DELTAS))]
    chosen: dict[type, AggregationTemporality] = {
        kind: AggregationTemporality.DELTA if kind in deltas else AggregationTemporality.CUMULATIVE
        for kind in _INSTRUMENTS
    }
    return chosen | (preferred or {})


def aggregation(preferred: dict[type, Aggregation] | None = None) -> dict[type, Aggregation]:
    """The aggregation of histograms; ``preferred`` wins over the variable."""
    name = _choice(_AGGREGATION, "explicit_bucket_histogram", tuple(_AGGREGATIONS))
    chosen: dict[type, Aggregation] = {Histogram: _AGGREGATIONS[name]()}
    return chosen | (preferred or {})


def _choice(variable: str, default: str, allowed: tuple[str, ...]) -> str:
    text = os.environ.get(variable, "").strip().lower() or default
    if text in allowed:
        return text
    report(
        f"setting:{variable}",
        f"{variable} is {text!r}, which is not one of {', '.join(allowed)}; {default!r} is used.",
    )
    return default
