"""The public interface of spans: each script does the same on a stock span and on ours."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry import baggage, trace
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.context import Context
from opentelemetry.propagators.composite import CompositePropagator
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import (
    ConcurrentMultiSpanProcessor,
    ReadableSpan,
    Span,
    SpanLimits,
    SpanProcessor,
)
from opentelemetry.sdk.trace import TracerProvider as StockProvider
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from ada_otel.pipeline.grouped import Group, GroupedAttributes, SharedLinks
from ada_otel.pipeline.tracing import RecordingSpan, TracerProvider
from ada_otel.pipeline.tracing.provider import Tracer
from ada_otel.pipeline.tracing.span import error_status, put

_OTHER = SpanContext(5, 6, True, TraceFlags(1))


class _Keeping(SpanProcessor):
    def __init__(self) -> None:
        self.calls: list[tuple[str, Any]] = []

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        self.calls.append(("start", span))
        span.set_attribute("from.on_start", True)

    def _on_ending(self, span: Span) -> None:
        self.calls.append(("ending", span.end_time))

    def on_end(self, span: ReadableSpan) -> None:
        self.calls.append(("end", span))

    @property
    def ended(self) -> ReadableSpan:
        found: ReadableSpan = self.calls[-1][1]
        return found


def _run(provider_class: Any, script: Callable[[Any], Any], limits: SpanLimits | None) -> Any:
    processor = _Keeping()
    provider = provider_class(resource=Resource({"r": 1}), span_limits=limits, shutdown_on_exit=False)
    provider.add_span_processor(processor)
    span = provider.get_tracer("scope", "1").start_span(
        "name", Context(), attributes={"first": 1}, start_time=1
    )
    said = script(span)
    if span.end_time is None:
        span.end(2)
    assert [call[0] for call in processor.calls] == ["start", "ending", "end"]
    ended = processor.ended
    assert ended.end_time is not None
    found = {
        "attributes": dict(ended.attributes or {}),
        "end": ended.end_time if ended.end_time < 10 else "now",
        "events": [[event.name, _without_stack(event.attributes)] for event in ended.events],
        "kind": ended.kind,
        "links": [[link.context, dict(link.attributes or {})] for link in ended.links],
        "name": ended.name,
        "resource": ended.resource,
        "scope": [ended.instrumentation_scope, vars(ended)["_instrumentation_info"]],
        "start": ended.start_time,
        "status": [ended.status.status_code, ended.status.description],
    }
    return found, said, (ended.dropped_attributes, ended.dropped_events, ended.dropped_links)


def _without_stack(attributes: Any) -> dict[str, Any]:
    return {key: value for key, value in attributes.items() if key != "exception.stacktrace"}


def _attributes(span: Any) -> None:
    span.set_attribute("a", 1)
    span.set_attribute("", "no key")
    span.set_attribute(7, "no string")
    span.set_attribute("list", [1, 2])
    span.set_attribute("mixed", [1, "a"])
    span.set_attribute("none", None)
    span.set_attribute("bytes", b"abc")
    span.set_attribute("dict", {"a": {"b": 1}})
    span.set_attribute("object", object)
    span.set_attributes({"a": 2, "b": True, "c": 1.5})
    span.set_attributes({"": 1, 7: 2, "d": None, "e": ("x", 1)})


def _many(span: Any) -> None:
    for number in range(10):
        span.set_attribute(f"key{number}", "x" * number)
    span.set_attribute("key9", "again")
    for number in range(6):
        span.add_event(f"event{number}", {f"a{each}": "y" * 9 for each in range(5)})
        span.add_link(SpanContext(1, number + 1, False), {f"a{each}": "z" * 9 for each in range(5)})


def _status(*steps: Any) -> Callable[[Any], None]:
    def script(span: Any) -> None:
        for step in steps:
            span.set_status(*step)

    return script


def _exceptions(span: Any) -> None:
    class OwnError(Exception):
        pass

    span.record_exception(ValueError("one"), {"exception.message": "another", "n": 1}, timestamp=7)
    span.record_exception(OwnError("two"), escaped=True)


def _with_block(span: Any) -> None:
    with pytest.raises(KeyError), span:
        raise KeyError("gone")


def _links(span: Any) -> None:
    span.add_link(_OTHER, {"why": "because"})
    span.add_link(trace.INVALID_SPAN_CONTEXT)


def _after_end(span: Any) -> list[Any]:
    span.end(2)
    span.set_attribute("late", 1)
    span.set_attributes({"late": 1})
    span.add_event("late")
    span.add_link(_OTHER)
    span.update_name("late")
    span.set_status(StatusCode.ERROR)
    span.record_exception(ValueError())
    span.end(3)
    return [span.is_recording(), span.end_time, span.name]


def _read(span: Any) -> list[Any]:
    span.update_name("renamed")
    scope = span.instrumentation_scope
    return [
        span.name,
        span.kind,
        span.parent,
        span.start_time,
        dict(span.attributes),
        span.events,
        scope.name,
    ]


_ERROR = StatusCode.ERROR
_SCRIPTS: dict[str, Callable[[Any], Any]] = {
    "nothing": lambda span: None,
    "attributes": _attributes,
    "many": _many,
    "error, then unset": _status((_ERROR, "why"), (StatusCode.UNSET,), (Status(),)),
    "ok is final": _status((StatusCode.OK,), (_ERROR, "late"), (Status(_ERROR),)),
    "description of ok": _status((StatusCode.OK, "dropped")),
    "two descriptions": _status((Status(_ERROR, "one"), "two")),
    "error twice": _status((_ERROR, "one"), (_ERROR, "two")),
    "no status": _status(("ERROR",), (None,)),
    "exceptions": _exceptions,
    "with block": _with_block,
    "links": _links,
    "after end": _after_end,
    "read": _read,
}
_LIMITS: dict[str, Callable[[], SpanLimits | None]] = {
    "default": lambda: None,
    "counts": lambda: SpanLimits(
        max_span_attributes=4, max_events=2, max_links=2, max_event_attributes=2, max_link_attributes=3
    ),
    "lengths": lambda: SpanLimits(max_attribute_length=5, max_span_attribute_length=3),
    "none": lambda: SpanLimits(max_span_attributes=SpanLimits.UNSET, max_events=SpanLimits.UNSET),
    "zero": lambda: SpanLimits(max_span_attributes=0, max_events=0, max_links=0),
}


@pytest.mark.parametrize("limits", _LIMITS)
@pytest.mark.parametrize("script", _SCRIPTS)
def test_a_span_of_ours_becomes_what_a_stock_span_becomes(script: str, limits: str) -> None:
    def run(provider_class: Any) -> Any:
        return _run(provider_class, _SCRIPTS[script], _LIMITS[limits]())

    assert run(TracerProvider) == run(StockProvider)


def test_limits_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "3")
    monkeypatch.setenv("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", "2")
    found, _, dropped = _run(TracerProvider, _many, None)
    assert found == _run(StockProvider, _many, None)[0]
    assert len(found["attributes"]) == 3
    assert dropped[0] > 0


def test_warnings_after_the_end(caplog: pytest.LogCaptureFixture) -> None:
    def warnings(provider_class: Any) -> list[str]:
        caplog.clear()
        with caplog.at_level(logging.WARNING, "opentelemetry.sdk.trace"):
            _run(provider_class, _after_end, None)
        return [record.getMessage().replace(" _add", " add") for record in caplog.records]

    assert len(warnings(TracerProvider)) == 8
    assert warnings(TracerProvider) == warnings(StockProvider)


def test_foreign_processors_get_a_writable_span_and_then_a_read_only_one() -> None:
    processor = _Keeping()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(processor)
    provider.get_tracer("t").start_span("s").end()
    (_, started), (_, ending), (_, ended) = processor.calls
    assert type(started) is RecordingSpan
    assert ending is not None
    assert type(ended) is ReadableSpan
    assert ended.attributes == {"from.on_start": True}
    assert not hasattr(ended, "set_attribute")


def test_a_multi_processor_of_the_user_is_served() -> None:
    processor, multi = _Keeping(), ConcurrentMultiSpanProcessor(1)
    multi.add_span_processor(processor)
    provider = TracerProvider(active_span_processor=multi, shutdown_on_exit=False)
    later = _Keeping()
    provider.add_span_processor(later)
    provider.get_tracer("t").start_span("s").end()
    assert [call[0] for call in processor.calls] == ["start", "ending", "end"]
    assert [call[0] for call in later.calls] == ["start", "ending", "end"]
    assert provider.force_flush()
    provider.shutdown()


def test_links_at_the_start_and_options_of_the_tracer() -> None:
    tracer: Any = TracerProvider(shutdown_on_exit=False).get_tracer("t")
    links = [Link(_OTHER, {"a": 1}), Link(trace.INVALID_SPAN_CONTEXT)]
    span = tracer.start_span("s", links=links)
    assert [link.context for link in span.links] == [_OTHER]
    with (
        pytest.raises(ValueError, match="x"),
        tracer.start_as_current_span("s", record_exception=False, set_status_on_exception=False) as span,
    ):
        raise ValueError("x")
    assert (span.events, span.status.status_code) == ((), StatusCode.UNSET)
    with pytest.raises(ValueError, match="y"), tracer.start_as_current_span("s") as span:
        raise ValueError("y")
    assert [event.name for event in span.events] == ["exception"]
    assert span.status.description == "ValueError: y"


def test_the_current_span_is_the_user_s_to_change() -> None:
    tracer: Any = TracerProvider(shutdown_on_exit=False).get_tracer("t")
    with tracer.start_as_current_span("outer") as outer:
        trace.get_current_span().set_attribute("user", "yes")
        inner = tracer.start_span("inner")
    assert outer.attributes["user"] == "yes"
    assert inner.parent == outer.get_span_context()
    assert not trace.get_current_span().is_recording()


def _b3() -> Any:
    return pytest.importorskip("opentelemetry.propagators.b3").B3MultiFormat()


@pytest.mark.parametrize(
    "make", [TraceContextTextMapPropagator, _b3, lambda: CompositePropagator([W3CBaggagePropagator(), _b3()])]
)
def test_propagators_carry_our_spans(make: Callable[[], Any]) -> None:
    propagator: Any = make()
    tracer: Any = TracerProvider(shutdown_on_exit=False).get_tracer("t")
    span = tracer.start_span("s", Context())
    carrier: dict[str, str] = {}
    propagator.inject(carrier, baggage.set_baggage("k", "v", trace.set_span_in_context(span, Context())))
    extracted = propagator.extract(carrier, Context())
    child = tracer.start_span("child", extracted)
    assert child.parent.is_remote
    assert child.parent.span_id == span.get_span_context().span_id
    assert child.get_span_context().trace_id == span.get_span_context().trace_id


def test_the_resource_is_the_child_s_after_a_fork() -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    tracer: Any = provider.get_tracer("t")
    before = tracer.start_span("s").resource.attributes.get("service.instance.id")
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        span = tracer.start_span("s")
        found = [span.resource.attributes.get("service.instance.id"), span.resource is provider.resource]
        os.write(writing, json.dumps(found).encode())
        os._exit(0)
    os.close(writing)
    assert os.waitpid(child, 0)[1] == 0
    with os.fdopen(reading) as pipe:
        after, same = json.loads(pipe.read())
    assert same
    assert after != before


def test_what_is_no_parent_is_refused() -> None:
    class Strange(trace.NonRecordingSpan):
        def get_span_context(self) -> Any:
            return "not a span context"

    context = trace.set_span_in_context(Strange(trace.INVALID_SPAN_CONTEXT), Context())
    for provider in (TracerProvider(shutdown_on_exit=False), StockProvider(shutdown_on_exit=False)):
        with pytest.raises(TypeError, match="parent_span_context"):
            provider.get_tracer("t").start_span("s", context)


def test_no_spans_when_the_sdk_is_disabled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    span = TracerProvider(shutdown_on_exit=False).get_tracer("t").start_span("s")
    assert not span.is_recording()


def test_shared_links_are_not_changed_by_a_span_that_adds_one() -> None:
    shared = SharedLinks((Link(_OTHER),))
    tracer = TracerProvider(shutdown_on_exit=False).get_tracer("t")
    one, two = (tracer.start_span(name) for name in ("one", "two"))
    for span in (one, two):
        assert isinstance(span, RecordingSpan)
        span._links = shared
    one.add_link(SpanContext(7, 8, False))
    assert isinstance(one, RecordingSpan) and isinstance(two, RecordingSpan)
    assert [link.context.span_id for link in one.links] == [6, 8]
    assert [link.context.span_id for link in two.links] == [6]
    assert len(shared) == 1


@pytest.mark.parametrize(("most", "shares"), [(0, False), (1, True)])
def test_links_are_shared_unless_there_may_be_none(most: int, shares: bool) -> None:
    limited = TracerProvider(shutdown_on_exit=False, span_limits=SpanLimits(max_links=most)).get_tracer("t")
    assert isinstance(limited, Tracer)
    assert limited.shares_links is shares


def _grouped(tracer: Any, rest: dict[str, Any], **values: Any) -> RecordingSpan:
    group = Group(tuple((key.replace("_", "."), value) for key, value in values.items()))
    span = tracer.begin("s", SpanKind.SERVER, Context(), lambda: GroupedAttributes((group,), rest))
    assert isinstance(span, RecordingSpan)
    return span


def test_grouped_attributes_read_and_change_as_others_do() -> None:
    tracer = TracerProvider(shutdown_on_exit=False).get_tracer("t")
    span = _grouped(tracer, {"url.path": "/a"}, server_address="one", server_port=80)
    put(span, "http.route", "/<x>")
    span.set_attribute("own", 1)
    assert dict(span.attributes) == {
        "server.address": "one",
        "server.port": 80,
        "url.path": "/a",
        "http.route": "/<x>",
        "own": 1,
    }
    assert type(span._attributes) is GroupedAttributes
    span.set_attribute("server.address", "two")  # what is in a group
    span.set_attributes({"server.port": 81, "more": (1, 2)})  # and what is no plain value
    put(span, "http.route", "/<y>")
    assert dict(span.attributes) == {
        "server.address": "two",
        "server.port": 81,
        "url.path": "/a",
        "http.route": "/<y>",
        "own": 1,
        "more": (1, 2),
    }
    span.end()
    assert span._readable_span().attributes == span.attributes


def test_a_group_is_not_changed_by_a_span_that_has_it() -> None:
    tracer = TracerProvider(shutdown_on_exit=False).get_tracer("t")
    group = Group((("server.address", "one"),))
    spans = [
        tracer.begin("s", SpanKind.SERVER, Context(), lambda: GroupedAttributes((group,), {}))  # type: ignore[attr-defined]
        for _ in range(2)
    ]
    spans[0].set_attribute("server.address", "two")
    assert [dict(span.attributes) for span in spans] == [{"server.address": "two"}, {"server.address": "one"}]


@pytest.mark.parametrize("most", [1, 40, 70, 128])
def test_attributes_in_groups_count_for_the_limit(most: int) -> None:
    limits = SpanLimits(max_span_attributes=most)
    tracer = TracerProvider(shutdown_on_exit=False, span_limits=limits).get_tracer("t")
    span = _grouped(tracer, {"url.path": "/a"}, server_address="one", server_port=80)
    for number in range(most + 10):
        span.set_attribute(f"k{number}", number)
    put(span, "http.route", "/<x>")
    span.end()
    assert (len(span.attributes), span.dropped_attributes) == (most, 14)


def test_an_error_without_a_text_still_ends_its_span() -> None:
    class SilentError(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no text")

    tracer = TracerProvider(shutdown_on_exit=False).get_tracer("t")
    with pytest.raises(SilentError), tracer.start_span("s") as span:
        raise SilentError
    assert isinstance(span, RecordingSpan)
    assert not span.is_recording()
    (event,) = span.events
    assert event.attributes is not None
    assert event.attributes["exception.message"] == "<SilentError without a text>"


def test_the_status_of_an_error_says_its_type_and_text() -> None:
    status = error_status(ValueError("x" * 1000))
    assert (status.status_code, status.description) == (StatusCode.ERROR, "ValueError: " + "x" * 1000)
