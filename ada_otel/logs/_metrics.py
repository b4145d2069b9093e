"""Counts lines by severity, and exceptions by type and route."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

from opentelemetry.metrics import get_meter
from opentelemetry.trace import SpanContext

from ada_otel import catalogue
from ada_otel.logs._line import Line
from ada_otel.pipeline.metrics import BoundCounter, bind, tally

__all__ = ["Counts"]

#: More pairs of type and route than this are counted without a handle of their own.
_MOST_HANDLES = 512

_RANGES = (
    (logging.CRITICAL, "FATAL"),
    (logging.ERROR, "ERROR"),
    (logging.WARNING, "WARN"),
    (logging.INFO, "INFO"),
    (logging.DEBUG, "DEBUG"),
)


class _ByLevel(dict[int, BoundCounter]):
    """What counts the lines of a level."""

    __slots__ = ("_records",)

    def __init__(self, records: Any) -> None:
        self._records = records

    def __missing__(self, level: int) -> BoundCounter:
        handle: BoundCounter = bind(self._records, {"ada.log.severity": severity_range(level)})
        if len(self) < _MOST_HANDLES:
            self[level] = handle
        return handle


class _Ones(dict[int, "Iterator[int]"]):
    """What counts the lines of a level by ``next()``; one for each severity."""

    __slots__ = ("_by_level", "_by_severity")

    def __init__(self, by_level: _ByLevel) -> None:
        self._by_level = by_level
        self._by_severity: dict[str, Iterator[int]] = {}

    def __missing__(self, level: int) -> Iterator[int]:
        severity = severity_range(level)
        found = self._by_severity.get(severity)
        if found is None:
            found = self._by_severity[severity] = tally(self._by_level[level])
        if len(self) < _MOST_HANDLES:
            self[level] = found
        return found


class Counts:
    """The metrics ``ada.log.records`` and ``ada.exceptions``.

    Attributes:
        by_level: What counts the lines of a level.
        ones: The same for a line that needs no trace as its exemplar, as it is no error: by ``next()``.
    """

    def __init__(self) -> None:
        meter = get_meter("ada_otel.logs")
        self._exceptions = catalogue.create(meter, catalogue.metric("ada.exceptions"))
        self.by_level = _ByLevel(catalogue.create(meter, catalogue.metric("ada.log.records")))
        self.ones = _Ones(self.by_level)
        self._by_exception: dict[tuple[str, str | None], BoundCounter] = {}

    def count(self, line: Line) -> None:
        """Count a line, and its exception if it has one."""
        self.count_one(line.level, line.span_context)
        if "exception.type" in line.attributes:
            self._count_exception(line)

    def count_one(self, level: int, span_context: SpanContext | None) -> None:
        """Count a line of a level, with its trace as the exemplar of an error."""
        if level >= logging.ERROR:
            self.by_level[level].add(1, None, span_context)
        else:
            next(self.ones[level])

    def _count_exception(self, line: Line) -> None:
        kind, route = line.attributes["exception.type"], line.attributes.get("http.route")
        handle = self._by_exception.get((kind, route))
        if handle is None:
            attributes: dict[str, Any] = {"exception.type": kind}
            if route is not None:
                attributes["http.route"] = route
            if len(self._by_exception) >= _MOST_HANDLES:
                self._exceptions.add(1, attributes)
                return
            handle = self._by_exception[kind, route] = bind(self._exceptions, attributes)
        handle.add(1, None, line.span_context)


def severity_range(level: int) -> str:
    """The name of OpenTelemetry's severity range of a stdlib level."""
    return next((name for lowest, name in _RANGES if level >= lowest), "TRACE")
