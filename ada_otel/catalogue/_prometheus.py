"""The names that Prometheus gives to OTLP metrics under ``UnderscoreEscapingWithSuffixes``.

Source: the specification's "Prometheus and OpenMetrics Compatibility", and Prometheus's otlptranslator.
"""

from __future__ import annotations

import re

from ada_otel.catalogue._model import Metric

_UNITS = {
    "d": "days",
    "h": "hours",
    "min": "minutes",
    "s": "seconds",
    "ms": "milliseconds",
    "us": "microseconds",
    "ns": "nanoseconds",
    "By": "bytes",
    "KiBy": "kibibytes",
    "MiBy": "mebibytes",
    "m": "meters",
    "%": "percent",
}


def prometheus_label(name: str) -> str:
    """The label that an attribute becomes."""
    label = re.sub(r"[^a-zA-Z0-9_]", "_", name)
    return f"key_{label}" if label[:1].isdigit() else label


def prometheus_name(row: Metric) -> str:
    """The metric name; of a histogram, the part before ``_bucket``, ``_count`` and ``_sum``."""
    words = [word for word in re.split(r"[^a-zA-Z0-9]+", row.name) if word]
    unit = _UNITS.get(row.unit, "" if row.unit.startswith("{") or row.unit == "1" else row.unit)
    if unit and unit not in words:
        words.append(unit)
    if row.monotonic:
        words = [word for word in words if word != "total"] + ["total"]
    elif row.unit == "1" and row.kind in {"gauge", "observable_gauge"}:
        words = [word for word in words if word != "ratio"] + ["ratio"]
    return "_".join(words)


def prometheus_series(row: Metric) -> tuple[str, ...]:
    """All series names of a metric."""
    name = prometheus_name(row)
    if row.kind == "histogram":
        return (f"{name}_bucket", f"{name}_count", f"{name}_sum")
    return (name,)
