"""A propagator for those who want none."""

from __future__ import annotations

from typing import Any

from opentelemetry.context import Context, get_current
from opentelemetry.propagators.textmap import TextMapPropagator


class NoPropagator(TextMapPropagator):
    """Reads nothing from a carrier and writes nothing to it."""

    def extract(self, carrier: Any, context: Context | None = None, getter: Any = None) -> Context:
        """Give back the context as it is."""
        return get_current() if context is None else context

    def inject(self, carrier: Any, context: Context | None = None, setter: Any = None) -> None:
        """Leave the carrier as it is."""

    @property
    def fields(self) -> set[str]:
        """No fields."""
        return set()
