"""What analyses answer: typed, and as plain dictionaries for JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import PurePath
from typing import Any

from ada_otel.analysis import _fields
from ada_otel.analysis.levels import LEVELS
from ada_otel.analysis.times import format_time

__all__ = [
    "Dashboard",
    "ErrorGroup",
    "ErrorReport",
    "ExceptionInfo",
    "LogEntry",
    "ResponseTime",
    "SlowReport",
    "SlowRoute",
    "TrendPoint",
    "TrendSeries",
    "Trends",
]

_SHOWN_APART = frozenset(
    name.removeprefix("attributes.")
    for name in (
        _fields.USER,
        _fields.REQUEST,
        _fields.MODULE,
        _fields.FUNCTION,
        _fields.LINE,
        _fields.EXCEPTION_TYPE,
        _fields.EXCEPTION_MESSAGE,
        _fields.EXCEPTION_STACK,
    )
)


@dataclass(frozen=True)
class ExceptionInfo:
    """The exception of a log line."""

    type: str | None = None
    message: str | None = None
    traceback: str | None = None


@dataclass(frozen=True)
class LogEntry:
    """One log line.

    Attributes:
        timestamp: When it was logged, in UTC.
        level: The standard library's name: DEBUG, INFO, WARNING, ERROR, CRITICAL.
        logger: The logger's name.
        message: The formatted message.
        service: ``service.name`` of the app.
        trace_id: 32 hexadecimal digits, if it was logged within a trace.
        span_id: 16 hexadecimal digits.
        attributes: All attributes of the line, by their OpenTelemetry names.
        resource: The attributes of the process that logged it.
        id: What tells two equal lines apart; no part of the content.
    """

    timestamp: datetime
    level: str
    message: str
    logger: str | None = None
    service: str | None = None
    trace_id: str | None = None
    span_id: str | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)
    resource: Mapping[str, Any] = field(default_factory=dict)
    id: str = field(default="", compare=False)

    @property
    def exception(self) -> ExceptionInfo | None:
        """The exception, if the line has one."""
        parts = [self.get(name) for name in (_fields.EXCEPTION_TYPE, *_fields.TEXTS[1:])]
        if all(part is None for part in parts):
            return None
        return ExceptionInfo(*(None if part is None else str(part) for part in parts))

    @property
    def user_id(self) -> Any:
        """The user, as the app calls it."""
        return self.get(_fields.USER)

    @property
    def request_id(self) -> Any:
        """The request within which it was logged."""
        return self.get(_fields.REQUEST)

    @property
    def module(self) -> str | None:
        """The module's file, without folder and suffix."""
        named = self.attributes.get("module")
        if named is not None:
            return str(named)
        file = self.get(_fields.FILE)
        return PurePath(str(file)).stem if file else None

    def get(self, path: str) -> Any:
        """The value of a field by its path in the documents, such as ``attributes.user_id``, or ``None``."""
        if path.startswith("attributes."):
            name = path[len("attributes.") :]
            return self.module if name == "module" else self.attributes.get(name)
        if path == _fields.SERVICE:
            return self.service
        if path.startswith("resource.attributes."):
            return self.resource.get(path[len("resource.attributes.") :])
        return {
            _fields.MESSAGE: self.message,
            _fields.LEVEL: self.level,
            _fields.NUMBER: LEVELS.get(self.level),
            _fields.LOGGER: self.logger,
            _fields.TRACE: self.trace_id,
            _fields.SPAN: self.span_id,
            _fields.TIME: self.timestamp,
            "event_name": self.attributes.get("event_name"),
        }.get(path)

    def as_dict(self) -> dict[str, Any]:
        """The fields under their names in the local log files; those without a value are left out."""
        exception = self.exception
        found: dict[str, Any] = {
            "timestamp": format_time(self.timestamp),
            "level": self.level,
            "logger": self.logger,
            "message": self.message,
            "service": self.service,
            "module": self.module,
            "function": self.get(_fields.FUNCTION),
            "line": self.get(_fields.LINE),
            "exception": vars(exception) if exception else None,
            "user_id": self.user_id,
            "request_id": self.request_id,
            "trace_id": self.trace_id,
            "span_id": self.span_id,
            "attributes": {
                name: self.attributes[name] for name in sorted(self.attributes) if name not in _SHOWN_APART
            },
        }
        return {name: value for name, value in found.items() if value not in (None, {})}


@dataclass(frozen=True)
class TrendPoint:
    """The count of one interval; ``time`` is its begin."""

    time: datetime
    count: int


@dataclass(frozen=True)
class TrendSeries:
    """The counts of one value of the field by which errors are split.

    Attributes:
        name: The value; ``(none)`` for lines without the field, ``(other)`` for those past the first ten.
        total: All its errors.
        points: One for each interval, also where nothing came.
    """

    name: str
    total: int
    points: tuple[TrendPoint, ...]


@dataclass(frozen=True)
class Trends:
    """Errors over time.

    Attributes:
        start: The begin of the window.
        end: Its end, not included.
        interval: The length of an interval, in seconds. They begin at multiples of it since 1970, so that the
            first and the last one may be cut by the window.
        by: The field by which the errors are split.
        total: All errors of the window.
        points: All errors, by interval.
        series: The same, split; the largest first.
        approximate: Elasticsearch could not promise the exact counts of ``series``.
    """

    start: datetime
    end: datetime
    interval: float
    by: str | None
    total: int
    points: tuple[TrendPoint, ...]
    series: tuple[TrendSeries, ...] = ()
    approximate: bool = False

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "start": format_time(self.start),
            "end": format_time(self.end),
            "interval_seconds": self.interval,
            "by": self.by,
            "total": self.total,
            "points": _points(self.points),
            "series": [
                {"name": one.name, "total": one.total, "points": _points(one.points)} for one in self.series
            ],
            "approximate": self.approximate,
        }


@dataclass(frozen=True)
class ErrorGroup:
    """Errors that differ in numbers, ids and quoted values alone.

    Attributes:
        type: The exception's class; ``None`` for a line without an exception.
        logger: The logger.
        pattern: The message, with what varies replaced by ``<…>``.
        count: How many there were in the period.
        before: How many there were in the period of the same length before it.
        first_seen: The first one in the period.
        last_seen: The last one in the period.
        sample: The last one.
    """

    type: str | None
    logger: str | None
    pattern: str
    count: int
    before: int
    first_seen: datetime
    last_seen: datetime
    sample: LogEntry | None

    @property
    def change(self) -> int:
        """How many more than in the period before."""
        return self.count - self.before

    @property
    def change_percent(self) -> float | None:
        """The change in percent of the period before; ``None`` if there was none then."""
        return 100.0 * self.change / self.before if self.before else None

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "type": self.type,
            "logger": self.logger,
            "pattern": self.pattern,
            "count": self.count,
            "before": self.before,
            "change": self.change,
            "change_percent": self.change_percent,
            "new": self.before == 0,
            "first_seen": format_time(self.first_seen),
            "last_seen": format_time(self.last_seen),
            "sample": self.sample.as_dict() if self.sample else None,
        }


@dataclass(frozen=True)
class ErrorReport:
    """Groups of errors, the largest first.

    Attributes:
        start: The begin of the period.
        end: Its end, not included.
        total: All errors of the period.
        before: All errors of the period before.
        groups: The largest groups.
        group_count: How many groups there are.
        complete: All errors were grouped. Otherwise there were more different messages than are read.
    """

    start: datetime
    end: datetime
    total: int
    before: int
    groups: tuple[ErrorGroup, ...]
    group_count: int
    complete: bool = True

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "start": format_time(self.start),
            "end": format_time(self.end),
            "total": self.total,
            "before": self.before,
            "group_count": self.group_count,
            "complete": self.complete,
            "groups": [group.as_dict() for group in self.groups],
        }


@dataclass(frozen=True)
class ResponseTime:
    """How long requests took, in seconds; ``None`` where nothing is known."""

    count: int
    average: float | None = None
    p50: float | None = None
    p95: float | None = None
    p99: float | None = None
    maximum: float | None = None


@dataclass(frozen=True)
class SlowRoute:
    """The requests of one route.

    Attributes:
        method: The request method.
        route: The route as the app declares it; ``(unmatched)`` where none matched.
        time: How long they took.
        errors: How many ended with status 500 or above.
        slowest_trace: The trace of the slowest request.
    """

    method: str
    route: str
    time: ResponseTime
    errors: int
    slowest_trace: str | None

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**vars(self), "time": vars(self.time)}


@dataclass(frozen=True)
class SlowReport:
    """Routes, the one with the highest 95th percentile first."""

    start: datetime
    end: datetime
    routes: tuple[SlowRoute, ...]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "start": format_time(self.start),
            "end": format_time(self.end),
            "routes": [route.as_dict() for route in self.routes],
        }


@dataclass(frozen=True)
class Dashboard:
    """The state of the app.

    Attributes:
        start: The begin of the period.
        end: Its end.
        errors: Errors in the period; ``None`` if nobody could be asked.
        recent_errors: The last ones, the newest first.
        response_time: Of the requests in the period.
        response_source: Who counted them: ``prometheus``, ``elasticsearch`` or ``files``.
        cpu_percent: Of the app's processes, in percent of one core each, added up.
        memory_bytes: Resident memory of the app's processes, added up.
        active_connections: Open Socket.IO connections.
        active_requests: Requests that are being answered now.
        missing: What is not known, and why, by name. It is never shown as 0.
    """

    start: datetime
    end: datetime
    errors: int | None = None
    recent_errors: tuple[LogEntry, ...] = ()
    response_time: ResponseTime | None = None
    response_source: str | None = None
    cpu_percent: float | None = None
    memory_bytes: float | None = None
    active_connections: float | None = None
    active_requests: float | None = None
    missing: Mapping[str, str] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """For JSON; what is missing is null."""
        return {
            **vars(self),
            "start": format_time(self.start),
            "end": format_time(self.end),
            "recent_errors": [entry.as_dict() for entry in self.recent_errors],
            "response_time": vars(self.response_time) if self.response_time else None,
            "missing": dict(self.missing),
        }


def _points(points: tuple[TrendPoint, ...]) -> list[dict[str, Any]]:
    return [{"time": format_time(point.time), "count": point.count} for point in points]
