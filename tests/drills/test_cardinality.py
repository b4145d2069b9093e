"""A user id as an attribute: 1,000,000 distinct values in the long form, and memory that stays flat.

The short form has 60,000. Both compare what is held after the first part of the values with what is held
after all of them. The two numbers differ by a multiple of 4,000, at which what instruments remember is let
go, so that they meet it equally full.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from tests.drills.report import LONG, figures
from tests.support.process import run_program

pytestmark = pytest.mark.drill

FIRST, ALL = (100_000, 1_000_000) if LONG else (20_000, 60_000)
LIMIT = 2000

#: In a process of its own, where nothing else takes memory. A collection after each 10,000 values.
PROGRAM = """
import gc, json, tracemalloc
import psutil
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from ada_otel.pipeline.metrics import MeterProvider

reader = InMemoryMetricReader()
meter = MeterProvider([reader], shutdown_on_exit=False, cardinality_limit=LIMIT).get_meter("drill")
counter, histogram = meter.create_counter("counter"), meter.create_histogram("histogram")
tracemalloc.start()


def held():
    gc.collect()
    return {"traced": tracemalloc.get_traced_memory()[0], "resident": psutil.Process().memory_info().rss}


def points():
    data = reader.get_metrics_data()
    metrics = data.resource_metrics[0].scope_metrics[0].metrics
    return {metric.name: metric.data.data_points for metric in metrics}


found = []
for number in range(1, ALL + 1):
    attributes = {"user.id": f"user-{number}"}
    counter.add(2, attributes)
    histogram.record(0.5, attributes)
    if number % 10_000 == 0:
        last = points()
    if number in (FIRST, ALL):
        del last
        found.append(held())
        last = points()
past = {"otel.metric.overflow": True}
print(json.dumps({
    "held": found,
    "sets": {name: len(each) for name, each in last.items()},
    "overflow": [
        next(point.value for point in last["counter"] if point.attributes == past),
        next(point.count for point in last["histogram"] if point.attributes == past),
    ],
    "total": [sum(p.value for p in last["counter"]), sum(p.count for p in last["histogram"])],
}))
"""


def test_memory_is_flat_and_nothing_is_lost(tmp_path: Path) -> None:
    begun = time.monotonic()
    settings = f"FIRST, ALL, LIMIT = {FIRST}, {ALL}, {LIMIT}\n"
    done = run_program(settings + PROGRAM, tmp_path, timeout=900)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    before, after = found["held"]
    grown = {kind: after[kind] - before[kind] for kind in before}
    figures(
        "distinct attribute values",
        values=ALL,
        overflow=found["overflow"],
        held=found["held"],
        grown=grown,
        seconds=round(time.monotonic() - begun, 1),
    )
    assert found["sets"] == {"counter": LIMIT + 1, "histogram": LIMIT + 1}
    assert found["total"] == [2 * ALL, ALL]
    assert found["overflow"] == [2 * (ALL - LIMIT), ALL - LIMIT]
    # One set that is kept takes some 500 bytes: the long form would grow by 900 MB, the short one by 40.
    assert abs(grown["traced"]) < 200_000, found
    assert grown["resident"] < 5_000_000, found
