"""Random telemetry through the stock SDK and ours, by plain and by bound calls: the points are equal."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry import trace
from opentelemetry.metrics import Observation
from opentelemetry.sdk import metrics as sdk
from opentelemetry.sdk.metrics._internal.exceptions import MetricsTimeoutError
from opentelemetry.sdk.metrics._internal.exemplar.exemplar_reservoir import ExemplarBucket
from opentelemetry.sdk.metrics.export import AggregationTemporality, InMemoryMetricReader
from opentelemetry.sdk.metrics.view import (
    DropAggregation,
    ExplicitBucketHistogramAggregation,
    ExponentialBucketHistogramAggregation,
    LastValueAggregation,
    SumAggregation,
    View,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context, use_span

from ada_otel.pipeline.metrics import CURRENT, MeterProvider, _storage, bind

SETS: list[Any] = [
    None,
    {},
    {"a": 1},
    {"a": True},
    {"a": 1.0},
    {"a": "1", "b": "x"},
    {"b": "x", "a": "1"},
    {"a": "y", "b": [1, "two"], "c": None},
    {"a": "y", "b": (1, True)},
    {"a": "y", "b": (1, 1)},
    {"b": {"deep": 1}},
    {"a": b"bytes", "c": -0.0},
]
KINDS = {"counter": "add", "up_down_counter": "add", "histogram": "record", "gauge": "set"}
AGGREGATIONS = [
    lambda: None,
    DropAggregation,
    SumAggregation,
    LastValueAggregation,
    lambda: ExplicitBucketHistogramAggregation((1, 2.5, 100), record_min_max=False),
    lambda: ExponentialBucketHistogramAggregation(max_size=20),
]
FILTERS = [sdk.TraceBasedExemplarFilter, sdk.AlwaysOnExemplarFilter, sdk.AlwaysOffExemplarFilter]
SPANS = [
    SpanContext(10 + flags, 20 + flags, is_remote=False, trace_flags=TraceFlags(flags)) for flags in (0, 1)
]


def own_reservoirs(_aggregation: type) -> Any:
    """A user's own reservoir, which must be called as the SDK calls it."""

    class Own(sdk.SimpleFixedSizeExemplarReservoir):
        def __init__(self, **kwargs: Any) -> None:
            kwargs.pop("boundaries", None)
            super().__init__(size=kwargs.pop("size", 4), **kwargs)

        def _find_bucket_index(self, value: float, *_: Any) -> int:
            return int(value) % 4

    return Own


views = st.lists(
    st.builds(
        lambda name, keys, aggregation, renamed, reservoirs: View(
            instrument_name=name,
            attribute_keys=keys,
            aggregation=aggregation(),
            name=renamed,
            exemplar_reservoir_factory=reservoirs,
        ),
        st.sampled_from(list(KINDS)),
        st.none() | st.sets(st.sampled_from("abc")),
        st.sampled_from(AGGREGATIONS),
        st.none() | st.sampled_from(["renamed", "again"]),
        st.sampled_from([None, own_reservoirs]),
    ),
    max_size=3,
)
values = st.one_of(
    st.integers(0, 10**6),
    st.floats(0, 1e6, allow_subnormal=False),
    st.sampled_from([0, 0.0, 1, 2.5, 5.0, True, -3, -0.25, 1e-3, 10000.0]),
)
calls = st.tuples(
    st.sampled_from(list(KINDS)),
    st.integers(0, len(SETS) - 1),
    values,
    st.sampled_from([None, *SPANS]),
    st.sampled_from(["current", "context", "explicit"]),
)
steps = st.lists(calls | st.just("collect"), min_size=1, max_size=60)


@pytest.fixture(autouse=True)
def _stock_exemplars_without_stale_ids(monkeypatch: pytest.MonkeyPatch) -> None:
    """Mend a fault of the stock bucket: a measurement outside a span keeps the ids of the one before it."""
    offer = ExemplarBucket.offer

    def fresh(self: Any, *args: Any) -> None:
        self._ExemplarBucket__span_id = self._ExemplarBucket__trace_id = None
        offer(self, *args)

    monkeypatch.setattr(ExemplarBucket, "offer", fresh)


class Rig:
    """One provider with a cumulative and a delta reader."""

    def __init__(self, kind: Any, views: list[View], exemplars: Any, *, bound: bool) -> None:
        every = (sdk.Counter, sdk.UpDownCounter, sdk.Histogram, sdk.ObservableCounter)
        self.readers = [
            InMemoryMetricReader(),
            InMemoryMetricReader(dict.fromkeys(every, AggregationTemporality.DELTA)),
        ]
        self.provider = kind(self.readers, Resource({"r": 1}), exemplars(), False, views)
        # Without this a fault that the run-time check sees would compare stock with stock.
        assert getattr(self.provider, "_ours", True) is True
        meter = self.provider.get_meter("scope", "1", attributes={"s": 1})
        self.instruments = {name: getattr(meter, f"create_{name}")(name, "u", "text") for name in KINDS}
        self.asked = 0
        meter.create_observable_counter("observed", [self.observe, self.observe_and_fail])
        meter.create_observable_up_down_counter("levels", [self.observe_sets])
        meter.create_observable_gauge("gauge", [self.observe_sets, self.observe])
        self.bound: dict[Any, Any] | None = {} if bound else None

    def observe(self, _options: Any) -> Any:
        self.asked += 1
        return [Observation(self.asked, {"a": 1}), Observation(2 * self.asked, {"b": 2})]

    def observe_sets(self, _options: Any) -> Any:
        """All attribute sets, as a generator, some in the context of a span, and values that are no use."""
        for index, attributes in enumerate(SETS):
            yield Observation(self.asked + index, attributes)
        for span in SPANS:
            context = set_span_in_context(NonRecordingSpan(span))
            yield Observation(self.asked / 3, {"a": 1}, context)
        for value in (float("nan"), float("inf"), True):
            yield Observation(value, {"a": str(value)})

    def observe_and_fail(self, _options: Any) -> Any:
        yield Observation(self.asked + 10, {"c": "before"})
        yield Observation("none", {"c": "no number"})  # type: ignore[arg-type]
        yield Observation(1, {"c": "never reached"})

    def call(self, name: str, index: int, value: float, span: SpanContext | None, how: str) -> None:
        context = span_context = None
        held = NonRecordingSpan(span) if span else trace.INVALID_SPAN
        if how == "current":
            with use_span(held):
                self._call(name, index, value, None, CURRENT)
            return
        context = set_span_in_context(held)
        span_context = span if how == "explicit" else CURRENT
        self._call(name, index, value, context, span_context)

    def _call(self, name: str, index: int, value: float, context: Any, span_context: Any) -> None:
        if self.bound is None:
            getattr(self.instruments[name], KINDS[name])(value, SETS[index], context)
            return
        if (name, index) not in self.bound:
            self.bound[name, index] = bind(self.instruments[name], SETS[index])
        method = getattr(self.bound[name, index], KINDS[name])
        if span_context is CURRENT:
            method(value, context)
        else:
            method(value, span_context=span_context)

    def collect(self) -> list[Any]:
        return [_collected(reader) for reader in self.readers]


def _collected(reader: InMemoryMetricReader) -> Any:
    """What was collected, or that nothing was: the SDK's exponential histograms refuse some sequences.

    With ``max_size=20``, two zeros, a collection and then a zero and 3.8e-116 are "Incorrect merge scale".
    """
    try:
        return comparable(reader.get_metrics_data())
    except Exception as error:
        return repr(error)


def comparable(data: Any) -> Any:
    """All of MetricsData save times and the order of points; of exemplars by chance only their number."""
    if data is None:
        return None
    found = []
    for resource in data.resource_metrics:
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                content = {key: value for key, value in vars(metric.data).items() if key != "data_points"}
                points = sorted(map(comparable_point, metric.data.data_points), key=repr)
                found.append(
                    (
                        dict(resource.resource.attributes),
                        scope.scope,
                        metric.name,
                        metric.unit,
                        metric.description,
                        type(metric.data),
                        content,
                        points,
                    )
                )
    return found


def comparable_point(point: Any) -> Any:
    fields = dict(vars(point))
    start, end = fields.pop("start_time_unix_nano"), fields.pop("time_unix_nano")
    assert start is None or start <= end
    fields["types"] = {key: type(value) for key, value in fields.items() if isinstance(value, (int, float))}
    fields["types"] |= {key: type(value) for key, value in fields["attributes"].items()}
    exemplars = fields.pop("exemplars")
    if hasattr(point, "explicit_bounds"):
        fields["exemplars"] = [(e.value, e.span_id, e.trace_id, e.filtered_attributes) for e in exemplars]
    else:
        fields["exemplars"] = len(exemplars)
    return fields


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    logger = logging.getLogger("opentelemetry")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    yield
    logger.setLevel(before)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=steps, views=views, exemplars=st.sampled_from(FILTERS), bound=st.booleans())
def test_the_points_equal_those_of_the_stock_sdk(
    steps: list[Any], views: list[View], exemplars: Any, bound: bool
) -> None:
    stock = Rig(sdk.MeterProvider, views, exemplars, bound=False)
    ours = Rig(MeterProvider, views, exemplars, bound=bound)
    for step in [*steps, "collect", "collect"]:
        if step == "collect":
            assert ours.collect() == stock.collect()
        else:
            stock.call(*step)
            ours.call(*step)


@pytest.mark.parametrize("exemplars", FILTERS)
def test_observables_collected_within_a_span_equal_those_of_the_stock_sdk(exemplars: Any) -> None:
    stock, ours = (Rig(kind, [], exemplars, bound=False) for kind in (sdk.MeterProvider, MeterProvider))
    with use_span(NonRecordingSpan(SPANS[1])):
        for _ in range(3):
            assert ours.collect() == stock.collect()


def test_observables_that_take_too_long_are_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], shutdown_on_exit=False)
    seconds, asked = [0], []

    def slow(options: Any) -> list[Observation]:
        asked.append(options.timeout_millis)
        seconds[0] += 8
        return []

    monkeypatch.setattr(_storage, "time_ns", lambda: seconds[0] * 10**9)
    for name in ("slow", "next", "last"):
        provider.get_meter("scope").create_observable_gauge(name, [slow])
    with pytest.raises(MetricsTimeoutError):
        provider._consumer.collect(reader, timeout_millis=15_000)
    assert asked == [10_000, 7_000]


def test_long_batches_are_folded_in_order() -> None:
    numbers = [0.1 * (i * 389 % 1000) for i in range(1000)]  # least and greatest fall into different batches
    results = []
    for kind, bound in ((sdk.MeterProvider, False), (MeterProvider, False), (MeterProvider, True)):
        rig = Rig(kind, [], sdk.TraceBasedExemplarFilter, bound=bound)
        for number in numbers:
            for name in KINDS:
                rig.call(name, 5, number, None, "current")
        results.append(rig.collect())
    assert results[0][0] is not None
    assert results[1] == results[0]
    assert results[2] == results[0]


def test_exemplars_of_sums_come_from_the_measurements_of_the_interval() -> None:
    rig = Rig(MeterProvider, [View(instrument_name="counter", attribute_keys={"a"})], FILTERS[0], bound=True)
    for value in range(1, 50):
        rig.call("counter", 5, value, SPANS[value % 2], "current")
    (metric,) = (
        metric
        for metric in rig.readers[0].get_metrics_data().resource_metrics[0].scope_metrics[0].metrics  # type: ignore[union-attr]
        if metric.name == "counter"
    )
    (point,) = metric.data.data_points
    (exemplar,) = point.exemplars
    assert exemplar.value in range(1, 50, 2)
    assert (exemplar.trace_id, exemplar.span_id) == (SPANS[1].trace_id, SPANS[1].span_id)
    assert exemplar.filtered_attributes == {"b": "x"}
    assert point.start_time_unix_nano <= exemplar.time_unix_nano <= point.time_unix_nano
