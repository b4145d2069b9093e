"""What the callbacks of observable instruments give, on its way to the cells.

Stock makes a ``Measurement`` of each observation and cleans, sorts and hashes its attributes, at each
collection anew. Here the way from attributes to cells is remembered, as it is for synchronous instruments;
that takes a collection of 45 observations from 0.68 ms to 0.31.
"""

from __future__ import annotations

import logging
from math import isfinite
from time import time_ns
from typing import Any

from opentelemetry.context import get_current
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk.metrics import AlwaysOffExemplarFilter, TraceBasedExemplarFilter
from opentelemetry.sdk.metrics._internal.instrument import _Asynchronous
from opentelemetry.sdk.metrics._internal.measurement import Measurement
from opentelemetry.trace.propagation import _SPAN_KEY

from ada_otel.pipeline.metrics._attributes import tidy
from ada_otel.pipeline.metrics._cells import Cell
from ada_otel.pipeline.metrics._keys import is_plain, key_of

# The SDK's own logger: these are its warnings, word for word.
_logger = logging.getLogger("opentelemetry.sdk.metrics._internal.instrument")


class Observed:
    """Calls the callbacks of a reader's observable instruments.

    Args:
        storage: The reader's :class:`~ada_otel.pipeline.metrics._storage.Storage`.
        most: The most attribute sets that are remembered for an instrument.
    """

    def __init__(self, storage: Any, most: int) -> None:
        self._storage = storage
        self._most = most
        self._cells: dict[Any, dict[Any, tuple[Cell, ...]]] = {}

    def forget(self) -> None:
        """Forget all cells."""
        self._cells = {}

    def take(self, instrument: Any, options: CallbackOptions, exemplar_filter: Any) -> None:
        """Store what the callbacks of an instrument observe now; what they raise is logged, as in the SDK."""
        if type(instrument).callback is not _Asynchronous.callback:
            for measurement in instrument.callback(options):
                self._store(measurement, exemplar_filter)
            return
        if not instrument._is_enabled():
            return
        kind = type(exemplar_filter)
        # With these two, an exemplar needs a span.
        usual = kind is TraceBasedExemplarFilter or kind is AlwaysOffExemplarFilter
        known = self._cells.setdefault(instrument, {})
        for callback in instrument._callbacks:
            try:
                for observation in callback(options):
                    self._one(instrument, observation, known, exemplar_filter, usual=usual)
            except Exception:  # noqa: PERF203  # one bad callback leaves the others
                _logger.exception("Callback failed for instrument %s.", instrument.name)

    def _one(
        self,
        instrument: Any,
        observation: Observation,
        known: dict[Any, tuple[Cell, ...]],
        exemplar_filter: Any,
        *,
        usual: bool,
    ) -> None:
        value = observation.value
        if not isfinite(value):
            _logger.warning(
                "Callback returned a non-finite value %s for instrument %s, ignoring measurement.",
                value,
                instrument.name,
            )
            return
        context = observation.context or get_current()
        attributes = observation.attributes
        if usual and context.get(_SPAN_KEY) is None:
            key = key_of(attributes)
            try:
                cells = known.get(key)
            except Exception:  # a value that cannot be hashed, such as a list
                key = cells = None
            if cells is None:
                cells = self._find(instrument, attributes, known, key)
            if cells is not None:
                for cell in cells:
                    cell.pending.append(value)
                return
        kept = tidy(instrument.name, attributes)
        self._store(Measurement(value, time_ns(), instrument, context, kept), exemplar_filter)

    def _find(
        self, instrument: Any, attributes: Any, known: dict[Any, tuple[Cell, ...]], key: Any
    ) -> tuple[Cell, ...] | None:
        """The cells of an attribute set, to be remembered; ``None`` if it is not as simple as that."""
        if key is None or not is_plain(key):
            return None
        cells = tuple(self._storage.cells(instrument, attributes))
        if not all(cell.batched for cell in cells):
            return None
        if len(known) >= self._most:
            known.clear()
        known[key] = cells
        return cells

    def _store(self, measurement: Measurement, exemplar_filter: Any) -> None:
        taken = exemplar_filter.should_sample(
            measurement.value, measurement.time_unix_nano, measurement.attributes, measurement.context
        )
        self._storage.consume_measurement(measurement, taken)
