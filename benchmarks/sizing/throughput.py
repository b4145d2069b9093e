"""How far one collector goes: items per second and per core, in each shape, measured in turn."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.processes import LOOPBACK, PROGRAMS
from benchmarks.sizing.collectors import LEAVES_BY, Collector
from tools.errors import ToolError
from tools.progress import say

SIGNALS = ("spans", "log_records", "metric_points")
_CONNECTIONS = 4
_DRAIN_SECONDS = 120.0


@dataclass(frozen=True)
class Rounds:
    """How much is measured.

    Attributes:
        number: How often each shape has its turn with each signal.
        seconds: How long is sent in one turn.
    """

    number: int
    seconds: float


def measure(folder: Path, rounds: Rounds) -> dict[str, Any]:
    """Measure all signals in all shapes.

    Args:
        folder: For queues and logs.
        rounds: How much.

    Returns:
        ``signals``, by signal and shape: items ``per_second`` until the last one had left, CPU ``cpu_us`` of
        the collector for one item, ``per_core_second`` and ``cores`` used, each the median, and ``refused``;
        ``peak_mib`` of memory by shape.
    """
    turns: dict[str, dict[str, list[dict[str, float]]]] = {
        kind: {shape: [] for shape in LEAVES_BY if shape != "no_hop" or kind != "metric_points"}
        for kind in SIGNALS
    }
    with ExitStack() as stack:
        back_ends = stack.enter_context(_null_back_ends())
        collectors = {
            shape: stack.enter_context(Collector(shape, folder / shape, back_ends)) for shape in LEAVES_BY
        }
        for kind in SIGNALS:  # the first items of each kind open connections and files
            for shape in turns[kind]:
                _turn(collectors[shape], kind, 0.5)
        for number in range(rounds.number):
            for kind in SIGNALS:
                shapes = list(turns[kind])
                at = number % len(shapes)
                for shape in (*shapes[at:], *shapes[:at]):
                    turns[kind][shape].append(_turn(collectors[shape], kind, rounds.seconds))
            say(f"   round {number + 1} of {rounds.number}")
        peaks = {shape: collector.usage()["peak_mib"] for shape, collector in collectors.items()}
    result: dict[str, Any] = {
        kind: {shape: _summary(found) for shape, found in shapes.items()} for kind, shapes in turns.items()
    }
    return {"signals": result, "peak_mib": {shape: round(peak) for shape, peak in peaks.items()}}


def _turn(collector: Collector, kind: str, seconds: float) -> dict[str, float]:
    before, cpu, begun = collector.sent(kind), collector.usage()["cpu_s"], time.monotonic()
    command = [sys.executable, str(PROGRAMS / "otlp_load.py")]
    command += [collector.address, kind, str(seconds), str(_CONNECTIONS)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ToolError(f"sending {kind} to the collector ({collector.shape}) failed:\n{done.stderr}")
    load = json.loads(done.stdout)
    while collector.sent(kind) - before < load["sent"]:
        if time.monotonic() - begun > seconds + _DRAIN_SECONDS:
            missing = load["sent"] - collector.sent(kind) + before
            raise ToolError(f"{missing} {kind} did not leave the collector ({collector.shape})")
        time.sleep(0.05)
    # The load program makes its requests before it sends the first: that is no time of the collector's.
    ended = time.monotonic()
    took = load["seconds"] + (ended - begun - load["whole"])
    used = collector.usage()["cpu_s"] - cpu
    return {
        "per_second": load["sent"] / took,
        "cpu_us": used / load["sent"] * 1e6,
        "cores": used / took,
        "refused": load["refused"],
        "bytes_per_item": load["bytes_per_item"],
    }


def _summary(turns: list[dict[str, float]]) -> dict[str, float]:
    middle = {name: statistics.median(turn[name] for turn in turns) for name in turns[0]}
    return {
        "per_second": round(middle["per_second"]),
        "cpu_us": round(middle["cpu_us"], 2),
        "cpu_us_least": round(min(turn["cpu_us"] for turn in turns), 2),
        "per_core_second": round(1e6 / middle["cpu_us"]),
        "cores": round(middle["cores"], 2),
        "refused": round(sum(turn["refused"] for turn in turns)),
        "bytes_per_item": round(middle["bytes_per_item"]),
    }


@contextmanager
def _null_back_ends() -> Iterator[str]:
    process = subprocess.Popen(
        [sys.executable, str(PROGRAMS / "null_back_ends.py")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield f"{LOOPBACK}:{process.stdout.readline().strip()}"
    finally:
        process.stdin.close()
        process.wait(10)
        process.stdout.close()
