"""CPU of one collection of the process's and the host's figures: stock system-metrics, and ours.

Run ``python -m benchmarks.observers [--rounds N] [--json FILE]``. Each round collects once with stock
``opentelemetry-instrumentation-system-metrics`` on the stock SDK, both with their defaults, and once with our
observers on our pipeline; all figures are read anew each time. The table gives the least and the median of
the rounds in µs of process CPU, the number of data points, and the share of stock's (by the least, which a
loaded machine moves least).
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from opentelemetry.instrumentation.system_metrics import SystemMetricsInstrumentor
from opentelemetry.sdk import metrics as sdk
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.version import __version__ as api_version

from ada_otel.observers import _group, _host, _process, _runtime
from ada_otel.observers._lock import HostLock
from ada_otel.pipeline.metrics import MeterProvider

Collect = Callable[[], Any]
#: Rounds that warm up: imports, caches, the interpreter's own optimisations.
WARM_UP = 20


@contextmanager
def ways(folder: Path) -> Iterator[dict[str, Collect]]:
    """What collects once, by its name."""
    groups: list[_group.Group] = []
    register = _group.Group.register

    def noted(group: _group.Group, meter: Any) -> None:
        groups.append(group)
        register(group, meter)

    ours, theirs = InMemoryMetricReader(), InMemoryMetricReader()
    meter = MeterProvider(metric_readers=[ours], shutdown_on_exit=False).get_meter("bench")
    lock = HostLock("host", str(folder / "benchmark"))
    _group.Group.register = noted  # type: ignore[assignment,method-assign]
    try:
        _process.register(meter)
        _runtime.register(meter)
        _host.register(meter, lock)
    finally:
        _group.Group.register = register  # type: ignore[method-assign]
    stock = SystemMetricsInstrumentor()
    stock.instrument(meter_provider=sdk.MeterProvider(metric_readers=[theirs], shutdown_on_exit=False))

    def collect() -> Any:
        for group in groups:
            group._until = 0.0  # what was read is old at once
        return ours.get_metrics_data()

    try:
        yield {"stock": theirs.get_metrics_data, "ours": collect}
    finally:
        stock.uninstrument()
        lock.release()


def points(data: Any) -> int:
    """The data points of a collection."""
    scopes = [scope for resource in data.resource_metrics for scope in resource.scope_metrics]
    return sum(len(metric.data.data_points) for scope in scopes for metric in scope.metrics)


def measure(rounds: int, folder: Path) -> dict[str, dict[str, float]]:
    """Measure both ways ``rounds`` times, in turns."""
    result: dict[str, dict[str, float]] = {}
    with ways(folder) as collects:
        taken: dict[str, list[float]] = {name: [] for name in collects}
        for turn in range(rounds + WARM_UP):
            for name, collect in collects.items():
                began = time.process_time()
                collect()
                spent = (time.process_time() - began) * 1e6
                if turn >= WARM_UP:
                    taken[name].append(spent)
        for name, collect in collects.items():
            result[name] = {
                "points": points(collect()),
                "least_us": round(min(taken[name]), 1),
                "median_us": round(statistics.median(taken[name]), 1),
            }
    for figures in result.values():
        figures["share_of_stock"] = round(figures["least_us"] / result["stock"]["least_us"], 3)
    return result


def main(arguments: list[str] | None = None) -> int:
    """Measure, print the table, and write the figures if asked."""
    import tempfile

    parser = argparse.ArgumentParser(description="CPU of one collection: stock system-metrics, ours.")
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(options.rounds, Path(folder))
    print(f"{'CPU µs per collection':24} {'points':>7} {'least':>8} {'median':>8} {'of stock':>9}")
    for name, each in figures.items():
        print(
            f"{name:24} {each['points']:7} {each['least_us']:8.0f} {each['median_us']:8.0f} "
            f"{each['share_of_stock']:9.3f}"
        )
    if options.json:
        content = {
            "unit": "us of process CPU per collection",
            "rounds": options.rounds,
            "python": platform.python_version(),
            "opentelemetry": api_version,
            "cases": figures,
        }
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(content, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
