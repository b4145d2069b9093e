"""The same analyses over local JSON log files, for a machine without Elasticsearch."""

from __future__ import annotations

import heapq
import math
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from ada_otel.analysis import _aggregations, _fields, _match
from ada_otel.analysis._dashboard import DashboardParts
from ada_otel.analysis._grouping import Key, Tally, key_of, largest
from ada_otel.analysis._lines import LineReader, Tail, expand
from ada_otel.analysis.connection import ClientSettings
from ada_otel.analysis.errors import NothingThereError, QueryError
from ada_otel.analysis.model import (
    Dashboard,
    ErrorGroup,
    ErrorReport,
    LogEntry,
    ResponseTime,
    SlowReport,
    SlowRoute,
    Trends,
)
from ada_otel.analysis.selection import Selection, now
from ada_otel.analysis.times import from_milliseconds, milliseconds

__all__ = ["FileAnalyzer"]

_DAY = timedelta(days=1)
#: Where a "Request completed" line may have its parts, with the factor that makes seconds of a duration.
_DURATIONS = (
    ("duration_seconds", 1.0),
    ("duration_s", 1.0),
    ("http.server.request.duration", 1.0),
    ("duration_ms", 0.001),
    ("duration", 1.0),
)
_METHODS = ("http.request.method", "method")
_ROUTES = ("http.route", "route")
_STATUSES = ("http.response.status_code", "status_code", "status")


class FileAnalyzer:
    """Reads local JSON log lines; answers as :class:`ada_otel.analysis.LogAnalyzer` does for the same lines.

    Args:
        patterns: Files, or glob patterns such as ``logs/ada_app.log*``; ``.gz`` is unpacked.
        settings: How to reach Prometheus, for the dashboard.

    Raises:
        NothingThereError: A pattern has no file.
    """

    def __init__(self, patterns: Sequence[str], settings: ClientSettings | None = None) -> None:
        self._patterns = list(patterns)
        self._settings = settings or ClientSettings.from_environment()
        self._reader = LineReader()
        expand(self._patterns)

    @property
    def skipped(self) -> int:
        """How many lines of the last reading were no log lines."""
        return self._reader.skipped

    def search(self, selection: Selection, size: int = 1000) -> list[LogEntry]:
        """The newest lines of a selection, the newest first.

        Raises:
            AnalysisError: It could not be done; says why and what to do.
        """
        if size < 0:
            raise QueryError(f"size: {size} is negative; write how many lines you want")
        ordered = (
            (milliseconds(entry.timestamp), at, entry) for at, entry in enumerate(self._read(selection))
        )
        return [entry for _, _, entry in heapq.nlargest(size, ordered, key=lambda found: found[:2])]

    def count(self, selection: Selection) -> int:
        """How many lines a selection has.

        Raises:
            AnalysisError: It could not be done; says why and what to do.
        """
        return sum(1 for _ in self._read(selection))

    def trends(self, selection: Selection, interval: timedelta, by: str | None = None) -> Trends:
        """How many lines of a selection came in each interval; see :meth:`LogAnalyzer.trends`.

        Raises:
            AnalysisError: It could not be done; says why and what to do.
        """
        selection, start, end = selection.bounded(_DAY)
        _aggregations.check_intervals(start, end, interval)
        _aggregations.check_split(by)
        path = None if by is None else _fields.path(by)
        length = interval // timedelta(milliseconds=1)
        everything: Counter[int] = Counter()
        by_value: dict[str, Counter[int]] = {}
        for entry in self._read(selection):
            begin = milliseconds(entry.timestamp) // length * length
            everything[begin] += 1
            if path is not None:
                by_value.setdefault(_name(entry.get(path), path), Counter())[begin] += 1
        return _aggregations.make_trends(everything, by_value, start, end, interval, by)

    def errors(self, selection: Selection, size: int = 20) -> ErrorReport:
        """Errors in groups, with the change against the period before; see :meth:`LogAnalyzer.errors`.

        Raises:
            AnalysisError: It could not be done; says why and what to do.
        """
        selection, start, end = replace(selection, level=selection.level or "error").bounded(_DAY)
        tallies: dict[Key, Tally] = {}
        samples: dict[Key, LogEntry] = {}
        border = milliseconds(start)
        for entry in self._read(replace(selection, start=start - (end - start))):
            exception = entry.get(_fields.EXCEPTION_TYPE)
            key = key_of(None if exception is None else str(exception), entry.logger, entry.message)
            tally, at = tallies.setdefault(key, Tally()), milliseconds(entry.timestamp)
            if at < border:
                tally.before += 1
                continue
            tally.add(1, 0, at, at, entry.message)
            if tally.last == at:
                samples[key] = entry
        groups = tuple(
            ErrorGroup(
                key.type,
                key.logger,
                key.pattern,
                tally.count,
                tally.before,
                from_milliseconds(tally.first),
                from_milliseconds(tally.last),
                samples[key],
            )
            for key, tally in largest(tallies, size)
        )
        total, before = sum(t.count for t in tallies.values()), sum(t.before for t in tallies.values())
        return ErrorReport(start, end, total, before, groups, len(largest(tallies, len(tallies))))

    def slow(
        self,
        start: datetime | None = None,
        end: datetime | None = None,
        size: int = 20,
        service: str | None = None,
    ) -> SlowReport:
        """The slowest routes, from the "Request completed" lines.

        Raises:
            NothingThereError: There are no such lines.
            AnalysisError: It could not be done; says why and what to do.
        """
        selection, start, end = Selection(start=start, end=end, service=service).bounded(_DAY)
        found: dict[tuple[str, str], list[tuple[float, bool, str | None]]] = {}
        for entry in self._read(selection):
            seconds = _seconds(entry)
            if seconds is None:
                continue
            key = str(_first(entry, _METHODS) or ""), str(_first(entry, _ROUTES) or _aggregations.UNMATCHED)
            status = _first(entry, _STATUSES)
            failed = isinstance(status, int) and status >= 500
            found.setdefault(key, []).append((seconds, failed, entry.trace_id))
        if not found:
            raise NothingThereError(
                "--file: these files have no lines of completed requests with a duration in this period; "
                "widen --since, or turn the request log on"
            )
        routes = [
            SlowRoute(
                *key,
                summary([seconds for seconds, _, _ in rows]),
                sum(failed for _, failed, _ in rows),
                max(rows, key=lambda row: row[0])[2],
            )
            for key, rows in found.items()
        ]
        routes.sort(key=lambda route: -(route.time.p95 or 0))
        return SlowReport(start, end, tuple(routes[:size]))

    def response_time(self, selection: Selection) -> ResponseTime | None:
        """How long the requests of a window took; ``None`` if no line says so.

        Raises:
            AnalysisError: It could not be done; says why and what to do.
        """
        durations = [seconds for entry in self._read(selection) if (seconds := _seconds(entry)) is not None]
        return summary(durations) if durations else None

    def dashboard(
        self, start: datetime | None = None, end: datetime | None = None, service: str | None = None
    ) -> Dashboard:
        """The state of the app, from the files and Prometheus; see :meth:`LogAnalyzer.dashboard`.

        Raises:
            AnalysisError: Nothing at all could be had; says why and what to do.
        """
        selection, _, _ = Selection(start=start, end=end, service=service).bounded(timedelta(hours=1))
        return DashboardParts(self._settings, selection, "files").collect(self)

    def follow(
        self,
        selection: Selection,
        size: int = 10,
        poll: float = 1.0,
        on_trouble: Callable[[str], None] = lambda _message: None,
    ) -> Iterator[LogEntry]:
        """The newest lines, the oldest first, and then each new one as it is written, without end.

        Raises:
            AnalysisError: A file cannot be read.
        """
        selection = replace(selection, end=None)
        tail = Tail(self._patterns, self._reader)
        test = _match.of_selection(selection, now())
        yield from reversed(self.search(selection, size))
        while True:
            time.sleep(poll)
            yield from filter(test, tail.fresh())

    def close(self) -> None:
        """There is nothing to close."""

    def _read(self, selection: Selection) -> Iterator[LogEntry]:
        test = _match.of_selection(selection, now())
        return filter(test, self._reader.read(expand(self._patterns)))


def summary(durations: list[float]) -> ResponseTime:
    """Count, average, percentiles and maximum; percentiles lie between the two nearest values."""
    ordered = sorted(durations)

    def percentile(part: float) -> float:
        at = part * (len(ordered) - 1)
        low, high = ordered[math.floor(at)], ordered[math.ceil(at)]
        return low + (high - low) * (at - math.floor(at))

    return ResponseTime(
        len(ordered),
        average=sum(ordered) / len(ordered),
        p50=percentile(0.5),
        p95=percentile(0.95),
        p99=percentile(0.99),
        maximum=ordered[-1],
    )


def _seconds(entry: LogEntry) -> float | None:
    if _first(entry, _STATUSES) is None:
        return None
    for name, factor in _DURATIONS:
        value = entry.attributes.get(name)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return value * factor
    return None


def _first(entry: LogEntry, names: tuple[str, ...]) -> object:
    return next((entry.attributes[name] for name in names if name in entry.attributes), None)


def _name(value: object, path: str) -> str:
    too_long = path in _fields.TEXTS and isinstance(value, str) and len(value) > _fields.LONGEST_KEYWORD
    if value is None or too_long:
        return _aggregations.NONE
    return str(value).lower() if isinstance(value, bool) else str(value)
