"""Many lines with known content, through the real collector into the real Elasticsearch: each arrives once.

1,000,000 in the long form, 5,000 in the short one. ``ADA_DRILL_LINES`` asks for another number. Then the log
commands are asked for what is known, and their times go into the report.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, TypeVar

import pytest

from ada_otel.analysis import ClientSettings, LogAnalyzer
from ada_otel.analysis.selection import Selection
from tests.drills.report import LONG, figures
from tests.support.process import run_program
from tools.demo.app import get_json
from tools.demo.arrivals import wait_for
from tools.stack import Stack

pytestmark = pytest.mark.drill

LINES = int(os.environ.get("ADA_DRILL_LINES", "1000000" if LONG else "5000"))
#: Lines per bucket in which they are counted: few enough that Elasticsearch counts distinct values exactly.
BUCKET = 1000

T = TypeVar("T")

#: One line in ten is an error with an exception, one in ten a warning. The queue is emptied often enough that
#: nothing has to be dropped: that is the queue's duty when the app is faster than the network.
PROGRAM = """
import logging, time
import ada_otel
ada_otel.setup()
from opentelemetry._logs import get_logger_provider
logging.getLogger().addHandler(logging.NullHandler())
log = logging.getLogger("volume")
error = ValueError("known")
for number in range(LINES):
    extra = {"number": number, "user_id": f"u{number % 97}"}
    if number % 10 == 0:
        log.error("order refused: %d", number, extra=extra, exc_info=error)
    elif number % 10 == 1:
        log.warning("order slow: %d", number, extra=extra)
    else:
        log.info("order taken: %d", number, extra=extra)
    if number % 1000 == 999:
        get_logger_provider().force_flush(60_000)
"""


def _timed(times: dict[str, float], name: str, ask: Callable[[], T]) -> T:
    begun = time.monotonic()
    found = ask()
    times[name] = round(time.monotonic() - begun, 3)
    return found


def _buckets(elasticsearch: str, service: str) -> list[dict[str, Any]]:
    numbers = {"histogram": {"field": "attributes.number", "interval": BUCKET}}
    distinct = {"cardinality": {"field": "attributes.number", "precision_threshold": 3 * BUCKET}}
    body = {
        "size": 0,
        "query": {"term": {"resource.attributes.service.name": service}},
        "aggs": {"numbers": {**numbers, "aggs": {"distinct": distinct}}},
    }
    answer = get_json(f"{elasticsearch}/ada-logs-*/_search?ignore_unavailable=true", body)
    found: list[dict[str, Any]] = answer.get("aggregations", {}).get("numbers", {}).get("buckets", [])
    return found


def test_each_line_arrives_once_and_the_commands_find_them(stack: Stack, tmp_path: Path) -> None:
    service = f"volume-{time.time_ns()}"
    begun, moment = time.monotonic(), datetime.now(timezone.utc)
    environment = {
        **stack.app_env(),
        "OTEL_SERVICE_NAME": service,
        "OTEL_TRACES_EXPORTER": "none",
        "ADA_OTEL_EXIT_TIMEOUT": "30",
    }
    done = run_program(f"LINES = {LINES}\n{PROGRAM}", tmp_path, environment=environment, timeout=1200)
    assert (done.returncode, done.stderr) == (0, "")
    sent = time.monotonic() - begun
    elasticsearch = stack.url("elasticsearch")
    with LogAnalyzer(ClientSettings(url=elasticsearch)) as analyzer:
        window = Selection(service=service, start=moment - timedelta(minutes=5))
        wait_for(lambda: analyzer.count(window), lambda count: count >= LINES, seconds=60 + LINES / 1000)
        arrived = time.monotonic() - begun
        found = {
            int(bucket["key"]): (bucket["doc_count"], bucket["distinct"]["value"])
            for bucket in _buckets(elasticsearch, service)
        }
        assert found == {first: (min(BUCKET, LINES - first),) * 2 for first in range(0, LINES, BUCKET)}, (
            "a line is missing, or there twice"
        )
        times = _ask(analyzer, window)
    figures(
        "log volume",
        lines=LINES,
        sent_seconds=round(sent, 1),
        arrived_seconds=round(arrived, 1),
        query_seconds=times,
    )


def _ask(analyzer: LogAnalyzer, window: Selection) -> dict[str, float]:
    """Ask for what is known; gives the seconds that each answer took."""
    times: dict[str, float] = {}
    service, start, end = window.service, window.start, datetime.now(timezone.utc) + timedelta(seconds=1)
    everything = Selection(service=service, start=start, end=end)
    assert _timed(times, "count", lambda: analyzer.count(everything)) == LINES
    one = Selection(f"number:{LINES - 7} AND message:taken", start, end, service=service)
    (line,) = _timed(times, "search one", lambda: analyzer.search(one))
    assert line.message == f"order taken: {LINES - 7}"
    assert line.user_id == f"u{(LINES - 7) % 97}"
    newest = _timed(times, "search 5,000", lambda: analyzer.search(everything, 5000))
    assert len({entry.attributes["number"] for entry in newest}) == 5000
    errors = Selection(service=service, start=start, end=end, level="error")
    trends = _timed(times, "trends", lambda: analyzer.trends(errors, timedelta(minutes=1), "exception.type"))
    assert (trends.total, [(found.name, found.total) for found in trends.series]) == (
        LINES // 10,
        [("ValueError", LINES // 10)],
    )
    if LINES // 10 <= 100_000:
        report = _timed(times, "errors", lambda: analyzer.errors(everything))
        (group,) = report.groups
        assert (group.type, group.count, report.total) == ("ValueError", LINES // 10, LINES // 10)
    return times
