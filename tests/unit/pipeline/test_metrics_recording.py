"""Threads, the cardinality limit, readers that come and go, bad values, and the provider as a drop-in."""

from __future__ import annotations

import logging
import threading
import time
import tracemalloc
from decimal import Decimal
from typing import Any

import pytest
from opentelemetry import metrics as api
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk import metrics as sdk
from opentelemetry.sdk.metrics._internal import _MeterConfig
from opentelemetry.sdk.metrics.export import AggregationTemporality, InMemoryMetricReader
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View
from opentelemetry.trace import SpanContext, TraceFlags
from prometheus_client import CollectorRegistry, generate_latest

from ada_otel._diagnostics import forget_reports
from ada_otel.pipeline.metrics import MeterProvider, bind
from ada_otel.pipeline.metrics import _shape as shape
from ada_otel.pipeline.metrics._cells import BATCH
from tests.support.metric_points import points

OVERFLOW = {"otel.metric.overflow": True}
DELTA: dict[type, AggregationTemporality] = dict.fromkeys(
    (sdk.Counter, sdk.Histogram), AggregationTemporality.DELTA
)


@pytest.fixture(autouse=True)
def _fresh_reports() -> None:
    forget_reports()


@pytest.fixture
def reader() -> InMemoryMetricReader:
    return InMemoryMetricReader()


@pytest.fixture
def meter(reader: InMemoryMetricReader) -> api.Meter:
    return MeterProvider([reader], shutdown_on_exit=False).get_meter("scope")


@pytest.mark.usefixtures("nervous_threads")
@pytest.mark.parametrize("bound", [True, False])
def test_totals_are_exact_with_many_threads_and_two_readers_collecting(bound: bool) -> None:
    cumulative, delta = InMemoryMetricReader(), InMemoryMetricReader(DELTA)
    meter = MeterProvider([cumulative, delta], shutdown_on_exit=False).get_meter("scope")
    counter, histogram = meter.create_counter("c"), meter.create_histogram("h")
    each, threads, done = 8000, 6, threading.Event()
    counts = bind(counter, {"a": 1})
    times = bind(histogram, {"a": 1})

    def work() -> None:
        for number in range(each):
            if bound:
                counts.add(1)
                times.record(number % 50)
            else:
                counter.add(1, {"a": 1})
                histogram.record(number % 50, {"a": 1})

    collected = [0, 0]

    def collect_deltas() -> None:
        while True:
            last = done.is_set()
            data = delta.get_metrics_data()
            for scope in data.resource_metrics[0].scope_metrics if data else ():
                for metric in scope.metrics:
                    points: Any = metric.data.data_points
                    for point in points:
                        if metric.name == "c":
                            collected[0] += point.value
                        else:
                            collected[1] += point.count
            if last:
                return
            cumulative.get_metrics_data()

    workers = [threading.Thread(target=work) for _ in range(threads)]
    collector = threading.Thread(target=collect_deltas)
    for thread in [*workers, collector]:
        thread.start()
    for thread in workers:
        thread.join()
    done.set()
    collector.join()
    assert collected == [each * threads] * 2
    assert [p.value for p in points(cumulative, "c")] == [each * threads]
    (point,) = points(cumulative, "h")
    assert point.count == each * threads
    assert point.sum == threads * sum(number % 50 for number in range(each))


@pytest.mark.parametrize("bound", [True, False])
def test_as_many_sets_as_the_limit_says_fit_and_the_rest_is_counted_together(
    bound: bool, caplog: pytest.LogCaptureFixture
) -> None:
    reader, delta = InMemoryMetricReader(), InMemoryMetricReader(DELTA)
    provider = MeterProvider([reader, delta], shutdown_on_exit=False, cardinality_limit=10)
    counter = provider.get_meter("scope").create_counter("app.requests")
    other = provider.get_meter("scope").create_counter("other")
    with caplog.at_level(logging.WARNING):
        for number in range(10):
            counter.add(1, {"user": number})
        assert len(points(reader, "app.requests")) == 10
        assert not caplog.records
        for _ in range(2):
            for number in range(25):
                if bound:
                    bind(counter, {"user": number}).add(2)
                else:
                    counter.add(2, {"user": number})
            other.add(1, {"user": 1})
    for found in (points(reader, "app.requests"), points(delta, "app.requests")):
        by_set = {tuple(point.attributes.items()): point.value for point in found}
        assert by_set == {(("user", n),): 5 for n in range(10)} | {(("otel.metric.overflow", True),): 60}
    (record,) = caplog.records
    assert "'app.requests'" in record.getMessage()
    assert " 10 " in record.getMessage()
    assert "ADA_OTEL_METRIC_CARDINALITY_LIMIT" in record.getMessage()


def test_the_limit_holds_for_observables_and_after_a_view_took_attributes_off(
    reader: InMemoryMetricReader,
) -> None:
    provider = MeterProvider(
        [reader],
        shutdown_on_exit=False,
        cardinality_limit=3,
        views=[View(instrument_name="narrow", attribute_keys={"kind"})],
    )
    meter = provider.get_meter("scope")
    meter.create_observable_counter("o", [lambda _: [api.Observation(10, {"n": n}) for n in range(8)]])
    narrow = meter.create_counter("narrow")
    for number in range(100):
        narrow.add(1, {"kind": "x", "id": number})
    reader.collect()
    (point,) = points(reader, "narrow")
    assert (point.value, dict(point.attributes)) == (100, {"kind": "x"})
    found = {tuple(p.attributes.items()): p.value for p in points(reader, "o")}
    assert found == {(("n", n),): 10 for n in range(3)} | {(("otel.metric.overflow", True),): 50}


def test_memory_stays_flat_under_200_000_distinct_values(reader: InMemoryMetricReader) -> None:
    meter = MeterProvider([reader], shutdown_on_exit=False).get_meter("scope")
    counter, histogram = meter.create_counter("c"), meter.create_histogram("h")

    def flood(start: int, stop: int) -> None:
        for number in range(start, stop):
            counter.add(1, {"user.id": f"user-{number}"})
            if number % 10 == 0:
                histogram.record(1, {"user.id": f"user-{number}"})

    flood(0, 20_000)  # the limit is reached, and the memory of bindings is full
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        began = time.process_time()
        flood(20_000, 30_000)
        seconds = time.process_time() - began
        after, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    flood(30_000, 200_000)
    # The memory of bindings is emptied and filled over and over: 4,000 of them for each of two instruments.
    assert peak - before < 12_000_000
    assert after - before < 12_000_000
    assert seconds < 30
    assert len(counter._bindings) <= 4000  # type: ignore[attr-defined]
    found = points(reader, "c")
    assert len(found) == 2001
    assert sum(point.value for point in found) == 200_000
    assert [p.value for p in found if dict(p.attributes) == OVERFLOW] == [198_000]


def test_pending_values_are_bounded_without_any_collection(
    meter: api.Meter, reader: InMemoryMetricReader
) -> None:
    handle = bind(meter.create_counter("c"))
    for _ in range(10 * BATCH):
        handle.add(1)
    cell = handle._state[1]
    assert cell is not None
    assert len(cell.pending) < BATCH
    assert [p.value for p in points(reader, "c")] == [10 * BATCH]


def test_a_handle_counts_nothing_before_its_first_value(
    meter: api.Meter, reader: InMemoryMetricReader
) -> None:
    bind(meter.create_counter("c"), {"a": 1})
    assert points(reader, "c") == []


def test_a_handle_follows_readers_that_come_and_go(reader: InMemoryMetricReader) -> None:
    provider = MeterProvider([reader], shutdown_on_exit=False)
    handle = bind(provider.get_meter("scope").create_counter("c"), {"a": 1})
    handle.add(1)
    second = InMemoryMetricReader()
    provider.add_metric_reader(second)
    handle.add(10)
    assert [p.value for p in points(second, "c")] == [10]
    provider.remove_metric_reader(second)
    handle.add(100)
    third = InMemoryMetricReader()
    provider.add_metric_reader(third)
    handle.add(1000)
    assert [p.value for p in points(reader, "c")] == [1111]
    assert [p.value for p in points(third, "c")] == [1000]


def test_delta_collection_leaves_the_handle_with_a_live_cell() -> None:
    reader = InMemoryMetricReader(DELTA)
    handle = bind(MeterProvider([reader], shutdown_on_exit=False).get_meter("s").create_counter("c"))
    previous = 0
    for expected in ([5], [], [], [7]):
        for value in expected:
            handle.add(value)
        found = points(reader, "c")
        assert [p.value for p in found] == expected
        for point in found:
            assert point.start_time_unix_nano >= previous
            previous = point.time_unix_nano


@pytest.mark.parametrize("aggregation", [None, ExponentialBucketHistogramAggregation()])
def test_a_delta_reader_gives_the_places_of_idle_sets_to_new_ones(aggregation: Any) -> None:
    reader = InMemoryMetricReader(DELTA)
    provider = MeterProvider(
        [reader],
        shutdown_on_exit=False,
        cardinality_limit=2,
        views=[View(instrument_name="h", aggregation=aggregation)],
    )
    histogram = provider.get_meter("s").create_histogram("h")
    handles = [bind(histogram, {"n": number}) for number in range(4)]

    def seen(*numbers: int) -> dict[Any, int]:
        for number in numbers:
            handles[number].record(1)
        return {p.attributes.get("n", "overflow"): p.count for p in points(reader, "h")}

    assert seen(0, 1, 2, 3) == {0: 1, 1: 1, "overflow": 2}
    assert seen(1) == {1: 1}
    # 0 was idle and gave its place up. 2 and 3 count one more with the overflow, then 2 takes the place.
    assert seen(1, 2, 3) == {1: 1, "overflow": 2}
    assert seen(2, 2) == {2: 2}
    bind(histogram, {"n": 9}).record(1)
    assert seen(0) == {9: 1, "overflow": 1}


@pytest.mark.usefixtures("nervous_threads")
def test_no_value_is_lost_to_a_cell_that_is_being_released() -> None:
    reader = InMemoryMetricReader(DELTA)
    provider = MeterProvider([reader], shutdown_on_exit=False, cardinality_limit=3)
    counter = provider.get_meter("s").create_counter("c")
    each, done, total = 400, threading.Event(), [0]

    def work(number: int) -> None:
        handle = bind(counter, {"n": number})
        for _ in range(each):
            handle.add(1)
            counter.add(1, {"m": number})
            time.sleep(0.0002 * (number % 3))

    def collect() -> None:
        while True:
            last = done.is_set()
            total[0] += sum(point.value for point in points(reader, "c"))
            if last:
                return

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    collector = threading.Thread(target=collect)
    for thread in [collector, *threads]:
        thread.start()
    for thread in threads:
        thread.join()
    done.set()
    collector.join()
    assert total == [2 * 8 * each]


def test_a_meter_that_is_switched_off_records_nothing_until_it_is_on_again(
    reader: InMemoryMetricReader,
) -> None:
    on = _MeterConfig(is_enabled=False)
    provider = MeterProvider([reader], shutdown_on_exit=False, _meter_configurator=lambda _: on)
    counter = provider.get_meter("scope").create_counter("c")
    handle = bind(counter)
    handle.add(1)
    counter.add(1)
    assert points(reader, "c") == []
    provider._set_meter_configurator(meter_configurator=lambda _: _MeterConfig())
    handle.add(2)
    counter.add(2)
    assert [p.value for p in points(reader, "c")] == [4]


class Unprintable:
    def __repr__(self) -> str:
        raise RuntimeError("no text")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1, "7", None, 10**400, [1], Unprintable()])
def test_a_bad_value_is_refused_with_one_warning_and_the_app_goes_on(
    value: Any, meter: api.Meter, reader: InMemoryMetricReader, caplog: pytest.LogCaptureFixture
) -> None:
    counter = meter.create_counter("app.bad")
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            counter.add(value)
            bind(counter).add(value)
    assert points(reader, "app.bad") == []
    (record,) = caplog.records
    assert "'app.bad'" in record.getMessage()
    assert "a finite number that is not negative" in record.getMessage()


class Hostile:
    """An object that does not work."""

    def __hash__(self) -> int:
        raise ZeroDivisionError

    def __bool__(self) -> bool:
        raise ZeroDivisionError

    def __str__(self) -> str:
        raise ZeroDivisionError

    __repr__ = __str__


class HostileName(Hostile):
    """One that can be a key of a dict."""

    __hash__ = object.__hash__


@pytest.mark.parametrize(
    ("attributes", "kept", "said"),
    [
        ({"a": object(), "b": 1}, {"a": None, "b": 1}, "a value of type object"),
        ({"a": Decimal("1.5")}, {"a": "1.5"}, "a value of type Decimal"),
        ({"a": Hostile()}, {"a": None}, "a value of type Hostile"),
        ({"a": [1, Hostile()]}, {"a": (1, None)}, "a value of type Hostile"),
        ({"a": "x" * 1_000_000}, {"a": "x" * 4096}, "a value of length 1000000, which was cut"),
        ({"a": b"x" * 5000}, {"a": b"x" * 4096}, "a value of length 5000"),
        ({"a": {"deep": "x" * 5000}}, {"a": {"deep": "x" * 4096}}, "a value of length 5000"),
        ({7: "seven"}, {"7": "seven"}, "a name of type int"),
        ({"": 1, "b": 2}, {"b": 2}, "an empty name"),
        ({None: 1}, {}, "an empty name"),
        ({HostileName(): 1}, {}, "cannot be read (ZeroDivisionError)"),
        (["a"], {}, "are of type list, not a mapping"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_bad_attributes_are_one_warning_and_the_value_counts(
    attributes: Any,
    kept: dict[str, Any],
    said: str,
    meter: api.Meter,
    reader: InMemoryMetricReader,
    caplog: pytest.LogCaptureFixture,
) -> None:
    counter = meter.create_counter("app.odd")
    meter.create_observable_gauge("app.odd.seen", [lambda _: [api.Observation(5, attributes)]])
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            counter.add(1, attributes)
            bind(counter, attributes).add(1)
        (point,) = points(reader, "app.odd")
        (seen,) = points(reader, "app.odd.seen")
    assert (dict(point.attributes), point.value) == (kept, 6)
    assert (dict(seen.attributes), seen.value) == (kept, 5)
    # One for each of the two instruments.
    texts = [record.getMessage() for record in caplog.records]
    assert len(texts) == 2
    assert all(said in text for text in texts)
    assert sum("'app.odd'" in text for text in texts) == 1


def test_long_values_that_are_cut_alike_are_not_kept(meter: api.Meter, reader: InMemoryMetricReader) -> None:
    counter = meter.create_counter("app.long")
    for number in range(50):
        counter.add(1, {"text": "x" * 100_000 + str(number)})
    (point,) = points(reader, "app.long")
    assert point.value == 50
    assert counter._bindings == {}  # type: ignore[attr-defined]


def test_a_value_that_cannot_be_summed_does_not_take_its_batch_along(
    meter: api.Meter, reader: InMemoryMetricReader
) -> None:
    class Odd:
        def __ge__(self, _other: object) -> bool:
            return True

        def __le__(self, _other: object) -> bool:
            return True

    handle = bind(meter.create_counter("c"))
    for value in (1, Odd(), 2):
        handle.add(value)  # type: ignore[arg-type]
    assert [p.value for p in points(reader, "c")] == [3]


def test_the_span_for_the_exemplar_can_be_handed_in(meter: api.Meter, reader: InMemoryMetricReader) -> None:
    handle = bind(meter.create_histogram("h"), {"a": 1})
    handle.record(1, span_context=SpanContext(7, 8, False, TraceFlags(1)))
    handle.record(6, span_context=SpanContext(9, 9, False, TraceFlags(0)))
    handle.record(11, span_context=None)
    (point,) = points(reader, "h")
    assert [(e.value, e.trace_id, e.span_id) for e in point.exemplars] == [(1, 7, 8)]


def test_the_span_that_is_handed_in_reaches_foreign_aggregations_too(reader: InMemoryMetricReader) -> None:
    view = View(instrument_name="h", aggregation=ExponentialBucketHistogramAggregation())
    meter = MeterProvider([reader], shutdown_on_exit=False, views=[view]).get_meter("scope")
    handle = bind(meter.create_histogram("h"))
    handle.record(1, span_context=SpanContext(7, 8, False, TraceFlags(1)))
    handle.record(2, span_context=None)
    (point,) = points(reader, "h")
    assert point.count == 2
    assert [(e.value, e.trace_id, e.span_id) for e in point.exemplars] == [(1, 7, 8)]


def test_bind_works_with_the_stock_sdk_with_none_and_through_a_proxy() -> None:
    reader = InMemoryMetricReader()
    stock = sdk.MeterProvider([reader], shutdown_on_exit=False).get_meter("scope")
    bind(stock.create_counter("c"), {"a": 1}).add(3)
    bind(stock.create_up_down_counter("u"), {"a": 1}).add(-3)
    bind(stock.create_gauge("g"), {"a": 1}).set(4)
    sampled = SpanContext(7, 8, False, TraceFlags(1))
    bind(stock.create_histogram("h"), {"a": 1}).record(5, span_context=sampled)
    data = reader.get_metrics_data()
    assert data is not None
    found = {
        metric.name: metric.data.data_points for metric in data.resource_metrics[0].scope_metrics[0].metrics
    }
    assert {name: found[name][0].value for name in "cug"} == {"c": 3, "u": -3, "g": 4}  # type: ignore[union-attr]
    assert [e.trace_id for e in found["h"][0].exemplars] == [7]
    none = api.NoOpMeter("scope")
    bind(none.create_counter("c")).add(1)
    bind(none.create_histogram("h")).record(1)
    with pytest.raises(TypeError, match="not _ObservableCounter"):
        bind(stock.create_observable_counter("o"))  # type: ignore[call-overload]


def test_prometheus_reads_what_was_recorded() -> None:
    registry = CollectorRegistry()
    provider = MeterProvider([PrometheusMetricReader(registry=registry)], shutdown_on_exit=False)
    bind(provider.get_meter("scope").create_counter("c", "1"), {"a": "x"}).add(3)
    text = generate_latest(registry).decode()
    assert 'c_total{a="x",otel_scope_name="scope"' in text.replace(", ", ",")
    assert " 3.0" in text


def test_a_reader_of_another_provider_is_refused(reader: InMemoryMetricReader) -> None:
    held = sdk.MeterProvider([reader], shutdown_on_exit=False)
    with pytest.raises(ValueError, match="another MeterProvider"):
        MeterProvider([reader], shutdown_on_exit=False)
    assert held is not None


def test_a_limit_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="cardinality_limit is 0; it must be 1 or more"):
        MeterProvider(cardinality_limit=0)


def test_with_an_sdk_of_another_shape_the_stock_one_takes_over(
    monkeypatch: pytest.MonkeyPatch, reader: InMemoryMetricReader, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(shape, "problem", lambda: "X has no _y")
    with caplog.at_level(logging.WARNING):
        provider = MeterProvider([reader], shutdown_on_exit=False)
        MeterProvider([], shutdown_on_exit=False)
    counter = provider.get_meter("scope").create_counter("c")
    assert type(counter).__module__.startswith("opentelemetry.")
    bind(counter, {"a": 1}).add(1)
    counter.add(1, {"a": 1})
    assert [p.value for p in points(reader, "c")] == [2]
    (record,) = caplog.records
    assert "X has no _y" in record.getMessage()


def test_internal_metrics_of_the_sdk_go_through_our_provider(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_PYTHON_SDK_INTERNAL_METRICS_ENABLED", "true")
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], shutdown_on_exit=False)
    reader.collect()
    (point,) = points(reader, "otel.sdk.metric_reader.collection.duration")
    assert point.count == 1
    assert provider is not None
