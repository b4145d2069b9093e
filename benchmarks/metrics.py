"""CPU of one metric call: the stock SDK, the same call on ours, and a bound handle, interleaved.

Run ``python -m benchmarks.metrics [--rounds N] [--json FILE]``. Each round measures every case once, in an
order that rotates; the table gives the least and the median of the rounds in µs of process CPU for one call,
less the empty loop, and how many times cheaper than stock (by the least, which a loaded machine moves least).
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from opentelemetry.sdk import metrics as sdk
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, use_span
from opentelemetry.version import __version__ as api_version

from ada_otel.pipeline.metrics import MeterProvider, bind

ATTRIBUTES = {
    "http.request.method": "GET",
    "url.scheme": "http",
    "http.route": "/api/items/<int:item>",
    "http.response.status_code": 200,
    "network.protocol.version": "1.1",
}
CALLS = 5_000
SAMPLED = SpanContext(1 << 100, 1 << 50, is_remote=False, trace_flags=TraceFlags(1))

Case = Callable[[], Any]


def cases() -> dict[str, dict[str, Case]]:
    """Give, for each operation, the calls to compare."""
    made: dict[str, dict[str, Case]] = {}
    for readers in (1, 2):
        stock, ours = (
            kind([InMemoryMetricReader() for _ in range(readers)], shutdown_on_exit=False).get_meter("bench")
            for kind in (sdk.MeterProvider, MeterProvider)
        )
        suffix = "" if readers == 1 else ", 2 readers"
        counters = stock.create_counter("c"), ours.create_counter("c")
        histograms = stock.create_histogram("h"), ours.create_histogram("h")
        add, record = bind(counters[1], ATTRIBUTES).add, bind(histograms[1], ATTRIBUTES).record
        made["counter.add" + suffix] = {
            "stock": lambda c=counters[0]: c.add(1, ATTRIBUTES),  # type: ignore[misc]
            "plain": lambda c=counters[1]: c.add(1, ATTRIBUTES),  # type: ignore[misc]
            "bound": lambda add=add: add(1),  # type: ignore[misc]
            "bound, span known": lambda add=add: add(1, None, None),  # type: ignore[misc]
        }
        made["histogram.record" + suffix] = {
            "stock": lambda h=histograms[0]: h.record(0.012, ATTRIBUTES),  # type: ignore[misc]
            "plain": lambda h=histograms[1]: h.record(0.012, ATTRIBUTES),  # type: ignore[misc]
            "bound": lambda record=record: record(0.012),  # type: ignore[misc]
            "bound, span known": lambda record=record: record(0.012, None, None),  # type: ignore[misc]
        }
        if readers == 1:
            made["histogram.record, sampled span"] = {
                "stock": made["histogram.record"]["stock"],
                "plain": made["histogram.record"]["plain"],
                "bound": made["histogram.record"]["bound"],
                "bound, span known": lambda record=record: record(0.012, None, SAMPLED),  # type: ignore[misc]
            }
    return made


def cpu(call: Case) -> float:
    """Give the process CPU of one call, in µs."""
    began = time.process_time()
    for _ in range(CALLS):
        call()
    return (time.process_time() - began) / CALLS * 1e6


def measure(rounds: int) -> dict[str, dict[str, dict[str, float]]]:
    """Measure all cases ``rounds`` times."""
    operations = cases()
    jobs = [(operation, way, call) for operation, ways in operations.items() for way, call in ways.items()]
    taken: dict[tuple[str, str], list[float]] = {(operation, way): [] for operation, way, _ in jobs}
    empty: list[float] = []
    for turn in range(rounds + 1):
        empty.append(cpu(lambda: None))
        shift = turn % len(jobs)
        for operation, way, call in jobs[shift:] + jobs[:shift]:
            if "sampled span" in operation:
                with use_span(NonRecordingSpan(SAMPLED)):
                    spent = cpu(call)
            else:
                spent = cpu(call)
            if turn:  # the first round warms up
                taken[operation, way].append(spent)
    least_empty = min(empty)
    result: dict[str, dict[str, dict[str, float]]] = {}
    for (operation, way), spent_each in taken.items():
        least = min(spent_each) - least_empty
        result.setdefault(operation, {})[way] = {
            "least_us": round(least, 3),
            "median_us": round(statistics.median(spent_each) - least_empty, 3),
        }
    for ways in result.values():
        for figures in ways.values():
            figures["times_cheaper"] = round(ways["stock"]["least_us"] / figures["least_us"], 1)
    return result


def main(arguments: list[str] | None = None) -> int:
    """Measure, print the table, and write the figures if asked."""
    parser = argparse.ArgumentParser(description="CPU of one metric call: stock, ours, bound.")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    options = parser.parse_args(arguments)
    figures = measure(options.rounds)
    print(f"{'CPU µs per call':34} {'':18} {'least':>8} {'median':>8} {'stock / it':>11}")
    for operation, ways in figures.items():
        for way, each in ways.items():
            print(
                f"{operation:34} {way:18} {each['least_us']:8.2f} {each['median_us']:8.2f} "
                f"{each['times_cheaper']:10.1f}x"
            )
    if options.json:
        versions = {"python": platform.python_version(), "opentelemetry": api_version}
        content = {
            "unit": "us of process CPU per call",
            "rounds": options.rounds,
            **versions,
            "cases": figures,
        }
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(content, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
