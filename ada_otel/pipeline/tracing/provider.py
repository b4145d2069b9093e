"""The tracer provider and its tracers."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from time import time_ns
from typing import Any

from opentelemetry import trace as trace_api
from opentelemetry.context import Context
from opentelemetry.sdk import trace as sdk
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanLimits, SpanProcessor
from opentelemetry.sdk.trace.id_generator import IdGenerator, RandomIdGenerator
from opentelemetry.sdk.trace.sampling import Decision, Sampler
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, TraceFlags
from opentelemetry.trace.propagation import _SPAN_KEY
from opentelemetry.trace.span import DEFAULT_TRACE_STATE as _DEFAULT_STATE
from opentelemetry.util.types import Attributes

from ada_otel.pipeline.grouped import PLAIN, GroupedAttributes, together
from ada_otel.pipeline.tracing.processors import SpanProcessors
from ada_otel.pipeline.tracing.sampling import (
    DROP,
    SAMPLE,
    compile_root,
    compile_sampler,
    decision_of_roots,
    drops_below_unsampled,
)
from ada_otel.pipeline.tracing.span import ALWAYS_FIT, RecordingSpan

#: Trace flags by value: making one costs 0.4 µs, and there are four.
_FLAGS = tuple(TraceFlags(value) for value in range(4))
_SAMPLED, _RANDOM = 1, 2
#: Our instrumentations begin no span with more attributes in groups and beside them.
_MOST_GROUPED = 32
_NO_LINKS: tuple[Any, ...] = ()

MakeAttributes = Callable[[], "dict[str, Any] | GroupedAttributes"]

# Bound once: each attribute look-up that is spared is 0.03 µs of each span. CPython seeds `random` anew in a
# forked child; making a span by its class would run two constructors written in Python, 1.2 µs.
_bits = random.getrandbits
_new_tuple = tuple.__new__
_new_span = object.__new__


class Tracer(sdk.Tracer):
    """The SDK's tracer, whose spans are :class:`RecordingSpan`."""

    processors: SpanProcessors

    def adopt(self) -> Tracer:
        """Work out once what each span would otherwise have to ask."""
        assert isinstance(self.span_processor, SpanProcessors)
        self.processors = self.span_processor
        limits = self._span_limits
        # Plain dicts hold attributes as long as no limit could touch them.
        count = limits.max_span_attributes
        self.plain = limits.max_span_attribute_length is None and count is not None
        self.plain_count = count or 0
        #: Of those that are not in groups, so that the groups are within the limit as well.
        self.own_count = max(0, self.plain_count - _MOST_GROUPED)
        self._grouped = self.plain_count >= _MOST_GROUPED + ALWAYS_FIT
        #: Whether a span may have :class:`SharedLinks`: fewer than any limit, but for a limit of 0.
        self.shares_links = limits.max_links != 0
        self._decision = compile_sampler(self.sampler)
        self._of_every_root = decision_of_roots(self.sampler)
        self._decide_root = compile_root(self.sampler)
        self._drops_below_unsampled = drops_below_unsampled(self.sampler)
        ids = self.id_generator
        self._random_ids = type(ids) is RandomIdGenerator
        self._counts_spans = type(self._tracer_metrics).__name__ != "NoOpTracerMetrics"
        self._direct = (
            self._decision is not None and self._random_ids and self.plain and not self._counts_spans
        )
        return self

    def begin(
        self,
        name: str,
        kind: SpanKind,
        context: Context,
        attributes: MakeAttributes,
        *,
        start_time: int | None = None,
    ) -> trace_api.Span:
        """Start a span whose attributes are made only if it is recorded; for our own instrumentations.

        Args:
            name: The span's name.
            kind: Its kind.
            context: The parent context, whose span is the parent; handed to samplers and foreign processors.
            attributes: Makes the attributes, new ones: str to str, bool, int or float.
            start_time: Nanoseconds since the epoch; now, if not given.
        """
        current = context.get(_SPAN_KEY)
        parent: SpanContext | None = None if current is None else current.get_span_context()  # type: ignore[attr-defined]
        if not self._direct or not self._tracer_config.is_enabled:
            return self._begin_slowly(name, kind, parent, attributes, context, start_time)
        if parent is None or not parent[5]:
            parent, trace_id, random_id, state = None, _bits(128) or 1, _RANDOM, _DEFAULT_STATE
            decision = self._of_every_root
            if decision is None:
                decision = self._decide_root(None, trace_id)  # type: ignore[misc]  # _direct says that there is one
        else:
            trace_id, _, _, flags, state, _ = parent
            random_id = flags & _RANDOM
            decision = self._decision(parent, trace_id)  # type: ignore[misc]  # likewise
        # SpanContext checks the range of ids; these were drawn within it. A test pins its layout.
        span_context = _new_tuple(
            SpanContext,
            (trace_id, _bits(64) or 1, False, _FLAGS[random_id | (decision == SAMPLE)], state, True),
        )
        if decision == DROP:
            dropped = _new_span(NonRecordingSpan)
            dropped._context = span_context
            return dropped
        given = attributes()
        if type(given) is GroupedAttributes and not self._grouped:
            given = given.together()
        span = _new_span(RecordingSpan)
        span._tracer = self
        span._name = name
        span._context = span_context
        span._parent = parent
        span._kind = kind
        span._attributes = given
        span._start_time = time_ns() if start_time is None else start_time
        span._end_time = None
        if type(given) is dict and len(given) > self.plain_count:
            span._bounded()
        if self.processors.foreign:
            self.processors.start(span, context)
        return span

    def drops_children(self, context: Context) -> bool:
        """Whether a span begun in ``context`` would surely be dropped, so that nothing need be made."""
        span = context.get(_SPAN_KEY)
        if type(span) is not NonRecordingSpan or not self._direct:
            return False
        parent = span._context
        if self._drops_below_unsampled and parent[5] and not parent[2] and not parent[3] & _SAMPLED:
            return True
        return parent[5] and self._decision(parent, parent[0]) == DROP  # type: ignore[misc]

    def _begin_slowly(
        self,
        name: str,
        kind: SpanKind,
        parent: SpanContext | None,
        attributes: MakeAttributes,
        context: Context | None,
        start_time: int | None,
    ) -> trace_api.Span:
        """Begin where a sampler, an id generator, a limit or the SDK's own metrics want to be asked."""
        if not self._tracer_config.is_enabled:
            return NonRecordingSpan(parent or trace_api.INVALID_SPAN_CONTEXT)
        if parent is not None and not parent[5]:
            parent = None
        if self._decision is not None:
            span_context, decision = self._sample(parent)
            given = together(attributes()) if decision != DROP else {}
            plain = self.plain and len(given) <= self.plain_count
        else:
            span_context, decision, sampled = self._ask(
                name, kind, parent, together(attributes()), _NO_LINKS, context
            )
            given, plain = dict(sampled or {}), False
        return self._make(
            name,
            kind,
            span_context,
            parent,
            decision,
            given,
            plain=plain,
            start_time=start_time,
            context=context,
        )

    def start_span(
        self,
        name: str,
        context: Context | None = None,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Attributes = None,
        links: Sequence[trace_api.Link] | None = (),
        start_time: int | None = None,
        record_exception: bool = True,
        set_status_on_exception: bool = True,
    ) -> trace_api.Span:
        """Start a span as the API says; see ``opentelemetry.trace.Tracer.start_span``."""
        parent: SpanContext | None = trace_api.get_current_span(context).get_span_context()
        if parent is not None and not isinstance(parent, SpanContext):
            raise TypeError("parent_span_context must be a SpanContext or None.")
        if not self._tracer_config.is_enabled:
            return NonRecordingSpan(parent or trace_api.INVALID_SPAN_CONTEXT)
        if parent is not None and not parent.is_valid:
            parent = None
        links = links or ()
        if self._decision is not None:
            span_context, decision = self._sample(parent)
        else:
            span_context, decision, attributes = self._ask(name, kind, parent, attributes, links, context)
        plain = (
            self.plain
            and (not attributes or len(attributes) <= self.plain_count)
            and all(
                type(value) in PLAIN and type(key) is str and key for key, value in (attributes or {}).items()
            )
        )
        span = self._make(
            name,
            kind,
            span_context,
            parent,
            decision,
            dict(attributes) if attributes else {},
            plain=plain,
            links=links,
            start_time=start_time,
            context=context,
        )
        if type(span) is RecordingSpan:
            if not record_exception:
                span._record_exception = False
            if not set_status_on_exception:
                span._set_status_on_exception = False
        return span

    def _make(
        self,
        name: str,
        kind: SpanKind,
        span_context: SpanContext,
        parent: SpanContext | None,
        decision: int,
        attributes: dict[str, Any],
        *,
        plain: bool,
        links: Sequence[trace_api.Link] = _NO_LINKS,
        start_time: int | None,
        context: Context | None,
    ) -> trace_api.Span:
        metrics = None
        if self._counts_spans:
            metrics = self._tracer_metrics.start_span(parent, Decision(decision))
        if decision == DROP:
            return NonRecordingSpan(span_context)
        span = RecordingSpan(self, name, span_context, parent, kind, attributes, start_time)
        if not plain:
            span._bounded()
        if links:
            span.take_links(links)
        if metrics is not None:
            span._record_end_metrics = metrics
        if self.processors.foreign:
            self.processors.start(span, context)
        return span

    def _sample(self, parent: SpanContext | None) -> tuple[SpanContext, int]:
        """Decide by the parent alone; see :mod:`ada_otel.pipeline.tracing.sampling`."""
        trace_id, span_id, random_id = self._ids(parent)
        assert self._decision is not None
        decision = self._decision(parent, trace_id)
        state = _DEFAULT_STATE if parent is None else parent[4]
        return _span_context(trace_id, span_id, decision, random_id, state), decision

    def _ask(
        self,
        name: str,
        kind: SpanKind,
        parent: SpanContext | None,
        attributes: Attributes,
        links: Sequence[trace_api.Link],
        context: Context | None,
    ) -> tuple[SpanContext, int, Attributes]:
        """Ask the sampler, which may give attributes and a trace state of its own."""
        trace_id, span_id, random_id = self._ids(parent)
        result = self.sampler.should_sample(context, trace_id, name, kind, attributes, links)
        decision = int(result.decision.value)
        state = _DEFAULT_STATE if result.trace_state is None else result.trace_state
        return _span_context(trace_id, span_id, decision, random_id, state), decision, result.attributes

    def _ids(self, parent: SpanContext | None) -> tuple[int, int, bool]:
        if self._random_ids:
            # CPython seeds `random` anew in a forked child.
            span_id = random.getrandbits(64) or 1
            if parent is None:
                return random.getrandbits(128) or 1, span_id, True
            return parent[0], span_id, bool(parent[3] & _RANDOM)
        ids = self.id_generator
        if parent is None:
            return ids.generate_trace_id(), ids.generate_span_id(), ids.is_trace_id_random()
        return parent[0], ids.generate_span_id(), bool(parent[3] & _RANDOM)


def _span_context(trace_id: int, span_id: int, decision: int, random_id: bool, state: Any) -> SpanContext:
    flags = _FLAGS[(_SAMPLED if decision == SAMPLE else 0) | (_RANDOM if random_id else 0)]
    # SpanContext checks the range of ids; these were drawn within it. A test pins its layout.
    return tuple.__new__(SpanContext, (trace_id, span_id, False, flags, state, True))


class TracerProvider(sdk.TracerProvider):
    """The SDK's tracer provider, with tracers and processors of ours; same arguments, same behaviour."""

    def __init__(
        self,
        sampler: Sampler | None = None,
        resource: Resource | None = None,
        shutdown_on_exit: bool = True,
        active_span_processor: SpanProcessor | None = None,
        id_generator: IdGenerator | None = None,
        span_limits: SpanLimits | None = None,
        **options: Any,
    ) -> None:
        processors = SpanProcessors()
        if active_span_processor is not None:
            processors.add_span_processor(active_span_processor)
        super().__init__(
            sampler, resource, shutdown_on_exit, processors, id_generator, span_limits, **options
        )

    def get_tracer(
        self,
        instrumenting_module_name: str,
        instrumenting_library_version: str | None = None,
        schema_url: str | None = None,
        attributes: Attributes = None,
    ) -> trace_api.Tracer:
        """Get the tracer of an instrumentation scope."""
        tracer = super().get_tracer(
            instrumenting_module_name, instrumenting_library_version, schema_url, attributes
        )
        if type(tracer) is sdk.Tracer:
            # The SDK names its tracer class itself; ours adds no state before adopt().
            tracer.__class__ = Tracer
            assert isinstance(tracer, Tracer)
            tracer.adopt()
        return tracer
