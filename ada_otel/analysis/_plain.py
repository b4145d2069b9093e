"""What commands print: JSON for machines, plain text for pipes; terminals get :mod:`._rich`."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any, Protocol, TextIO

from ada_otel.analysis.model import Dashboard, ErrorReport, LogEntry, ResponseTime, SlowReport, Trends
from ada_otel.analysis.times import format_time

#: What a terminal would obey, where it should be shown: a log line holds whatever a client has sent. The last
#: ones turn the direction of text, which hides what a line says, or cannot be written at all.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
MISSING = "missing"


class Output(Protocol):
    """How the answers of the commands are printed."""

    def entries(self, entries: Sequence[LogEntry], *, traceback: bool) -> None:
        """Print log lines, given in the order of time."""

    def stream(self, entries: Iterable[LogEntry], *, traceback: bool) -> None:
        """Print log lines as they come."""

    def trends(self, trends: Trends) -> None:
        """Print errors over time."""

    def errors(self, report: ErrorReport, *, traceback: bool) -> None:
        """Print groups of errors."""

    def slow(self, report: SlowReport) -> None:
        """Print slow routes."""

    def dashboard(self, dashboard: Dashboard) -> None:
        """Print the state of the app."""


def output(stream: TextIO, *, as_json: bool) -> Output:
    """The output that fits: JSON if asked for, pretty in a terminal, plain otherwise and without rich."""
    if as_json:
        return JsonOutput(stream)
    if stream.isatty():
        try:
            from ada_otel.analysis._rich import RichOutput
        except ImportError:
            return PlainOutput(stream)
        return RichOutput(stream)
    return PlainOutput(stream)


def clean(text: object) -> str:
    """``text`` without what a terminal would obey; tabs and line ends stay."""
    return _CONTROL.sub(lambda match: match[0].encode("unicode_escape").decode(), str(text))


def one_line(text: object) -> str:
    """``text`` on one line, cleaned."""
    return clean(str(text).replace("\n", "\\n").replace("\t", " "))


def local(moment: datetime) -> str:
    """A time in UTC, as tables show it."""
    return moment.strftime("%Y-%m-%d %H:%M:%S")


def seconds(value: float | None) -> str:
    """A duration with the unit that suits it."""
    if value is None:
        return MISSING
    if value < 1:
        return f"{value * 1000:.0f} ms" if value >= 0.01 else f"{value * 1000:.2g} ms"
    return f"{value:.2f} s"


def size(value: float | None) -> str:
    """A number of bytes with the unit that suits it."""
    if value is None:
        return MISSING
    return f"{value / 2**30:.2f} GiB" if value >= 2**30 else f"{value / 2**20:.1f} MiB"


def change(count: int, before: int) -> str:
    """How a count compares with the period before."""
    if not before:
        return "new" if count else "0"
    if count == before:
        return "same"
    return f"{count - before:+d} ({100 * (count - before) / before:+.0f}%)"


def exception_line(entry: LogEntry) -> str:
    """The message with the exception behind it, unless it has that already."""
    exception = entry.exception
    if exception is None or not exception.type or (exception.message and exception.message in entry.message):
        return entry.message
    return f"{entry.message} [{exception.type}{': ' + exception.message if exception.message else ''}]"


def figures(board: Dashboard) -> list[tuple[str, str, str]]:
    """The figures of a dashboard: name, value, and where it is from or why it is missing."""
    taken = board.response_time or ResponseTime(0)
    requests = taken.count if board.response_time else None
    source = board.response_source or ""
    rows: list[tuple[str, float | None, str, Callable[[Any], str], str]] = [
        ("errors", board.errors, "errors", lambda value: f"{value:,}", ""),
        ("requests", requests, "response_time", lambda value: f"{value:,}", source),
        ("response time, average", taken.average, "response_time", seconds, source),
        ("response time, p50", taken.p50, "response_time", seconds, source),
        ("response time, p95", taken.p95, "response_time", seconds, source),
        ("response time, p99", taken.p99, "response_time", seconds, source),
        ("CPU", board.cpu_percent, "cpu_percent", lambda value: f"{value:.1f} % of a core", "prometheus"),
        ("memory", board.memory_bytes, "memory_bytes", size, "prometheus"),
        (
            "active connections",
            board.active_connections,
            "active_connections",
            lambda v: f"{v:,.0f}",
            "prometheus",
        ),
        ("active requests", board.active_requests, "active_requests", lambda v: f"{v:,.0f}", "prometheus"),
    ]
    return [
        (name, MISSING, board.missing.get(key, "")) if value is None else (name, show(value), origin)
        for name, value, key, show, origin in rows
    ]


class JsonOutput:
    """One JSON document per answer; one line per log line."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def entries(self, entries: Sequence[LogEntry], *, traceback: bool) -> None:
        """Print one object per line."""
        for entry in entries:
            self._write(entry.as_dict())

    def stream(self, entries: Iterable[LogEntry], *, traceback: bool) -> None:
        """Print each object at once."""
        for entry in entries:
            self._write(entry.as_dict())
            self._stream.flush()

    def trends(self, trends: Trends) -> None:
        """Print one object."""
        self._write(trends.as_dict(), indent=2)

    def errors(self, report: ErrorReport, *, traceback: bool) -> None:
        """Print one object."""
        self._write(report.as_dict(), indent=2)

    def slow(self, report: SlowReport) -> None:
        """Print one object."""
        self._write(report.as_dict(), indent=2)

    def dashboard(self, dashboard: Dashboard) -> None:
        """Print one object."""
        self._write(dashboard.as_dict(), indent=2)

    def _write(self, found: Any, indent: int | None = None) -> None:
        text = json.dumps(found, ensure_ascii=False, indent=indent, default=str)
        # JSON itself escapes those below 0x20 alone. A lone surrogate could not be written at all.
        text = re.sub(
            "[\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", lambda m: f"\\u{ord(m[0]):04x}", text
        )
        self._stream.write(text + "\n")


class PlainOutput:
    """Text without colours and frames, one record per line, for ``grep`` and files."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def entries(self, entries: Sequence[LogEntry], *, traceback: bool) -> None:
        """Print time, level, logger and message of each line."""
        for entry in entries:
            self._entry(entry, traceback=traceback)

    def stream(self, entries: Iterable[LogEntry], *, traceback: bool) -> None:
        """Print each line at once."""
        for entry in entries:
            self._entry(entry, traceback=traceback)
            self._stream.flush()

    def trends(self, trends: Trends) -> None:
        """Print one row per interval, with one column per series."""
        names = [one_line(one.name) for one in trends.series]
        self._row("time", "errors", *names)
        for at, point in enumerate(trends.points):
            self._row(format_time(point.time), point.count, *(one.points[at].count for one in trends.series))
        self._row("total", trends.total, *(one.total for one in trends.series))

    def errors(self, report: ErrorReport, *, traceback: bool) -> None:
        """Print one row per group."""
        self._row("count", "change", "first seen", "last seen", "type", "logger", "message")
        for group in report.groups:
            times = format_time(group.first_seen), format_time(group.last_seen)
            self._row(
                group.count,
                change(group.count, group.before),
                *times,
                group.type or "-",
                group.logger or "-",
                group.pattern,
            )
            if traceback and group.sample:
                self._traceback(group.sample)

    def slow(self, report: SlowReport) -> None:
        """Print one row per route."""
        self._row(
            "requests",
            "average",
            "p50",
            "p95",
            "p99",
            "slowest",
            "errors",
            "method",
            "route",
            "slowest trace",
        )
        for route in report.routes:
            took = route.time
            shown = map(seconds, (took.average, took.p50, took.p95, took.p99, took.maximum))
            self._row(took.count, *shown, route.errors, route.method, route.route, route.slowest_trace or "-")

    def dashboard(self, dashboard: Dashboard) -> None:
        """Print one row per figure, and the recent errors."""
        for row in figures(dashboard):
            self._row(*row)
        for entry in dashboard.recent_errors:
            self._entry(entry, traceback=False)

    def _entry(self, entry: LogEntry, *, traceback: bool) -> None:
        self._row(format_time(entry.timestamp), entry.level, entry.logger or "-", exception_line(entry))
        if traceback:
            self._traceback(entry)

    def _traceback(self, entry: LogEntry) -> None:
        if entry.exception and entry.exception.traceback:
            for line in entry.exception.traceback.rstrip().splitlines():
                self._write(f"    {clean(line)}\n")

    def _row(self, *cells: object) -> None:
        self._write("\t".join(map(one_line, cells)) + "\n")

    def _write(self, text: str) -> None:
        self._stream.write(writable(text, self._stream))


def writable(text: str, stream: TextIO) -> str:
    """``text`` with what the stream's encoding lacks replaced, lone surrogates among them."""
    encoding = stream.encoding or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)
