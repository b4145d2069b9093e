"""One way for our instrumentations to start a span, on our tracer or on anybody else's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from opentelemetry import trace as trace_api
from opentelemetry.context import Context
from opentelemetry.trace import SpanKind

from ada_otel.pipeline.grouped import together
from ada_otel.pipeline.tracing.provider import MakeAttributes, Tracer


class Begin(Protocol):
    """See :meth:`ada_otel.pipeline.tracing.provider.Tracer.begin`."""

    def __call__(
        self,
        name: str,
        kind: SpanKind,
        context: Context,
        attributes: MakeAttributes,
        *,
        start_time: int | None = None,
    ) -> trace_api.Span:
        """Start a span."""
        ...


def begin_with(tracer: trace_api.Tracer) -> Begin:
    """Give the tracer's own ``begin``, or one that goes through the public ``start_span``."""
    if isinstance(tracer, Tracer):
        return tracer.begin

    def begin(
        name: str,
        kind: SpanKind,
        context: Context,
        attributes: MakeAttributes,
        *,
        start_time: int | None = None,
    ) -> trace_api.Span:
        return tracer.start_span(
            name, context=context, kind=kind, attributes=together(attributes()), start_time=start_time
        )

    return begin


def drops_children_with(tracer: trace_api.Tracer) -> Callable[[Context], bool]:
    """Give the tracer's own ``drops_children``, or one that never knows."""
    return tracer.drops_children if isinstance(tracer, Tracer) else lambda _context: False
