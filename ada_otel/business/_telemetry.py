"""The meter, tracer and logger of this package, and its instruments, each made when it is first used.

Without an SDK they are the API's: calls are dropped, and reach the SDK as soon as one is there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from opentelemetry import _logs, metrics, trace
from opentelemetry.trace import Span

from ada_otel import catalogue

#: The name of the meter, the tracer and the logger.
SCOPE = "ada_otel.business"


class _Telemetry:
    """Where this package's telemetry goes: the global providers, or those of :meth:`use`."""

    def __init__(self) -> None:
        self.use()

    def use(
        self, meter_provider: Any = None, tracer_provider: Any = None, logger_provider: Any = None
    ) -> None:
        """Take these providers; ``None`` is the global one."""
        self._providers = (meter_provider, tracer_provider, logger_provider)
        self._instruments: dict[str, Any] = {}
        self._tracer: trace.Tracer | None = None

    @property
    def meter(self) -> metrics.Meter:
        return metrics.get_meter(SCOPE, meter_provider=self._providers[0])

    @property
    def tracer(self) -> trace.Tracer:
        if self._tracer is None:
            self._tracer = trace.get_tracer(SCOPE, tracer_provider=self._providers[1])
        return self._tracer

    @property
    def logger(self) -> _logs.Logger:
        return _logs.get_logger(SCOPE, logger_provider=self._providers[2])

    def instrument(self, name: str) -> Any:
        """The instrument of a row of the catalogue."""
        found = self._instruments.get(name)
        if found is None:
            # Two threads at once make it twice, which the SDK answers with one and the same stream.
            found = self._instruments[name] = catalogue.create(self.meter, catalogue.metric(name))
        return found


telemetry = _Telemetry()


def count(name: str, attributes: dict[str, Any], value: float = 1) -> None:
    """Add to a counter of the catalogue."""
    telemetry.instrument(name).add(value, attributes)


def record(name: str, value: float, attributes: dict[str, Any]) -> None:
    """Record into a histogram of the catalogue."""
    telemetry.instrument(name).record(value, attributes)


def note(attributes: Mapping[str, Any]) -> None:
    """Put attributes on the current span, where there is one."""
    span = trace.get_current_span()
    if span.is_recording():
        span.set_attributes(attributes)


def event(name: str, attributes: Mapping[str, Any]) -> None:
    """Add an event to the current span, where there is one."""
    span: Span = trace.get_current_span()
    if span.is_recording():
        span.add_event(name, attributes)
