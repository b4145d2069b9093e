"""Makes an instrument from its row."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from opentelemetry.metrics import CallbackOptions, Meter, Observation

from ada_otel.catalogue._model import Metric

Callback = Callable[[CallbackOptions], Iterable[Observation]]


def create(meter: Meter, row: Metric, callbacks: Sequence[Callback] = ()) -> Any:
    """Make the instrument of a row.

    Args:
        meter: Of the instrumentation that records.
        row: The metric.
        callbacks: Give the observations of an observable instrument.

    Raises:
        ValueError: Callbacks for an instrument that is not observable, or none for one that is.
    """
    observable = row.kind.startswith("observable_")
    if observable != bool(callbacks):
        wanted = "needs callbacks" if observable else "takes no callbacks"
        raise ValueError(f"{row.name} is of kind {row.kind}, which {wanted}")
    make = getattr(meter, f"create_{row.kind}")
    options: dict[str, Any] = {"unit": row.unit, "description": row.meaning}
    if observable:
        options["callbacks"] = list(callbacks)
    elif row.buckets is not None:
        options["explicit_bucket_boundaries_advisory"] = row.buckets
    return make(row.name, **options)
