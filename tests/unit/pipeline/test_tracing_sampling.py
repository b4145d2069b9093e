"""Which spans are recorded, and what is computed for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider as StockProvider
from opentelemetry.sdk.trace import _disable_tracer_configurator
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import (
    ALWAYS_OFF,
    ALWAYS_ON,
    Decision,
    ParentBased,
    ParentBasedTraceIdRatio,
    Sampler,
    SamplingResult,
    StaticSampler,
    TraceIdRatioBased,
)
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, TraceFlags, TraceState

from ada_otel.pipeline.tracing import RecordingSpan, TracerProvider
from ada_otel.pipeline.tracing.sampling import compile_sampler, decision_of_roots, drops_below_unsampled

_plain = st.one_of(
    st.sampled_from([StaticSampler(decision) for decision in Decision]),
    st.floats(0, 1).map(TraceIdRatioBased),
    st.floats(0, 1).map(ParentBasedTraceIdRatio),
)
_samplers = st.recursive(
    _plain,
    lambda parts: st.builds(
        ParentBased,
        parts,
        remote_parent_sampled=parts,
        remote_parent_not_sampled=parts,
        local_parent_sampled=parts,
        local_parent_not_sampled=parts,
    ),
    max_leaves=6,
)
_trace_ids = st.integers(1, (1 << 128) - 1)
_parents = st.none() | st.builds(
    lambda trace_id, span_id, remote, flags: SpanContext(trace_id, span_id, remote, TraceFlags(flags)),
    _trace_ids,
    st.integers(1, (1 << 64) - 1),
    st.booleans(),
    st.integers(0, 255),
)


@settings(max_examples=300, deadline=None)
@given(sampler=_samplers, parent=_parents, fresh=_trace_ids)
def test_compiled_samplers_decide_as_the_sdk_does(
    sampler: Sampler, parent: SpanContext | None, fresh: int
) -> None:
    decide = compile_sampler(sampler)
    assert decide is not None
    trace_id = fresh if parent is None else parent.trace_id
    context = Context() if parent is None else trace.set_span_in_context(NonRecordingSpan(parent), Context())
    expected = sampler.should_sample(context, trace_id, "name", SpanKind.INTERNAL, {}, ())
    assert decide(parent, trace_id) == expected.decision.value


@settings(max_examples=100, deadline=None)
@given(sampler=_samplers, parent=_parents)
def test_spans_have_the_flags_and_state_of_stock(sampler: Sampler, parent: SpanContext | None) -> None:
    def start(provider: Any) -> tuple[Any, ...]:
        context = Context()
        if parent is not None:
            stated = SpanContext(
                parent.trace_id,
                parent.span_id,
                parent.is_remote,
                parent.trace_flags,
                TraceState([("a", "b")]),
            )
            context = trace.set_span_in_context(NonRecordingSpan(stated), context)
        span = (
            provider(sampler=sampler, id_generator=_Counting(), shutdown_on_exit=False)
            .get_tracer("t")
            .start_span("s", context)
        )
        return span.get_span_context(), span.is_recording(), getattr(span, "parent", None)

    assert start(TracerProvider) == start(StockProvider)


class _Counting(IdGenerator):
    """Ids in order, from an id generator that is not the SDK's own."""

    def __init__(self) -> None:
        self.last = 0

    def _next(self) -> int:
        self.last += 1
        return self.last

    def generate_span_id(self) -> int:
        return self._next()

    def generate_trace_id(self) -> int:
        return self._next()


def test_custom_ids_are_used() -> None:
    tracer = TracerProvider(id_generator=_Counting(), shutdown_on_exit=False).get_tracer("t")
    context = tracer.start_span("s", Context()).get_span_context()
    assert (context.trace_id, context.span_id) == (1, 2)
    assert not context.trace_flags.random_trace_id


def test_random_ids_differ_and_are_marked_random() -> None:
    tracer = TracerProvider(shutdown_on_exit=False).get_tracer("t")
    contexts = [tracer.start_span("s", Context()).get_span_context() for _ in range(1000)]
    assert len({context.trace_id for context in contexts}) == 1000
    assert len({context.span_id for context in contexts}) == 1000
    assert all(context.trace_flags == 3 and context.is_valid for context in contexts)


@pytest.mark.parametrize(("sampler", "calls"), [(ALWAYS_OFF, 0), (ALWAYS_ON, 1)])
def test_attributes_are_made_for_recorded_spans_only(sampler: Sampler, calls: int) -> None:
    made: list[int] = []
    tracer: Any = TracerProvider(sampler=sampler, shutdown_on_exit=False).get_tracer("t")
    span = tracer.begin("s", SpanKind.CLIENT, Context(), _counted(made))
    assert len(made) == calls
    assert span.is_recording() == bool(calls)


def _counted(made: list[int]) -> Callable[[], dict[str, Any]]:
    def attributes() -> dict[str, Any]:
        made.append(1)
        return {"a": 1}

    return attributes


class _Reading(Sampler):
    """Keeps what it was asked, and answers with attributes and a state of its own."""

    def __init__(self) -> None:
        self.asked: list[Any] = []

    def should_sample(
        self, parent_context: Any, trace_id: int, name: str, *rest: Any, **_: Any
    ) -> SamplingResult:
        kind, attributes, links = rest
        self.asked.append((name, kind, dict(attributes), links))
        return SamplingResult(Decision.RECORD_ONLY, {"sampler": [1, "two"]}, TraceState([("k", "v")]))

    def get_description(self) -> str:
        return "reading"


def test_a_custom_sampler_sees_the_attributes_and_replaces_them() -> None:
    sampler = _Reading()
    tracer: Any = TracerProvider(sampler=sampler, shutdown_on_exit=False).get_tracer("t")
    span = tracer.begin("s", SpanKind.CLIENT, Context(), lambda: {"a": 1})
    assert sampler.asked == [("s", SpanKind.CLIENT, {"a": 1}, ())]
    assert dict(span.attributes)["sampler"] == (1, "two") or dict(span.attributes)["sampler"] == [1, "two"]
    assert span.get_span_context().trace_state.to_header() == "k=v"
    assert not span.get_span_context().trace_flags.sampled
    assert span.is_recording()


def test_subclasses_with_their_own_decision_are_asked() -> None:
    class Half(TraceIdRatioBased):
        pass

    class Own(ParentBased):
        def should_sample(self, *args: Any, **kwargs: Any) -> SamplingResult:
            return SamplingResult(Decision.DROP)

    assert compile_sampler(Half(0.5)) is None
    assert compile_sampler(Own(ALWAYS_ON)) is None
    assert compile_sampler(ParentBased(_Reading())) is None


def test_a_disabled_scope_makes_spans_that_record_nothing_and_pass_the_parent_on() -> None:
    provider = TracerProvider(shutdown_on_exit=False, _tracer_configurator=_disable_tracer_configurator)
    tracer: Any = provider.get_tracer("t")
    parent = SpanContext(1, 2, True, TraceFlags(1))
    context = trace.set_span_in_context(NonRecordingSpan(parent), Context())
    for span in (
        tracer.start_span("s", context),
        tracer.begin("s", SpanKind.CLIENT, context, dict),
    ):
        assert not span.is_recording()
        assert span.get_span_context() == parent
    assert not tracer.begin("s", SpanKind.CLIENT, Context(), dict).get_span_context().is_valid


def test_a_scope_can_be_disabled_later() -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    tracer = provider.get_tracer("t")
    assert type(tracer.start_span("s")) is RecordingSpan
    provider._set_tracer_configurator(tracer_configurator=_disable_tracer_configurator)
    assert not tracer.start_span("s").is_recording()


@pytest.mark.parametrize("provider_class", [TracerProvider, StockProvider])
def test_internal_metrics_count_spans(monkeypatch: pytest.MonkeyPatch, provider_class: Any) -> None:
    monkeypatch.setenv("OTEL_PYTHON_SDK_INTERNAL_METRICS_ENABLED", "true")
    reader = InMemoryMetricReader()
    meters = MeterProvider([reader], shutdown_on_exit=False)
    for sampler in (ALWAYS_ON, ALWAYS_OFF):
        tracer = provider_class(sampler=sampler, shutdown_on_exit=False, meter_provider=meters).get_tracer(
            "t"
        )
        tracer.start_span("open")
        tracer.start_span("ended").end()
    data = reader.get_metrics_data()
    assert data is not None
    found = {
        (metric.name, point.attributes["otel.span.sampling_result"]): point.value  # type: ignore[union-attr, index]
        for metric in data.resource_metrics[0].scope_metrics[0].metrics
        for point in metric.data.data_points
    }
    assert found == {
        ("otel.sdk.span.started", "RECORD_AND_SAMPLE"): 2,
        ("otel.sdk.span.started", "DROP"): 2,
        ("otel.sdk.span.live", "RECORD_AND_SAMPLE"): 1,
    }


@given(_samplers, _trace_ids)
@settings(deadline=None)
def test_what_is_known_of_every_root_is_what_the_sampler_decides(sampler: Sampler, trace_id: int) -> None:
    known = decision_of_roots(sampler)
    asked = int(sampler.should_sample(None, trace_id, "s").decision.value)
    assert known in {None, asked}


@given(_samplers, _trace_ids)
@settings(deadline=None)
def test_what_is_known_to_be_dropped_is_dropped(sampler: Sampler, trace_id: int) -> None:
    if drops_below_unsampled(sampler):
        parent = trace.set_span_in_context(
            NonRecordingSpan(SpanContext(trace_id, 1, False, TraceFlags(0))), Context()
        )
        assert sampler.should_sample(parent, trace_id, "s").decision is Decision.DROP


def test_the_usual_samplers_are_known_before() -> None:
    assert decision_of_roots(ALWAYS_ON) == decision_of_roots(ParentBased(ALWAYS_ON)) == 2
    assert decision_of_roots(ParentBasedTraceIdRatio(0.5)) is None
    assert drops_below_unsampled(ParentBasedTraceIdRatio(0.5))
    assert not drops_below_unsampled(ParentBased(ALWAYS_OFF, local_parent_not_sampled=ALWAYS_ON))
    assert not drops_below_unsampled(TraceIdRatioBased(0.5))
