"""``bind()``: an instrument and its attributes in, a handle with one method out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, overload

from opentelemetry import metrics as api
from opentelemetry.context import Context, get_current
from opentelemetry.trace import NonRecordingSpan, set_span_in_context

from ada_otel._diagnostics import contained
from ada_otel.pipeline.metrics._attributes import tidy
from ada_otel.pipeline.metrics._bound import (
    CURRENT,
    Binding,
    BoundCounter,
    BoundGauge,
    BoundHistogram,
    BoundUpDownCounter,
)
from ada_otel.pipeline.metrics._exemplars import Attributes
from ada_otel.pipeline.metrics._instruments import Remembering
from ada_otel.pipeline.metrics._tally import Forwarded, Tally


class _Forwarding(Binding):
    """For instruments that are not ours: calls them with the attributes."""

    __slots__ = ()

    def __init__(self, instrument: Any, attributes: Attributes) -> None:
        self._instrument = instrument
        self._attributes = dict(attributes) if attributes else None

    def _forward(self, value: float, context: Context | None = None, span_context: Any = CURRENT) -> None:
        with contained("Recording a metric"):
            if span_context is not CURRENT:
                span = None if span_context is None else NonRecordingSpan(span_context)
                # A span of None reads as "no span" everywhere in the API.
                context = set_span_in_context(span, context or get_current())  # type: ignore[arg-type]
            self._call(value, context)

    def _take(self, value: float) -> None:
        self._forward(value, None, None)

    def _call(self, value: float, context: Context | None) -> None:
        raise NotImplementedError


class _ForwardingCounter(_Forwarding, BoundCounter):
    __slots__ = ()
    add = _Forwarding._forward
    take = _Forwarding._take

    def _call(self, value: float, context: Context | None) -> None:
        self._instrument.add(value, self._attributes, context)


class _ForwardingUpDownCounter(_Forwarding, BoundUpDownCounter):
    __slots__ = ()
    add = _Forwarding._forward
    take = _Forwarding._take

    def _call(self, value: float, context: Context | None) -> None:
        self._instrument.add(value, self._attributes, context)


class _ForwardingHistogram(_Forwarding, BoundHistogram):
    __slots__ = ()
    record = _Forwarding._forward
    take = _Forwarding._take

    def _call(self, value: float, context: Context | None) -> None:
        self._instrument.record(value, self._attributes, context)


class _ForwardingGauge(_Forwarding, BoundGauge):
    __slots__ = ()
    set = _Forwarding._forward

    def _call(self, value: float, context: Context | None) -> None:
        self._instrument.set(value, self._attributes, context)


_KINDS: tuple[tuple[type, type[Binding], type[Binding]], ...] = (
    (api.Counter, BoundCounter, _ForwardingCounter),
    (api.UpDownCounter, BoundUpDownCounter, _ForwardingUpDownCounter),
    (api.Histogram, BoundHistogram, _ForwardingHistogram),
    (api._Gauge, BoundGauge, _ForwardingGauge),
)


@overload
def bind(instrument: api.Counter, attributes: Attributes = None) -> BoundCounter: ...
@overload
def bind(instrument: api.UpDownCounter, attributes: Attributes = None) -> BoundUpDownCounter: ...
@overload
def bind(instrument: api.Histogram, attributes: Attributes = None) -> BoundHistogram: ...
@overload
def bind(instrument: api._Gauge, attributes: Attributes = None) -> BoundGauge: ...
def bind(instrument: Any, attributes: Attributes = None) -> Any:
    """Tie ``instrument`` to one attribute set.

    The handle stays good for the life of the process and of its forks, whatever readers come and go. It
    counts nothing before its first value. Keep handles for attribute sets that are few and known; each holds
    its place under the cardinality limit from its first value on.

    Args:
        instrument: A counter, up-down counter, histogram or gauge of any provider. With instruments that are
            not ours (the stock SDK, no SDK, or made before a provider was set) the handle just calls them.
        attributes: The attribute set; copied.

    Returns:
        A handle with ``add``, ``record`` or ``set``, as the instrument has, without the attributes.

    Raises:
        TypeError: ``instrument`` takes no values, as observable instruments do not.
    """
    real = getattr(instrument, "_real_instrument", None) or instrument
    for kind, ours, forwarding in _KINDS:
        if isinstance(real, kind):
            if isinstance(real, Remembering):
                return ours(real, tidy(real.name, attributes))
            return forwarding(real, attributes)
    raise TypeError(
        f"bind() takes a counter, up-down counter, histogram or gauge, not {type(instrument).__name__}."
    )


def tally(handle: BoundCounter | BoundUpDownCounter, each: int = 1) -> Iterator[int]:
    """Count ones by a handle, for where even its ``take`` is too much.

    Make few of them, each once: the meter provider holds them as long as it lives, and adds up what they have
    counted before each collection, in the order in which they were made.

    Args:
        handle: What :func:`bind` gave.
        each: What each one adds: 1, or -1 for an up-down counter.

    Returns:
        An iterator: ``next()`` of it counts one, without exemplar. What it gives means nothing.
    """
    if isinstance(handle, _Forwarding):
        return Forwarded(handle.take, each)
    made = Tally(handle.take, each)
    handle._consumer.tallies.append(made)
    return made.ones
