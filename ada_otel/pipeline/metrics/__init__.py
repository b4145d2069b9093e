"""The metrics half of the recording pipeline: stock telemetry, at a fraction of the work, right after fork.

:class:`MeterProvider` and :class:`PeriodicReader` take the place of the SDK's classes of the same interface;
:func:`bind` ties an instrument to one attribute set, for the places that record on every request, and
:func:`tally` counts ones by what it gives.
"""

from ada_otel.pipeline.metrics._bind import bind, tally
from ada_otel.pipeline.metrics._bound import (
    CURRENT,
    BoundCounter,
    BoundGauge,
    BoundHistogram,
    BoundUpDownCounter,
)
from ada_otel.pipeline.metrics._provider import MeterProvider
from ada_otel.pipeline.metrics._reader import PeriodicReader
from ada_otel.pipeline.metrics._tally import Forwarded

__all__ = [
    "CURRENT",
    "BoundCounter",
    "BoundGauge",
    "BoundHistogram",
    "BoundUpDownCounter",
    "Forwarded",
    "MeterProvider",
    "PeriodicReader",
    "bind",
    "tally",
]
