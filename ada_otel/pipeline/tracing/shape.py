"""Whether the API and the SDK are built as the fast path leans on them; asked once, at the start.

``tests/unit/pipeline/test_tracing_pins.py`` pins the same things one by one, with what to look at.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

__all__ = ["problem"]

#: What sdk.Tracer must have by instance, to be made into ours by its class alone.
TRACER_ATTRIBUTES = (
    "_instrumentation_scope",
    "_span_limits",
    "_tracer_config",
    "_tracer_metrics",
    "id_generator",
    "instrumentation_info",
    "resource",
    "sampler",
    "span_processor",
)

#: What our span must override or bear: the attributes that the SDK's readable span reads.
SPAN_ATTRIBUTES = (
    "_attributes",
    "_context",
    "_end_time",
    "_events",
    "_instrumentation_info",
    "_instrumentation_scope",
    "_kind",
    "_links",
    "_name",
    "_parent",
    "_resource",
    "_start_time",
    "_status",
)

#: The parts of ParentBased that a compiled decision reads.
PARENT_BASED_ATTRIBUTES = (
    "_local_parent_not_sampled",
    "_local_parent_sampled",
    "_remote_parent_not_sampled",
    "_remote_parent_sampled",
    "_root",
)


@lru_cache(maxsize=1)
def problem() -> str | None:
    """Say in what the API or the SDK differs from what tracing leans on, or ``None`` if in nothing."""
    try:
        return next(_differences(), None)
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def _differences() -> Iterator[str]:
    yield from _api_differences()
    yield from _tracer_differences()
    yield from _sampler_differences()


def _api_differences() -> Iterator[str]:
    from opentelemetry import trace
    from opentelemetry.attributes import BoundedAttributes
    from opentelemetry.context import Context
    from opentelemetry.trace.propagation import _SPAN_KEY

    state = trace.TraceState([("a", "b")])
    made = trace.SpanContext(1, 2, True, trace.TraceFlags(1), state)
    if tuple(made) != (1, 2, True, 1, state, True):
        yield "SpanContext is not (trace id, span id, remote, flags, state, valid)"
    if not issubclass(Context, dict):
        yield "Context is not a dict"
    span = trace.NonRecordingSpan(made)
    if vars(span) != {"_context": made}:
        yield "NonRecordingSpan holds more than its context"
    if trace.set_span_in_context(span, Context()).get(_SPAN_KEY) is not span:
        yield "the current span is not in the context under _SPAN_KEY"
    # By its signature: to see it limit something, it would log that it did.
    if list(inspect.signature(BoundedAttributes.__init__).parameters)[1:5] != [
        "maxlen",
        "attributes",
        "immutable",
        "max_value_len",
    ]:
        yield "BoundedAttributes takes other arguments"
    bounded = BoundedAttributes(1, {"a": 1}, immutable=False)
    for name in ("_immutable", "_set_items"):
        if not hasattr(bounded, name):
            yield f"BoundedAttributes has no {name}"


def _tracer_differences() -> Iterator[str]:
    from opentelemetry.sdk import trace as sdk
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace.sampling import ALWAYS_ON

    # With a resource of its own it would detect one, in threads: 0.4 ms.
    provider = sdk.TracerProvider(sampler=ALWAYS_ON, resource=Resource.get_empty(), shutdown_on_exit=False)
    tracer: Any = provider.get_tracer("ada_otel.shape")
    if type(tracer) is not sdk.Tracer:
        if not provider._disabled:
            yield "TracerProvider.get_tracer does not give a sdk.Tracer"
        return
    for name in TRACER_ATTRIBUTES:
        if name not in vars(tracer):
            yield f"sdk.Tracer has no {name}"
    if not hasattr(tracer._tracer_config, "is_enabled"):
        yield "a tracer's configuration has no is_enabled"
    if not hasattr(sdk.SpanProcessor, "_on_ending"):
        yield "SpanProcessor has no _on_ending"
    yield from _span_differences(tracer)


def _span_differences(tracer: Any) -> Iterator[str]:
    from opentelemetry.sdk.trace import Span

    for name in sorted(set(Span._readable_span.__code__.co_names)):
        if name.startswith("_") and name not in SPAN_ATTRIBUTES:
            yield f"sdk.Span has {name}, of which our span does not know"
    span: Any = tracer.start_span("shape")
    for name in (*SPAN_ATTRIBUTES, "_record_end_metrics", "_record_exception", "_set_status_on_exception"):
        if not hasattr(span, name):
            yield f"sdk.Span has no {name}"


def _sampler_differences() -> Iterator[str]:
    from opentelemetry.sdk.trace.sampling import DEFAULT_ON, Decision, TraceIdRatioBased

    for name in PARENT_BASED_ATTRIBUTES:
        if not hasattr(DEFAULT_ON, name):
            yield f"ParentBased has no {name}"
    ratio = TraceIdRatioBased(0.5)
    if ratio._bound != 1 << 63 or ratio.TRACE_ID_LIMIT != (1 << 64) - 1:
        yield "TraceIdRatioBased decides by another part of the trace id"
    if [decision.value for decision in Decision] != [0, 1, 2]:
        yield "the sampling decisions have other values"
