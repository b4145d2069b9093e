"""Forks under the worst conditions: while two threads record, one exports each 5 ms, and one collects.

``ADA_OTEL_FORK_CHILDREN`` sets the number of children; the drills use 1,000.
"""

from __future__ import annotations

import json
import os
import signal
import threading
import time
import traceback
from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.metrics import Observation
from opentelemetry.sdk.metrics.export import (
    InMemoryMetricReader,
    MetricExporter,
    MetricExportResult,
    MetricsData,
    PeriodicExportingMetricReader,
)
from prometheus_client import CollectorRegistry, generate_latest

from ada_otel.pipeline.metrics import MeterProvider, PeriodicReader, bind

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")

CHILDREN = int(os.environ.get("ADA_OTEL_FORK_CHILDREN", "200"))


class Latest(MetricExporter):
    """Keeps the last message."""

    def __init__(self) -> None:
        super().__init__()
        self.data: MetricsData | None = None
        self.pids: set[int] = set()

    def export(self, metrics_data: MetricsData, timeout_millis: float = 0, **_: Any) -> MetricExportResult:
        self.data = metrics_data
        self.pids.add(os.getpid())
        return MetricExportResult.SUCCESS

    def force_flush(self, timeout_millis: float = 0) -> bool:
        return True

    def shutdown(self, timeout_millis: float = 0, **_: Any) -> None:
        pass


def read(data: MetricsData | None) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for resource in data.resource_metrics if data else ():
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                for point in metric.data.data_points:
                    value = point.count if hasattr(point, "count") else point.value
                    found.setdefault(metric.name, []).append(
                        {
                            "value": value,
                            "attributes": dict(point.attributes or {}),
                            "start": point.start_time_unix_nano,
                            "instance": resource.resource.attributes["service.instance.id"],
                        }
                    )
    return found


def in_child(work: Callable[[], Any], limit: float = 20) -> tuple[int, int]:
    """Fork; run ``work`` in the child and send its result. Gives the child's pid and the pipe to read."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid:
        os.close(writing)
        return pid, reading
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, limit)
    status = 1
    try:
        os.write(writing, json.dumps(work()).encode())
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def result(pid: int, reading: int) -> Any:
    with os.fdopen(reading) as pipe:
        text = pipe.read()
    _, status = os.waitpid(pid, 0)
    assert status == 0, "hung" if status == signal.SIGALRM else f"status {status}"
    return json.loads(text)


def test_no_child_hangs_and_each_counts_only_its_own() -> None:
    exporter, memory = Latest(), InMemoryMetricReader()
    provider = MeterProvider([PeriodicReader(exporter, 5), memory], shutdown_on_exit=False)
    meter = provider.get_meter("scope")
    histogram, counter = meter.create_histogram("h"), meter.create_counter("c")
    up_down, gauge = meter.create_up_down_counter("u"), meter.create_gauge("g")
    handle, times = bind(counter, {"a": 1}), bind(histogram, {"a": 1})
    meter.create_observable_counter("pid", [lambda _: [Observation(os.getpid())]])
    gauge.set(5)
    stop = threading.Event()
    recorded = [0, 0]

    def record(slot: int) -> None:
        while not stop.is_set():
            for _ in range(100):
                handle.add(1)
                histogram.record(1.0, {"a": 1})
                up_down.add(1)
                counter.add(1, {"thread": slot})
                recorded[slot] += 1
            time.sleep(0.0005)

    def collect() -> None:
        while not stop.is_set():
            memory.collect()
            time.sleep(0.001)

    def child() -> Any:
        for _ in range(3):
            handle.add(1)
            times.record(1.0)
        counter.add(10, {"a": 1})
        up_down.add(-1)
        flushed = provider.force_flush()
        found = read(exporter.data)
        provider.shutdown(timeout_millis=5000)
        return {
            "found": found,
            "flushed": flushed,
            "pid": os.getpid(),
            "memory": read(memory.get_metrics_data()),
        }

    threads = [threading.Thread(target=record, args=(slot,)) for slot in (0, 1)]
    threads.append(threading.Thread(target=collect))
    for thread in threads:
        thread.start()
    instances: set[str] = set()
    hung = 0
    try:
        time.sleep(0.05)
        for _ in range(CHILDREN):
            forked_at = time.time_ns()
            pid, reading = in_child(child)
            try:
                got = result(pid, reading)
            except AssertionError as error:
                if "hung" not in str(error):
                    raise
                hung += 1
                continue
            found = got["found"]
            assert got["flushed"] is True
            assert set(found) == {"c", "h", "u", "pid"}
            assert [(p["value"], p["attributes"]) for p in found["c"]] == [(13, {"a": 1})]
            assert [p["value"] for p in found["h"]] == [3]
            assert [p["value"] for p in found["u"]] == [-1]
            assert [p["value"] for p in found["pid"]] == [got["pid"]]
            assert all(p["start"] > forked_at for p in found["c"] + found["h"] + found["u"])
            assert [(p["value"], p["attributes"]) for p in got["memory"]["c"]] == [(13, {"a": 1})]
            instances.update(p["instance"] for points in found.values() for p in points)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert hung == 0
    assert len(instances) == CHILDREN
    provider.force_flush()
    mine = read(exporter.data)
    assert {p["value"] for p in mine["c"] if p["attributes"] == {"a": 1}} == {sum(recorded)}
    assert [p["value"] for p in mine["h"]] == [sum(recorded)]
    assert [p["value"] for p in mine["g"]] == [5]
    assert not instances & {p["instance"] for p in mine["c"]}
    provider.shutdown()


def test_a_child_forked_in_the_middle_of_a_collection_collects_by_itself() -> None:
    exporter = Latest()
    reader = PeriodicReader(exporter, 3_600_000)
    provider = MeterProvider([reader], shutdown_on_exit=False)
    meter = provider.get_meter("scope")
    counter = meter.create_counter("c")
    counter.add(7, {"a": 1})
    inside, go = threading.Event(), threading.Event()
    parent = os.getpid()

    def wait_in_parent(_: Any) -> list[Observation]:
        inside.set()
        if os.getpid() == parent:
            go.wait(20)
        return [Observation(1)]

    meter.create_observable_gauge("o", [wait_in_parent])
    flush = threading.Thread(target=reader.force_flush)
    flush.start()
    assert inside.wait(10)

    def child() -> Any:
        counter.add(1, {"a": 1})
        meter.create_counter("new").add(2)
        return [reader.force_flush(), read(exporter.data)]

    try:
        flushed, found = result(*in_child(child))
    finally:
        go.set()
        flush.join()
    assert flushed is True
    assert {name: [p["value"] for p in points] for name, points in found.items()} == {
        "c": [1],
        "new": [2],
        "o": [1],
    }
    provider.shutdown()


def test_the_reader_of_a_child_exports_by_itself_and_grandchildren_work_too() -> None:
    exporter = Latest()
    provider = MeterProvider([PeriodicReader(exporter, 20)], shutdown_on_exit=False)
    counter = provider.get_meter("scope").create_counter("c")
    counter.add(7)

    def exported(expected: int) -> bool:
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            found = read(exporter.data).get("c", [])
            if os.getpid() in exporter.pids and [p["value"] for p in found] == [expected]:
                return True
            time.sleep(0.01)
        return False

    def grandchild() -> Any:
        counter.add(3)
        return exported(3)

    def child() -> Any:
        counter.add(2)
        return [exported(2), result(*in_child(grandchild)), exported(2)]

    assert result(*in_child(child)) == [True, True, True]
    provider.shutdown()


def test_a_provider_that_was_shut_down_stays_so_in_a_child() -> None:
    exporter = Latest()
    provider = MeterProvider([PeriodicReader(exporter, 20)], shutdown_on_exit=False)
    provider.get_meter("scope").create_counter("c").add(1)
    provider.shutdown()

    def child() -> Any:
        exporter.pids.clear()
        time.sleep(0.1)
        return [len(exporter.pids), threading.active_count()]

    assert result(*in_child(child))[0] == 0


def test_stock_readers_give_only_what_the_child_recorded() -> None:
    registry = CollectorRegistry()
    prometheus = PrometheusMetricReader(registry=registry)
    exporter = Latest()
    periodic = PeriodicExportingMetricReader(exporter, 3_600_000)
    provider = MeterProvider([prometheus, periodic], shutdown_on_exit=False)
    counter = provider.get_meter("scope").create_counter("c")
    counter.add(7)
    generate_latest(registry)
    prometheus.collect()  # a scrape that another thread is in the middle of
    periodic._export_lock.acquire()

    def child() -> Any:
        counter.add(2)
        periodic.force_flush()
        return [generate_latest(registry).decode(), read(exporter.data)]

    text, found = result(*in_child(child))
    periodic._export_lock.release()
    assert [p["value"] for p in found["c"]] == [2]
    lines = [line for line in text.splitlines() if line.startswith(("c_total", "target_info"))]
    assert [line.rsplit(" ", 1)[1] for line in lines if line.startswith("c_total")] == ["2.0"]
    assert found["c"][0]["instance"] in next(line for line in lines if line.startswith("target_info"))
    provider.shutdown()


def test_a_fork_without_pythons_hooks_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """uWSGI forks in C. Here the record of the pid is put back to the parent's, as such a fork leaves it."""
    from ada_otel.pipeline import fork

    exporter = Latest()
    provider = MeterProvider([PeriodicReader(exporter, 3_600_000)], shutdown_on_exit=False)
    counter = provider.get_meter("scope").create_counter("c")
    counter.add(7)
    monkeypatch.setattr(fork, "_pid", -1)
    provider._consumer._pid = -1
    fork.check_pid()
    counter.add(1)
    assert provider.force_flush()
    assert [p["value"] for p in read(exporter.data)["c"]] == [1]
    provider.shutdown()
