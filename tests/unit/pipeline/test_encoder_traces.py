"""Spans through both OTLP encoders: parsed, they are the same message."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.attributes import BoundedAttributes
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans as stock_encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan, SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.util import BoundedList
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    TraceState,
    set_span_in_context,
)

from ada_otel.pipeline import encoder
from tests.unit.pipeline.test_encoder_values import (
    ATTRIBUTES,
    NAMES,
    RESOURCES,
    SCOPES,
    TIMES,
    assert_same,
    bounded,
)

_STATES = st.sampled_from(
    [None, TraceState(), TraceState([("vendor", "1")]), TraceState([("a", "x"), ("b@c", "y=z")])]
)
_CONTEXTS = st.builds(
    SpanContext,
    st.integers(0, (1 << 128) - 1),
    st.integers(0, (1 << 64) - 1),
    st.booleans(),
    st.sampled_from([None, TraceFlags(0), TraceFlags(1), TraceFlags(3), TraceFlags(255)]),
    _STATES,
)


class _OwnEvent(Event):
    """An event that changes what it shows."""

    @property
    def name(self) -> str:
        return "shown " + self._name


_EVENTS = st.one_of(
    st.builds(Event, NAMES, ATTRIBUTES, st.integers(0, (1 << 64) - 1)),
    st.builds(_OwnEvent, NAMES, ATTRIBUTES, st.integers(0, (1 << 64) - 1)),
)
_LINKS = st.builds(Link, _CONTEXTS, ATTRIBUTES)
_STATUS = st.builds(
    Status, st.sampled_from(list(StatusCode)), st.sampled_from([None, "", "it broke", "é" * 200])
)


def _series(items: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    lists = st.lists(items, max_size=3)
    return st.one_of(
        lists,
        lists.map(tuple),
        st.builds(BoundedList.from_seq, st.integers(0, 2), lists),
    )


@st.composite
def _spans(draw: st.DrawFn) -> ReadableSpan:
    return ReadableSpan(
        draw(NAMES),
        context=draw(_CONTEXTS),
        parent=draw(st.one_of(st.none(), _CONTEXTS)),
        resource=draw(RESOURCES),
        attributes=draw(ATTRIBUTES),
        events=draw(_series(_EVENTS)),
        links=draw(_series(_LINKS)),
        kind=draw(st.sampled_from(list(SpanKind))),
        status=draw(_STATUS),
        start_time=draw(TIMES),
        end_time=draw(TIMES),
        instrumentation_scope=draw(SCOPES),
    )


@bounded
@given(st.lists(_spans(), max_size=6))
def test_random_spans_give_the_same_message(spans: list[ReadableSpan]) -> None:
    before = encoder.fallbacks()
    assert_same(encoder.encode_spans(spans), stock_encode_spans(spans))
    assert encoder.fallbacks() == before


def _recorded() -> list[ReadableSpan]:
    """What the SDK itself hands to an exporter: each feature once."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(
        resource=Resource({"service.name": "ada", "process.command_args": ("a", "b")}, "https://schema/r"),
        span_limits=SpanLimits(max_attributes=3, max_events=2, max_links=1, max_event_attributes=1),
    )
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("own", "1.2", "https://schema/s", {"scope.attribute": True})
    other = provider.get_tracer("other")
    remote = SpanContext(0xABC, 0xDEF, True, TraceFlags(1), TraceState([("vendor", "value")]))
    with tracer.start_as_current_span(
        "server",
        context=set_span_in_context(NonRecordingSpan(remote)),
        kind=SpanKind.SERVER,
        attributes={"a": 1, "b": "x", "c": 0.5, "dropped": True},
        links=[Link(remote, {"k": "v"}), Link(SpanContext(1, 2, False))],
    ) as span:
        for n in range(4):
            span.add_event(f"event {n}", {"n": n, "more": "dropped"})
        with other.start_as_current_span("client", kind=SpanKind.CLIENT):
            pass
        try:
            raise ValueError("broken")
        except ValueError as error:
            span.record_exception(error)
        span.set_status(StatusCode.ERROR, "it broke")
    return list(exporter.get_finished_spans())


def test_spans_of_the_sdk_with_every_feature() -> None:
    before = encoder.fallbacks()
    spans = _recorded()
    ours = encoder.encode_spans(spans)
    assert_same(ours, stock_encode_spans(spans))
    assert encoder.fallbacks() == before
    (group,) = ExportTraceServiceRequest.FromString(ours).resource_spans
    assert group.schema_url == "https://schema/r"
    client, server = group.scope_spans[0].spans[0], group.scope_spans[1].spans[0]
    assert [scope.scope.name for scope in group.scope_spans] == ["other", "own"]
    assert group.scope_spans[1].schema_url == "https://schema/s"
    assert group.scope_spans[1].scope.attributes[0].value.bool_value is True
    assert (client.flags, server.flags) == (0x100, 0x300)
    assert server.parent_span_id == (0xDEF).to_bytes(8, "big")
    assert server.trace_state == "vendor=value"
    assert (server.dropped_attributes_count, server.dropped_events_count, server.dropped_links_count) == (
        1,
        3,
        1,
    )
    assert server.events[0].dropped_attributes_count == 1
    assert server.links[0].trace_id == (1).to_bytes(16, "big")
    assert (server.status.code, server.status.message) == (2, "it broke")
    assert client.HasField("status")


def test_no_spans_give_an_empty_request() -> None:
    assert encoder.encode_spans([]) == b""


def test_equal_resources_and_scopes_share_a_group_under_the_first_one() -> None:
    def span(name: str, values: dict[str, Any], scope: str) -> ReadableSpan:
        return ReadableSpan(
            name,
            SpanContext(1, 2, False),
            resource=Resource(values),
            instrumentation_scope=InstrumentationScope(scope),
        )

    spans = [
        span("1", {"b": 1, "a": 2}, "x"),
        span("2", {"a": 2, "b": True}, "x"),
        span("3", {"a": 2, "b": 1}, "y"),
        span("4", {"a": 2, "b": 1}, "x"),
    ]
    ours = encoder.encode_spans(spans)
    assert_same(ours, stock_encode_spans(spans))
    first, second = ExportTraceServiceRequest.FromString(ours).resource_spans
    assert [[s.name for s in scope.spans] for scope in first.scope_spans] == [["1", "4"], ["3"]]
    assert second.scope_spans[0].spans[0].name == "2"


def test_ids_that_are_used_again_do_not_bring_back_old_resources() -> None:
    for n in range(200):
        spans = [
            ReadableSpan(
                "s",
                SpanContext(1, 2, False),
                resource=Resource({"n": n}),
                instrumentation_scope=InstrumentationScope(f"scope {n}"),
            )
        ]
        assert_same(encoder.encode_spans(spans), stock_encode_spans(spans))


class _RedactingSpan(ReadableSpan):
    """Someone's subclass that overrides a public property."""

    @property
    def attributes(self) -> Any:
        return MappingProxyType(dict.fromkeys(self._attributes or {}, "[redacted]"))


class _DirectSpan(ReadableSpan):
    """A class that promises direct reads, and counts drops itself."""

    otlp_direct = True

    @property
    def name(self) -> str:
        return self._name

    @property
    def dropped_attributes(self) -> int:
        return 7

    @property
    def dropped_events(self) -> int:
        return 8

    @property
    def dropped_links(self) -> int:
        return 9


class _RedactingDirectSpan(_DirectSpan):
    """It inherits from a class with the promise, and would break it."""

    @property
    def attributes(self) -> Any:
        return {"password": "[redacted]"}


class _ForeignSpan:
    """No subclass of anything: only what the stock encoder reads."""

    def __init__(self, span: ReadableSpan) -> None:
        self._wrapped = span

    def __getattr__(self, name: str) -> Any:
        return getattr(self._wrapped, name)


@pytest.mark.parametrize("cls", [_RedactingSpan, _DirectSpan, _RedactingDirectSpan])
@pytest.mark.parametrize(
    "attributes", [{"password": "secret"}, BoundedAttributes(1, {"a": 1, "password": "secret"})]
)
def test_subclasses_are_read_as_stock_reads_them(cls: type[ReadableSpan], attributes: Any) -> None:
    before = encoder.fallbacks()
    spans = [cls("s", SpanContext(1, 2, False), attributes=attributes, events=[Event("e", {"k": "v"}, 5)])]
    ours = encoder.encode_spans(spans)
    assert_same(ours, stock_encode_spans(spans))
    assert (b"secret" in ours) is (cls is _DirectSpan)
    assert encoder.fallbacks() == before


def test_a_span_that_is_no_subclass_is_read_by_its_properties() -> None:
    before = encoder.fallbacks()
    spans: list[Any] = [_ForeignSpan(span) for span in _recorded()]
    assert_same(encoder.encode_spans(spans), stock_encode_spans(spans))
    assert encoder.fallbacks() == before
