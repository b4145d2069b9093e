"""Log analysis at size: known lines in a real Elasticsearch, time per question, each answer checked.

``python -m benchmarks.log_search [--lines 1000000] [--repeat 5]`` writes its figures to
``benchmarks/results/log_search.json``. The lines go in by ``_bulk``, as the collector writes them. The node
has a heap of 512 MB.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from ada_otel.analysis import ClientSettings, LogAnalyzer, Selection
from tools.paths import REPOSITORY
from tools.progress import say, step
from tools.stack import Stack, free_ports
from tools.stack.ready import http

RESULTS = REPOSITORY / "benchmarks" / "results" / "log_search.json"
HOURS = 24
#: One line in so many is an error; each has one of four exception classes in turn.
ERROR_EVERY = 100
CLASSES = ("ValueError", "KeyError", "TimeoutError", "sqlalchemy.exc.OperationalError")
ROUTES = 50
_BATCH = 5000


def documents(lines: int, end: datetime) -> Iterator[dict[str, Any]]:
    """``lines`` log lines, spread evenly over the day before ``end``."""
    first, length = (end - timedelta(hours=HOURS)).timestamp() * 1000, HOURS * 3_600_000 / lines
    for number in range(lines):
        failed = number % ERROR_EVERY == 0
        attributes: dict[str, Any] = {
            "code.function.name": "work",
            "code.line.number": 12,
            "user_id": number % 1000,
            "request_id": f"req-{number}",
            "number": number,
        }
        message = f"answered request {number} of route {number % ROUTES}"
        if failed:
            kind = CLASSES[number // ERROR_EVERY % len(CLASSES)]
            message = f"payment {number} refused"
            attributes |= {
                "exception.type": kind,
                "exception.message": "no cover",
                "exception.stacktrace": kind,
            }
        yield {
            "@timestamp": f"{first + number * length:.3f}",
            "severity_text": "ERROR" if failed else "INFO",
            "severity_number": 17 if failed else 9,
            "trace_id": f"{number // 10 + 1:032x}",
            "span_id": f"{number + 1:016x}",
            "body": {"text": message},
            "scope": {"name": f"ada.part{number % 7}"},
            "attributes": attributes,
            "resource": {"attributes": {"service.name": "ada"}},
        }


def load(url: str, lines: int, end: datetime) -> None:
    """Write the lines, and check that each was taken.

    Raises:
        RuntimeError: One was not.
    """
    batch: list[str] = []

    def send() -> None:
        body = "".join(batch).encode()
        status, answer = http(f"{url}/ada-logs-app/_bulk", method="POST", body=body, timeout=120)
        if status != 200 or json.loads(answer)["errors"]:
            raise RuntimeError(f"Elasticsearch did not take all lines: HTTP {status}")
        batch.clear()

    for one in documents(lines, end):
        batch.append('{"create":{}}\n' + json.dumps(one) + "\n")
        if len(batch) == _BATCH:
            send()
    if batch:
        send()
    http(f"{url}/ada-logs-app/_refresh", method="POST", timeout=120)


def questions(analyzer: LogAnalyzer, lines: int, end: datetime) -> dict[str, tuple[Callable[[], Any], Any]]:
    """Each question with its known answer."""
    window = Selection(start=end - timedelta(hours=HOURS), end=end)
    errors = len(range(0, lines, ERROR_EVERY))
    by_class = sorted(len(range(at, errors, len(CLASSES))) for at in range(len(CLASSES)))
    some = lines // 2

    def search(query: str, size: int = 100) -> list[Any]:
        return [entry.attributes["number"] for entry in analyzer.search(replace(window, query=query), size)]

    return {
        "search: newest 100 of all": (lambda: search(""), list(range(lines - 1, lines - 101, -1))),
        "search: one word, newest 100": (
            lambda: search("refused"),
            list(range((errors - 1) * ERROR_EVERY, (errors - 101) * ERROR_EVERY, -ERROR_EVERY)),
        ),
        "search: one request id": (lambda: search(f"request_id:req-{some}"), [some]),
        "search: one trace": (
            lambda: len(analyzer.search(replace(window, trace=f"{some // 10 + 1:032x}"))),
            10,
        ),
        "search: 20,000 lines, in pages": (lambda: len(set(search("answered", 20_000))), 20_000),
        "count: level ERROR": (lambda: analyzer.count(replace(window, level="error")), errors),
        "trends: by exception.type": (
            lambda: sorted(
                one.total
                for one in analyzer.trends(
                    replace(window, level="error"), timedelta(hours=1), "exception.type"
                ).series
            ),
            by_class,
        ),
        "errors: all messages different": (
            lambda: sum(group.count for group in analyzer.errors(window, 50).groups),
            errors,
        ),
    }


def measure(lines: int, repeat: int) -> dict[str, Any]:
    """Load the lines and ask the questions.

    Raises:
        RuntimeError: An answer is wrong.
    """
    end = datetime.now(timezone.utc).replace(microsecond=0)
    with tempfile.TemporaryDirectory(prefix="ada-log-search-") as folder:
        stack = Stack(Path(folder), ports=free_ports(), servers=["elasticsearch"])
        stack.up()
        try:
            started = time.monotonic()
            with step(f"writing {lines:,} lines"):
                load(stack.url("elasticsearch"), lines, end)
            loading = time.monotonic() - started
            with LogAnalyzer(ClientSettings(url=stack.url("elasticsearch"), timeout=120)) as analyzer:
                return {
                    "lines": lines,
                    "loading_seconds": round(loading, 1),
                    "machine": f"{platform.machine()}, Python {platform.python_version()}",
                    "questions": {
                        name: _ask(name, ask, known, repeat)
                        for name, (ask, known) in questions(analyzer, lines, end).items()
                    },
                }
        finally:
            stack.down(purge=True)


def _ask(name: str, ask: Callable[[], Any], known: Any, repeat: int) -> dict[str, float]:
    taken: list[float] = []
    for _ in range(repeat):
        started = time.perf_counter()
        answer = ask()
        taken.append((time.perf_counter() - started) * 1000)
        if answer != known:
            raise RuntimeError(f"{name}: the answer is wrong: {str(answer)[:200]}, not {str(known)[:200]}")
    figures = {"first_ms": taken[0], "median_ms": statistics.median(taken), "worst_ms": max(taken)}
    say(f"   {name:<34} first {taken[0]:8.0f} ms   median {figures['median_ms']:8.0f} ms")
    return {key: round(value, 1) for key, value in figures.items()}


def main() -> int:
    """Run it from the command line; 1 if an answer was wrong."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--lines", type=int, default=1_000_000)
    parser.add_argument("--repeat", type=int, default=5)
    arguments = parser.parse_args()
    if arguments.lines < 25_000:
        parser.error("--lines: at least 25000, for one question reads 20,000 lines")
    try:
        found = measure(arguments.lines, arguments.repeat)
    except RuntimeError as error:
        say(str(error))
        return 1
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text(json.dumps(found, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
