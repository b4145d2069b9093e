"""Ones that are counted by ``next()``: none is lost, none comes twice, each collection has all until then."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from opentelemetry import metrics as api
from opentelemetry.sdk import metrics as sdk
from opentelemetry.sdk.metrics.export import AggregationTemporality, InMemoryMetricReader

from ada_otel.pipeline import fork
from ada_otel.pipeline.metrics import MeterProvider, bind, tally
from tests.support.metric_points import points

DELTA: dict[type, AggregationTemporality] = {sdk.Counter: AggregationTemporality.DELTA}


def values(reader: InMemoryMetricReader) -> list[Any]:
    return [point.value for point in points(reader, "c")]


def meter_of(*readers: InMemoryMetricReader) -> api.Meter:
    return MeterProvider(readers, shutdown_on_exit=False).get_meter("scope")


def test_each_collection_has_what_was_counted_until_then() -> None:
    reader = InMemoryMetricReader()
    ones = tally(bind(meter_of(reader).create_counter("c"), {"tea": "green"}))
    assert values(reader) == []
    for _ in range(3):
        next(ones)
    assert values(reader) == [3]
    assert values(reader) == [3]
    next(ones)
    assert values(reader) == [4]


def test_each_reader_has_all_in_its_own_temporality() -> None:
    cumulative, delta = InMemoryMetricReader(), InMemoryMetricReader(DELTA)
    ones = tally(bind(meter_of(cumulative, delta).create_counter("c")))
    next(ones)
    next(ones)
    assert values(delta) == [2]
    next(ones)
    assert (values(cumulative), values(delta), values(delta)) == ([3], [1], [])


def test_it_adds_to_what_the_handle_records() -> None:
    reader = InMemoryMetricReader()
    handle = bind(meter_of(reader).create_counter("c"))
    ones = tally(handle)
    handle.add(40)
    next(ones)
    next(ones)
    assert values(reader) == [42]


def test_ones_less() -> None:
    reader = InMemoryMetricReader()
    handle = bind(meter_of(reader).create_up_down_counter("c"))
    less, more = tally(handle, -1), tally(handle)
    for _ in range(3):
        next(more)
    next(less)
    assert values(reader) == [2]


@pytest.mark.usefixtures("nervous_threads")
def test_threads_and_collections_lose_none_and_count_none_twice() -> None:
    readers = [InMemoryMetricReader(), InMemoryMetricReader(DELTA)]
    ones = tally(bind(meter_of(*readers).create_counter("c")))
    each, seen, done = 50_000, [0], threading.Event()

    def count() -> None:
        for _ in range(each):
            next(ones)

    def collect() -> None:
        while not done.is_set():
            seen[0] += sum(values(readers[1]))

    collecting = threading.Thread(target=collect)
    counting = [threading.Thread(target=count) for _ in range(4)]
    for thread in (collecting, *counting):
        thread.start()
    for thread in counting:
        thread.join()
    done.set()
    collecting.join()
    assert values(readers[0]) == [4 * each]
    assert seen[0] + sum(values(readers[1])) == 4 * each


def test_a_forked_process_begins_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Here the record of the pid is put back to the parent's, as a fork without Python's hooks leaves it."""
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], shutdown_on_exit=False)
    ones = tally(bind(provider.get_meter("scope").create_counter("c")))
    next(ones)
    assert values(reader) == [1]
    next(ones)  # the parent's to report
    monkeypatch.setattr(fork, "_pid", -1)
    provider._consumer._pid = -1
    fork.check_pid()
    next(ones)
    next(ones)
    assert values(reader) == [2]


def test_instruments_of_another_sdk_are_told_at_once() -> None:
    reader = InMemoryMetricReader()
    counter = sdk.MeterProvider([reader], shutdown_on_exit=False).get_meter("scope").create_counter("c")
    ones = tally(bind(counter, {"tea": "green"}))
    next(ones)
    next(ones)
    assert values(reader) == [2]


def test_a_meter_that_is_switched_off_counts_nothing() -> None:
    from opentelemetry.sdk.metrics._internal import _MeterConfig

    reader = InMemoryMetricReader()
    provider = MeterProvider(
        [reader], shutdown_on_exit=False, _meter_configurator=lambda _scope: _MeterConfig(is_enabled=False)
    )
    handle = bind(provider.get_meter("scope").create_counter("c"))
    ones = tally(handle)
    next(ones)
    handle.add(1)
    handle.take(1)
    assert values(reader) == []
    provider._set_meter_configurator(meter_configurator=lambda _scope: _MeterConfig(is_enabled=True))
    next(ones)
    handle.add(1)
    handle.take(1)
    assert values(reader) == [3]
    provider._set_meter_configurator(meter_configurator=lambda _scope: _MeterConfig(is_enabled=False))
    handle.add(1)
    assert values(reader) == [3]
