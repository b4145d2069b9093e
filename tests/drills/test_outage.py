"""Outages: the app is not slowed, errors outlive everything else, counts add up, and recovery is no herd."""

from __future__ import annotations

import json
import math
import statistics
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from ada_otel.pipeline.export.sender import Sender
from ada_otel.pipeline.export.target import Target
from tests.drills.faults import Answer, answer, collector
from tests.drills.programs import Program
from tests.drills.report import LONG, figures
from tests.drills.test_exit import sick

pytestmark = pytest.mark.drill

LOAD = """
import json, resource
def crunch():
    total = 0
    for n in range(3000): total += n * n
    return total
def request(n):
    crunch()
    with tracer.start_as_current_span("GET /", attributes={"http.route": "/", "n": n, "url.path": "/x" * 20}):
        with tracer.start_as_current_span("SELECT", attributes={"db.system.name": "sqlite"}):
            logger.emit(LogRecord(body="a line", attributes={"n": n}))
for n in range(2500): request(n)  # more than the queue holds, where the collector takes none
print("READY", flush=True)
walls = []
for line in sys.stdin:
    count, cpu, process_before = int(line), 0.0, time.process_time()
    for n in range(count):
        cpu_before, wall_before = time.thread_time(), time.perf_counter()
        request(n)
        cpu += time.thread_time() - cpu_before
        walls.append(time.perf_counter() - wall_before)
        time.sleep(0.002)
    print(cpu / count * 1e6, (time.process_time() - process_before) / count * 1e6, flush=True)
print("RESULT", json.dumps({
    "wall_us": [round(wall * 1e6) for wall in sorted(walls)],
    "rss_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
}), flush=True)
leaving._process.budget = 0.2
"""

KINDS = ["refused", "black_hole", "503", "drip", "retry-after", "slow", "flapping"]


def test_recording_costs_the_same_whatever_the_collector_does(tmp_path: Path) -> None:
    """In turns of a tenth of a second, each compared with the healthy one of its own round.

    All programs live through the whole drill. What else the machine does then falls on all of them alike.
    """
    rounds, requests = (200, 40) if LONG else (5, 20)
    kinds = ["healthy", *(KINDS if LONG else ["refused", "black_hole", "flapping"])]
    begun = time.monotonic()
    cpu: dict[str, list[float]] = {kind: [] for kind in kinds}
    whole: dict[str, list[float]] = {kind: [] for kind in kinds}
    against_healthy = {}
    with ExitStack() as stack:
        programs = {}
        for kind in kinds:
            (tmp_path / kind).mkdir()
            programs[kind] = Program(LOAD, tmp_path / kind, stack.enter_context(sick(kind)))
            stack.callback(programs[kind].process.kill)
        for program in programs.values():
            program.wait_for_line("READY")
        for number in range(rounds):
            first = number % len(kinds)
            for kind in [*kinds[first:], *kinds[:first]]:
                mine, all_threads = map(float, programs[kind].ask(str(requests)).split())
                cpu[kind].append(mine)
                whole[kind].append(all_threads)
        for kind, program in programs.items():
            out, err = program.process.communicate(timeout=60)
            assert "RESULT" in out, err
            # One a minute, and the last words of two signals.
            assert err.count("Telemetry was dropped") <= 3 + (time.monotonic() - begun) / 60
            result = json.loads(out.split("RESULT")[1])
            assert result["wall_us"][int(len(result["wall_us"]) * 0.99)] < 50_000
            against_healthy[kind] = _compare(kind, cpu, statistics.median(whole[kind]), result)
    # In a few short turns the noise is larger; they only catch a broken build.
    assert max(against_healthy.values()) < (1.05 if LONG else 2), against_healthy


def _compare(kind: str, cpu: dict[str, list[float]], whole: float, result: dict[str, Any]) -> float:
    """Report a kind; give what a request costs its thread against healthy, the median of the turns."""
    ratios = sorted(mine / healthy for mine, healthy in zip(cpu[kind], cpu["healthy"], strict=True))
    wall = result["wall_us"]
    figures(
        "outage, cost of recording",
        collector=kind,
        requests=len(wall),
        cpu_us=round(statistics.median(cpu[kind]), 1),
        cpu_us_of_all_threads=round(whole, 1),
        cpu_against_healthy=round(statistics.median(ratios), 3),
        cpu_against_healthy_95_percent_interval=[round(ratio, 3) for ratio in _interval(ratios, 0.5)],
        wall_p99_us=wall[int(len(wall) * 0.99)],
        wall_p99_us_95_percent_interval=_interval(wall, 0.99),
        wall_max_us=wall[-1],
        rss_mib=round(result["rss_mib"], 1),
    )
    return statistics.median(ratios)


def _interval(ordered: list[Any], quantile: float) -> list[Any]:
    """The values between which a quantile is with 95 % confidence, by rank."""
    count = len(ordered)
    middle, spread = count * quantile, 1.96 * math.sqrt(count * quantile * (1 - quantile))
    return [ordered[max(0, int(middle - spread))], ordered[min(count - 1, math.ceil(middle + spread))]]


FLOOD = """
traces_with_errors = []
for n in range(TOTAL):
    with tracer.start_as_current_span(f"root {n}") as root:
        with tracer.start_as_current_span(f"child {n}") as child:
            if n % 200 == 0:
                from opentelemetry.trace import StatusCode
                child.set_status(StatusCode.ERROR)
    if n % 200 == 0:
        time.sleep(0.01)
print("RECORDED", flush=True)
sys.stdin.readline()
ok = spans.force_flush(30000)
figures = stats.snapshot()["traces"]
print("RESULT", ok, figures["sent"], figures["dropped"].get("queue_full", 0))
"""


@pytest.mark.parametrize("kind", ["black_hole", "503"])
def test_errors_and_their_traces_outlive_an_outage(kind: Any, tmp_path: Path) -> None:
    total = 100_000 if LONG else 15_000
    with collector(kind) as server:
        program = Program(
            f"TOTAL = {total}\n" + FLOOD.replace("sys.stdin.readline()", "time.sleep(1)"),
            tmp_path,
            server.endpoint,
            OTEL_EXPORTER_OTLP_TIMEOUT="1",
        )
        program.wait_for_line("RECORDED")
        server.mode = "healthy"
        out, err = program.process.communicate(timeout=120)
        assert "RESULT True" in out, err
        sent, dropped = map(int, out.split()[-2:])
        names = server.names()
        lost_errors = [
            name
            for n in range(0, total, 200)
            for name in (f"root {n}", f"child {n}")
            if name not in set(names)
        ]
        figures(
            "outage, flood", collector=kind, sent=2 * total, found=len(names), dropped=dropped,
            errors=2 * (total // 200), errors_lost=len(lost_errors),
        )  # fmt: skip
        assert lost_errors == []
        assert len(set(names)) == len(names) == sent
        assert sent + dropped == 2 * total
        assert len(names) >= 2048


def test_a_flapping_collector_loses_nothing_that_the_queue_can_hold(tmp_path: Path) -> None:
    seconds = 60 if LONG else 4
    source = f"""
n = 0
end = time.monotonic() + {seconds}
while time.monotonic() < end:
    record(f"s{{n}}")
    n += 1
    time.sleep(0.01)
print("RECORDED", n, flush=True)
time.sleep(1)
spans.force_flush(30000); records.force_flush(30000)
"""
    with collector() as server:
        program = Program(
            source,
            tmp_path,
            server.endpoint,
            OTEL_BSP_SCHEDULE_DELAY="50",
            OTEL_BLRP_SCHEDULE_DELAY="50",
            # At 100 a second: with one attempt in two refused, the pauses may add up to a minute.
            OTEL_BSP_MAX_QUEUE_SIZE="10000",
            OTEL_BLRP_MAX_QUEUE_SIZE="10000",
        )
        modes: list[str | Answer] = ["503", "healthy", lambda _: answer(429, retry_after="1"), "healthy"]
        flips = 0
        while program.process.poll() is None and flips < seconds * 2:
            server.mode = modes[flips % len(modes)]
            flips += 1
            time.sleep(0.5)
        server.mode = "healthy"
        out, err = program.process.communicate(timeout=90)
        assert program.process.returncode == 0, err
        sent = int(out.split("RECORDED")[1].split()[0])
        names = server.names()
        figures("outage, flapping", flips=flips, sent=sent, found=len(names))
        assert sorted(names) == sorted(f"s{n}" for n in range(sent)), err
        assert sorted(server.bodies()) == sorted(names), err


def test_recovery_is_no_herd() -> None:
    """Clients that failed at the same moment come back spread out."""
    clients = 200 if LONG else 40
    with collector("503") as server:
        target = Target(server.endpoint + "/v1/traces", timeout=5)
        senders = [Sender(target, "traces") for _ in range(clients)]
        threads = [threading.Thread(target=sender.send, args=(b"x", 40), daemon=True) for sender in senders]
        for thread in threads:
            thread.start()
        time.sleep(4)
        server.mode = "healthy"
        recovered = time.monotonic()
        for thread in threads:
            thread.join(60)
        arrivals = [request.at - recovered for request in server.accepted]
        busiest = max(sum(start <= arrival < start + 0.25 for arrival in arrivals) for start in arrivals)
        figures(
            "outage, recovery", clients=clients, found=len(arrivals), busiest_quarter_second=busiest,
            seconds=round(max(arrivals), 2),
        )  # fmt: skip
        assert len(arrivals) == clients
        assert busiest <= clients / 3
