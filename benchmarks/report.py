"""Writes the results down: as text for the terminal and for docs/benchmarks.md, and as a plot."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import environments
from benchmarks.measure import SLICE_REQUESTS, STARTS
from benchmarks.variants import CASES, EVENT
from tools.errors import ToolError

_PROGRAM = Path(__file__).with_name("programs") / "plot.py"
#: The drill whose figures have a section of the page.
LOG_VOLUME = "log volume"
_LOG_SEARCH = """{lines:,} lines and the spans of {requests:,} requests, sent by an app through the collector
into Elasticsearch with a heap of 512 MB, each there once: sent within {sent_seconds:,.0f} s, all found after
{arrived_seconds:,.0f} s. Then the questions of `ada-otel logs`, by its Python interface and by the command
with the start of its program, each with the known answer; "again" is the median of two more, for which
Elasticsearch may have the answer in a cache. The long form of `tests/drills/test_log_volume.py` measured it,
on a machine with two cores; it is no part of `make bench`.
"""
_INTRODUCTION = """# What telemetry costs

`make bench` wrote this page. It runs the same app once without telemetry and once under each distribution,
each in an environment and a process of its own. In each round every variant serves as many requests. Where
CPU is measured, they take turns every {slice} requests, so that what else the machine does hits all alike,
and each round has new processes, as one may take a third more than the next of the same program. All have
{shared}.

- **CPU** is that of the whole process, exporters included, from the first request of a round until its last
  span, log record and metric is encoded, sent over HTTP, and answered by a sink on the same machine. The app
  is called through its WSGI callable.
- **of stock** is (variant - none) / (stock - none) in the same round: the median of the rounds.
- A figure is a median of the rounds, with the quartiles in brackets. On a machine that does other work,
  believe the shares and the least more than the µs. What the goals compare has its turn in more rounds than
  the others; the interval of a goal is that of 95 % for the median, by the sign test.
- Queues hold 65,536 items, so that none is cheap by dropping; what came to the sink is in the tables.
- SQLAlchemy is 2.0, because the stock instrumentation refuses 2.1; ada-otel does both.
- Metrics are sent once per round.
- Stock makes one span more per query than ada-otel, "connect", for taking a connection out of the pool.
  ada-otel's log records carry file, function and line, which stock leaves out by default.
- Log lines of traces that are not sampled are sent all the same, and metrics count every request: that is the
  floor of the case with 1 %.
- Nobody else has telemetry for Socket.IO: its share is of what stock adds to a plain request in the same
  round. The event is handed to the server as Engine.IO would; no network is between.
- `opentelemetry-instrument` imports its own code and the API twice, before and in the app's process, whatever
  distribution it starts: that is the floor of the start under it. `ada-otel run` does not. A variant starts
  {starts} times in a round, in turn with the others, and the median counts.

{date}; {processor}, {cores} cores, {system}; Python {python}; load average {load};
up to {rounds} rounds of {requests_per_round} requests, and {further_rounds} more of what the goals compare;
half as many requests over HTTP.
{again}"""


def draw(results: Mapping[str, Any], plot: Path) -> None:
    """Draw the plot.

    Args:
        results: What :func:`benchmarks.__main__.run` gave, of a whole run.
        plot: The PNG file.

    Raises:
        ToolError: It could not be drawn.
    """
    plot.parent.mkdir(parents=True, exist_ok=True)
    environments.prepare([], plot=True)
    with tempfile.NamedTemporaryFile("w", suffix=".json") as source:
        json.dump(results, source)
        source.flush()
        command = [str(environments.python("plot")), str(_PROGRAM), source.name, str(plot)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ToolError(f"the plot could not be drawn:\n{done.stderr}")


def write(
    results: Mapping[str, Any], page: Path, plot: Path, drills: Sequence[Mapping[str, Any]] = ()
) -> None:
    """Write the page.

    Args:
        results: What :func:`benchmarks.__main__.run` gave, of a whole run.
        page: The Markdown file.
        plot: The PNG file that it shows.
        drills: The rows that :mod:`benchmarks.drilled` keeps; the one of the log volume has a section.
    """
    link = plot.relative_to(page.parent)
    picture = f"![CPU added per request by each distribution]({link})\n"
    introduction, body = render(results).split("\n## ", 1)
    sections = [f"## {body}", *(_log_search(row) for row in drills if row["drill"] == LOG_VOLUME)]
    page.write_text("\n".join([introduction, picture, *sections]), encoding="utf-8")


def render(results: Mapping[str, Any]) -> str:
    """Give the whole report as Markdown; measures that were not taken are left out."""
    run = results["run"]
    load = " to ".join(f"{value:.1f}" for value in run["load_average"])
    versions = next(iter(results["variants"].values()))["versions"]
    shared = ", ".join(f"{name} {versions[name]}" for name in environments.SHARED)
    again = "".join(map(_measured_again, run.get("again", {}).items()))
    values = {
        **run,
        "load": load,
        "shared": shared,
        "slice": SLICE_REQUESTS,
        "starts": STARTS,
        "again": again,
    }
    parts = [_INTRODUCTION.format(**values)]
    if results["goals"]:
        parts.append(_goals(results["goals"]))
    titles = {name: row["title"] for name, row in results["variants"].items()}
    for case, rows in results["cpu"].items():
        parts.append(_cpu(CASES[case].title, rows, titles))
    if "socketio" in results:
        parts.append(_socketio(results["socketio"], titles))
    for case, measures in results["http"].items():
        parts.append(_http(CASES[case].title, measures, titles))
    if "start" in results:
        parts.append(_start(results["start"], titles))
    if "memory" in results:
        parts.append(_memory(results["memory"], titles))
    parts.append(_variants(results["variants"]))
    return "\n".join(parts)


def _measured_again(item: tuple[str, Mapping[str, Any]]) -> str:
    case, about = item
    title = CASES[case].title if case in CASES else case
    load = " to ".join(f"{value:.1f}" for value in about["load_average"])
    return (
        f"\nMeasured again, in a run of its own: {title}, {about['date']}; load average {load}; "
        f"up to {about['rounds']} rounds, and {about['further_rounds']} more.\n"
    )


def _log_search(row: Mapping[str, Any]) -> str:
    again = row["query_again_seconds"]
    lines = [
        [name, f"{seconds:.3f}", _number(again.get(name), 3)]
        for name, seconds in row["query_seconds"].items()
    ]
    heading, table = _section("Log search", ["", "first answer, s", "again, s"], lines).split("\n\n", 1)
    return f"{heading}\n\n{_LOG_SEARCH.format(**row)}\n{table}"


def _goals(goals: Sequence[Mapping[str, Any]]) -> str:
    rows = [
        [
            goal["goal"],
            f"{goal['limit']:.3f}",
            f"{goal['share']:.3f}",
            f"{goal['low']:.3f} to {goal['high']:.3f}",
            "yes" if goal["met"] else "**no**",
        ]
        for goal in goals
    ]
    return _section("ada-otel against its goals", ["", "at most, of stock", "measured", "95 %", "met"], rows)


def _cpu(title: str, rows: Mapping[str, Any], titles: Mapping[str, str]) -> str:
    head = [
        "",
        "CPU µs",
        "least",
        "added µs",
        "of stock",
        "of stock, by the least",
        "serving thread µs",
        "received",
    ]
    lines = []
    for name, row in rows.items():
        received = row["received"]
        counted = [
            f"{received[what]:.2f} {label}"
            for what, label in (("spans", "spans"), ("log_records", "logs"), ("traces", "traces"))
            if received.get(what)
        ]
        if received.get("bytes"):
            counted.append(f"{received['bytes']:.0f} B")
        line = [titles[name], _spread(row), f"{row['least']:.1f}", *_relative(row)]
        line += [_number(row.get("of_stock_least"), 3), f"{row['thread_us']:.1f}", ", ".join(counted)]
        lines.append(line)
    return _section(f"CPU per request: {title}", head, lines)


def _socketio(measures: Mapping[str, Any], titles: Mapping[str, str]) -> str:
    head = ["", "CPU µs", "least", "added µs", "times the bare", "of what stock adds to a request"]
    lines = []
    for what, rows in measures.items():
        for name, row in rows.items():
            added, share = _relative(row)
            ratio = _spread(row["of_bare"], 2) if "of_bare" in row else ""
            lines.append(
                [f"{what}, {titles[name]}", _spread(row), f"{row['least']:.1f}", added, ratio, share]
            )
    return _section(f"CPU per event: {EVENT.title}", head, lines)


def _http(title: str, measures: Mapping[str, Any], titles: Mapping[str, str]) -> str:
    head = ["", "time µs", "added µs", "p99 µs", "worker CPU µs", "added µs", "of stock"]
    lines = [
        [
            titles[name],
            _spread(measures["wall"][name]),
            _relative(measures["wall"][name])[0],
            _spread(measures["p99"][name], 0),
            _spread(row),
            *_relative(row),
        ]
        for name, row in measures["cpu"].items()
    ]
    return _section(f"Over HTTP, gunicorn with one gthread worker: {title}", head, lines)


def _start(measures: Mapping[str, Any], titles: Mapping[str, str]) -> str:
    head = ["", "CPU s", "added s", "of stock", "resident MiB", "added MiB", "of stock"]
    lines = []
    for name, row in measures["cpu_s"].items():
        memory = measures["rss_kib"][name]
        added, share = _relative(memory, scale=1024)
        lines.append(
            [titles[name], _spread(row, 2), *_relative(row, digits=2), _spread(memory, 1, 1024), added, share]
        )
    return _section("Start: until the app is imported", head, lines)


def _memory(measures: Mapping[str, Any], titles: Mapping[str, str]) -> str:
    total = next(iter(measures.values()))["rss_kib"][-1][0]
    head = ["", "MiB at start", "after a tenth", f"after {total:,}", "peak KiB of a request"]
    head += ["blocks per request until sent", "blocks kept per request"]
    lines = []
    for name, row in measures.items():
        points = row["rss_kib"]
        shown = (points[0], points[min(1, len(points) - 1)], points[-1])
        line = [titles[name], *(f"{kib / 1024:.1f}" for _, kib in shown), f"{row['peak_bytes'] / 1024:.1f}"]
        lines.append([*line, f"{row['blocks_until_sent']:.1f}", f"{row['blocks_after']:.2f}"])
    return _section("Memory over many requests, all signals", head, lines)


def _variants(variants: Mapping[str, Any]) -> str:
    lines = []
    for name, row in variants.items():
        own = [f"{package} {number}" for package, number in row["versions"].items()][
            len(environments.SHARED) :
        ]
        lines.append([row["title"], f"`{name}`", ", ".join(own), row["note"]])
    return _section("The variants", ["", "name", "version", "note"], lines)


def _section(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    table = [head, ["---", *(["---:"] * (len(head) - 1))], *rows]
    return f"## {title}\n\n" + "".join(f"| {' | '.join(row)} |\n" for row in table)


def _spread(row: Mapping[str, Any], digits: int = 1, scale: float = 1) -> str:
    low, middle, high = (f"{row[key] / scale:.{digits}f}" for key in ("p25", "median", "p75"))
    return f"{middle} ({low}-{high})"


def _relative(row: Mapping[str, Any], digits: int = 1, scale: float = 1) -> list[str]:
    """Give what is added, and its share of what stock adds, or blanks."""
    added = row.get("added")
    share = row.get("of_stock")
    return [_spread(added, digits, scale) if added else "", _spread(share, 2) if share else ""]


def _number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"
