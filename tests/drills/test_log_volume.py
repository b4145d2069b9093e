"""Many lines with known content, through the real collector into the real Elasticsearch: each arrives once.

1,000,000 in the long form, 6,000 in the short one. ``ADA_DRILL_LINES`` asks for another number. Each ten
lines are those of one request, whose span goes the same way and whose duration goes to Prometheus as well.
Then the log commands are asked for what is known, and their times go into the report.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, TypeVar

import pytest

from ada_otel.analysis import ClientSettings, Dashboard, LogAnalyzer, ResponseTime
from ada_otel.analysis.selection import Selection
from tests.drills.report import LONG, figures
from tests.support.collector import condition
from tests.support.process import OWN_LAUNCHER, clean_environment, run_program
from tools.demo.app import get_json
from tools.demo.arrivals import wait_for
from tools.stack import Stack

pytestmark = pytest.mark.drill

#: 200 requests, in which each of the two routes takes each of its 100 durations once.
ROUND = 2000
LINES = max(2, int(os.environ.get("ADA_DRILL_LINES", "1000000" if LONG else "6000")) // ROUND) * ROUND
REQUESTS = LINES // 10
#: Lines that are counted one by one in one question; Elasticsearch gives at most 65,536 buckets.
AT_ONCE = 10_000
#: How often each question is asked; the first answer finds no cache warm.
ASKED = 3

COMMAND = OWN_LAUNCHER[0]

T = TypeVar("T")

#: One line in ten is an error with an exception, one in ten a warning. The queues are emptied often enough
#: that nothing has to be dropped: that is their duty when the app is faster than the network. Metrics are
#: sent after whole rounds alone, so that what Prometheus sees between two samples has the known distribution.
PROGRAM = """
import json, logging, time
import psutil
import ada_otel
ada_otel.setup()
from opentelemetry import metrics, trace
from opentelemetry._logs import get_logger_provider
from ada_otel import catalogue

logging.getLogger().addHandler(logging.NullHandler())
log = logging.getLogger("volume")
tracer, meter = trace.get_tracer("volume"), metrics.get_meter("volume")
taken = catalogue.create(meter, catalogue.metric("http.server.request.duration"))
active = catalogue.create(meter, catalogue.metric("http.server.active_requests"))
connections = catalogue.create(meter, catalogue.metric("socketio.server.active_connections"))
error = ValueError("known")
about = {"http.request.method": "GET", "url.scheme": "http"}
active.add(3, about)
connections.add(17, {"socketio.namespace": "/"})


def line(number):
    extra = {"number": number, "user_id": f"u{number % 97}"}
    if number % 10 == 0:
        log.error("order refused: %d", number, extra=extra, exc_info=error)
    elif number % 10 == 1:
        log.warning("order slow: %d", number, extra=extra)
    else:
        log.info("order taken: %d", number, extra=extra)


def request(which):
    # To the tenth of a millisecond: 10 ms to 1 s, and 2.5 ms to 250 ms, in equal steps.
    step, route = which // 2 % 100 + 1, "/search" if which % 2 else "/orders/<int:id>"
    tenths = step * (25 if which % 2 else 100)
    status = 500 if step == 100 else 200
    what = {**about, "http.route": route, "http.response.status_code": status}
    end = time.time_ns()
    span = tracer.start_span(
        f"GET {route}", kind=trace.SpanKind.SERVER, attributes=what, start_time=end - tenths * 100_000
    )
    with trace.use_span(span):
        for number in range(10 * which, 10 * which + 10):
            line(number)
    span.end(end)
    taken.record(tenths / 10_000, what)


for which in range(LINES // 10):
    request(which)
    if which % 100 == 99:
        assert get_logger_provider().force_flush(60_000)
        assert trace.get_tracer_provider().force_flush(60_000)
    if which % 200 == 199:
        assert metrics.get_meter_provider().force_flush(60_000)
# What is read of the process serves for half a second, in which all may have been sent: this is read anew.
used, since = time.process_time(), time.monotonic()
while time.process_time() - used < 0.2 or time.monotonic() - since < 1:
    pass
assert metrics.get_meter_provider().force_flush(60_000)
process = psutil.Process()
print(json.dumps({"memory": process.memory_info().rss, "cpu": sum(process.cpu_times()[:2])}))
"""


def _timed(times: dict[str, list[float]], name: str, ask: Callable[[], T], often: int = ASKED) -> T:
    """Ask, and note how long each answer took; gives the last one."""
    taken = times.setdefault(name, [])
    for _ in range(often):
        begun = time.monotonic()
        found = ask()
        taken.append(time.monotonic() - begun)
    return found


def _not_once(elasticsearch: str, service: str) -> dict[int, int]:
    """The numbers of lines that are not there exactly once, and how often they are."""
    found: dict[int, int] = {}
    for first in range(0, LINES, AT_ONCE):
        numbers = range(first, min(first + AT_ONCE, LINES))
        body = {
            "size": 0,
            "query": {
                "bool": {
                    "filter": [
                        {"term": {"resource.attributes.service.name": service}},
                        {"range": {"attributes.number": {"gte": numbers[0], "lte": numbers[-1]}}},
                    ]
                }
            },
            "aggs": {"numbers": {"histogram": {"field": "attributes.number", "interval": 1}}},
        }
        answer = get_json(f"{elasticsearch}/ada-logs-*/_search", body)
        # Where an index refuses the question, as its field is of another type, the others answer without it.
        assert answer["_shards"]["failed"] == 0, json.dumps(answer["_shards"])
        buckets = answer["aggregations"]["numbers"]["buckets"]
        counts = {int(bucket["key"]): bucket["doc_count"] for bucket in buckets}
        found |= {number: counts.get(number, 0) for number in numbers if counts.get(number) != 1}
    return found


def test_each_line_arrives_once_and_the_commands_find_them(stack: Stack, tmp_path: Path) -> None:
    service = f"volume-{time.time_ns()}"
    begun, moment = time.monotonic(), datetime.now(timezone.utc)
    environment = {
        **stack.app_env(),
        "OTEL_SERVICE_NAME": service,
        "OTEL_METRIC_EXPORT_INTERVAL": "3600000",
        "ADA_OTEL_EXIT_TIMEOUT": "30",
    }
    done = run_program(f"LINES = {LINES}\n{PROGRAM}", tmp_path, environment=environment, timeout=1200)
    assert (done.returncode, done.stderr) == (0, "")
    sent = time.monotonic() - begun
    window = Selection(
        service=service,
        start=moment - timedelta(minutes=5),
        end=datetime.now(timezone.utc) + timedelta(seconds=1),
    )
    settings = ClientSettings(url=stack.url("elasticsearch"), prometheus=stack.url("prometheus"))
    collector = f"http://127.0.0.1:{stack.ports['otelcol_metrics']}/metrics"
    with LogAnalyzer(settings) as analyzer, LogAnalyzer(replace(settings, prometheus=None)) as no_prometheus:
        count = wait_for(
            lambda: analyzer.count(window), lambda count: count >= LINES, seconds=60 + LINES / 1000
        )
        assert count >= LINES, f"{count} of {LINES} lines; {condition(collector, stack.log('otelcol'))}"
        arrived = time.monotonic() - begun
        assert _not_once(settings.url, service) == {}, "a line is missing, or there twice"
        assert analyzer.count(window) == LINES
        wait_for(
            lambda: analyzer.response_time(window),
            lambda taken: taken is not None and taken.count >= REQUESTS,
            seconds=60 + LINES / 1000,
        )
        times: dict[str, list[float]] = {}
        _ask_for_lines(analyzer, window, times)
        _ask_for_errors(analyzer, window, times)
        _ask_for_times(analyzer, window, times)
        _ask_how_it_is(analyzer, no_prometheus, window, times, json.loads(done.stdout))
    _ask_by_command(settings, window, times)
    figures(
        "log volume",
        lines=LINES,
        requests=REQUESTS,
        sent_seconds=round(sent, 1),
        arrived_seconds=round(arrived, 1),
        query_seconds={name: round(taken[0], 3) for name, taken in times.items()},
        query_again_seconds={
            name: round(statistics.median(taken[1:]), 3) for name, taken in times.items() if taken[1:]
        },
    )


def _ask_for_lines(analyzer: LogAnalyzer, window: Selection, times: dict[str, list[float]]) -> None:
    assert _timed(times, "count: all", lambda: analyzer.count(window)) == LINES
    errors = replace(window, level="error")
    assert _timed(times, "count: level error", lambda: analyzer.count(errors)) == LINES // 10
    user = replace(window, user="u5")
    assert _timed(times, "count: one user", lambda: analyzer.count(user)) == len(range(5, LINES, 97))
    one = replace(window, query=f"number:{LINES - 7} AND message:taken")
    (line,) = _timed(times, "search: one line", lambda: analyzer.search(one))
    assert (line.message, line.user_id) == (f"order taken: {LINES - 7}", f"u{(LINES - 7) % 97}")
    refused = replace(window, query="refused")
    lines = _timed(times, "search: a word, newest 100", lambda: analyzer.search(refused, 100))
    assert {entry.attributes["number"] for entry in lines} == set(range(LINES - 1000, LINES, 10))
    newest = _timed(times, "search: all, newest 5,000", lambda: analyzer.search(window, 5000))
    assert len({entry.attributes["number"] for entry in newest}) == 5000
    assert [entry.timestamp for entry in newest] == sorted(
        (entry.timestamp for entry in newest), reverse=True
    )


def _ask_for_errors(analyzer: LogAnalyzer, window: Selection, times: dict[str, list[float]]) -> None:
    errors = replace(window, level="error")
    trends = _timed(
        times,
        "trends: by exception.type",
        lambda: analyzer.trends(errors, timedelta(minutes=1), "exception.type"),
    )
    assert (trends.total, [(found.name, found.total) for found in trends.series]) == (
        LINES // 10,
        [("ValueError", LINES // 10)],
    )
    if LINES // 10 <= 100_000:
        report = _timed(times, "errors: all messages different", lambda: analyzer.errors(window))
        (group,) = report.groups
        assert (group.type, group.count, report.total) == ("ValueError", LINES // 10, LINES // 10)
        assert (group.pattern, group.before, report.complete) == ("order refused: <n>", 0, True)


def _ask_for_times(analyzer: LogAnalyzer, window: Selection, times: dict[str, list[float]]) -> None:
    report = _timed(times, "slow", lambda: analyzer.slow(window.start, window.end, service=window.service))
    each = REQUESTS // 2
    assert [(route.method, route.route, route.time.count, route.errors) for route in report.routes] == [
        ("GET", "/orders/<int:id>", each, each // 100),
        ("GET", "/search", each, each // 100),
    ]
    for route, longest in zip(report.routes, (1.0, 0.25), strict=True):
        _is_uniform(route.time, longest)
    slowest = report.routes[0].slowest_trace
    lines = _timed(times, "search: one trace", lambda: analyzer.search(replace(window, trace=slowest)))
    first = min(entry.attributes["number"] for entry in lines)
    assert sorted(entry.attributes["number"] for entry in lines) == list(range(first, first + 10))
    assert first // 10 % 200 == 198, "the slowest request is another one"


def _is_uniform(taken: ResponseTime, longest: float) -> None:
    """Durations in 100 equal steps; percentiles are estimates."""
    assert taken.average == pytest.approx(0.505 * longest)
    assert taken.maximum == pytest.approx(longest)
    for found, share in ((taken.p50, 0.5), (taken.p95, 0.95), (taken.p99, 0.99)):
        assert found == pytest.approx(share * longest, rel=0.02)


def _ask_how_it_is(
    analyzer: LogAnalyzer,
    no_prometheus: LogAnalyzer,
    window: Selection,
    times: dict[str, list[float]],
    told: dict[str, float],
) -> None:
    """Errors, gauges, and the response times of both routes together."""

    def ask(whom: LogAnalyzer) -> Dashboard:
        return whom.dashboard(window.start, window.end, window.service)

    wait_for(
        lambda: ask(analyzer),
        lambda board: board.response_source == "prometheus" and not board.missing and bool(board.cpu_percent),
    )
    board = _timed(times, "dashboard", lambda: ask(analyzer))
    assert (board.errors, board.active_connections, board.active_requests) == (LINES // 10, 17, 3)
    assert board.memory_bytes == pytest.approx(told["memory"], rel=0.25)
    assert board.cpu_percent is not None
    assert 0 < board.cpu_percent <= 100 * (os.cpu_count() or 1)
    newest = [entry.attributes["number"] for entry in board.recent_errors]
    # Those of one millisecond come in no order, so that one more may take the place of the tenth.
    assert len(set(newest)) == 10
    assert set(newest) <= set(range(LINES - 200, LINES, 10))
    _is_of_both(board.response_time)
    spans = _timed(times, "dashboard, without Prometheus", lambda: ask(no_prometheus))
    assert (spans.response_source, spans.errors, set(spans.missing)) == (
        "elasticsearch",
        LINES // 10,
        {"cpu_percent", "memory_bytes", "active_connections", "active_requests"},
    )
    _is_of_both(spans.response_time)
    assert spans.response_time is not None
    assert spans.response_time.count == REQUESTS
    assert spans.response_time.maximum == pytest.approx(1.0)


def _is_of_both(taken: ResponseTime | None) -> None:
    """Half of all took 0.2 s or less, 95 of 100 took 0.9 s, 99 took 0.98 s: the buckets fit to that."""
    assert taken is not None
    assert taken.average == pytest.approx(0.505 * (1 + 0.25) / 2)
    for found, known in ((taken.p50, 0.2), (taken.p95, 0.9), (taken.p99, 0.98)):
        assert found == pytest.approx(known, rel=0.02)


def _ask_by_command(settings: ClientSettings, window: Selection, times: dict[str, list[float]]) -> None:
    """The same by ``ada-otel logs``, the start of the program included."""
    assert window.start is not None
    assert window.end is not None
    common = ["--since", window.start.isoformat(), "--until", window.end.isoformat(), "--service"]
    common += [str(window.service), "--url", settings.url, "--prometheus", str(settings.prometheus)]

    def ask(name: str, *arguments: str) -> list[Any]:
        command = [COMMAND, "logs", *arguments, *common, "--json"]
        done = _timed(
            times,
            f"command: {name}",
            lambda: subprocess.run(
                command, env=clean_environment(), capture_output=True, text=True, timeout=120, check=False
            ),
            often=1,
        )
        assert done.returncode == 0, done.stderr
        return (
            [json.loads(line) for line in done.stdout.splitlines()]
            if name == "search"
            else [json.loads(done.stdout)]
        )

    found = ask("search", "search", "message:refused", "--level", "error", "--user", "u0", "--size", "50")
    mine = [number for number in range(LINES) if number % 970 == 0][-50:]
    assert [line["attributes"]["number"] for line in found] == mine
    (trends,) = ask("trends", "trends", "--interval", "1m", "--by", "exception.type")
    assert (trends["total"], trends["series"][0]["total"]) == (LINES // 10, LINES // 10)
    (errors,) = ask("errors", "errors")
    assert [group["count"] for group in errors["groups"]] == [LINES // 10]
    (slow,) = ask("slow", "slow")
    assert [(route["route"], route["time"]["count"]) for route in slow["routes"]] == [
        ("/orders/<int:id>", REQUESTS // 2),
        ("/search", REQUESTS // 2),
    ]
    (board,) = ask("dashboard", "dashboard")
    assert (board["errors"], board["active_connections"], board["missing"]) == (LINES // 10, 17, {})
