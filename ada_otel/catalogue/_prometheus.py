"""The names that Prometheus gives to OTLP metrics under ``UnderscoreEscapingWithSuffixes``.

Source: the specification's "Prometheus and OpenMetrics Compatibility", and Prometheus's otlptranslator.
"""

from __future__ import annotations

import re

from ada_otel.catalogue._model import Metric

_UNITS = {
    "1": "",
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
    "GiBy": "gibibytes",
    "TiBy": "tibibytes",
    "KBy": "kilobytes",
    "MBy": "megabytes",
    "GBy": "gigabytes",
    "TBy": "terabytes",
    "m": "meters",
    "V": "volts",
    "A": "amperes",
    "J": "joules",
    "W": "watts",
    "g": "grams",
    "Cel": "celsius",
    "Hz": "hertz",
    "%": "percent",
}
_PER = {"s": "second", "m": "minute", "h": "hour", "d": "day", "w": "week", "mo": "month", "y": "year"}


def prometheus_label(name: str) -> str:
    """The label that an attribute becomes."""
    label = re.sub(r"[^a-zA-Z0-9_]", "_", name)
    if label == "__name__" or (label.startswith("_") and not label.startswith("__")):
        return f"key{label}"
    return f"key_{label}" if label[:1].isdigit() else label


def prometheus_name(row: Metric) -> str:
    """The metric name; of a histogram, the part before ``_bucket``, ``_count`` and ``_sum``."""
    words = [word for word in re.split(r"[^a-zA-Z0-9]+", row.name) if word]
    what, _, time = row.unit.partition("/")
    unit, per = _unit(what, _UNITS), _unit(time, _PER).removesuffix("_")
    suffixes = (unit.removesuffix("_") if per else unit, f"per_{per}" if per else "")
    words += [suffix for suffix in suffixes if suffix and suffix not in words]
    if row.monotonic:
        words = [word for word in words if word != "total"] + ["total"]
    elif row.unit == "1" and row.kind in {"gauge", "observable_gauge"}:
        words = [word for word in words if word != "ratio"] + ["ratio"]
    return "_".join(words)


def _unit(given: str, known: dict[str, str]) -> str:
    """A unit as part of a name; nothing for an annotation in braces."""
    unit = given.strip()
    if "{" in unit or "}" in unit:
        return ""
    return re.sub(r"[^a-zA-Z0-9]+", "_", known.get(unit, unit)).lstrip("_")


def prometheus_series(row: Metric) -> tuple[str, ...]:
    """All series names of a metric."""
    name = prometheus_name(row)
    if row.kind == "histogram":
        return (f"{name}_bucket", f"{name}_count", f"{name}_sum")
    return (name,)
