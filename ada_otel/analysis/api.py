"""The analyses as plain functions, with the connection from the environment."""

from __future__ import annotations

from datetime import datetime, timedelta

from ada_otel.analysis.analyzer import LogAnalyzer
from ada_otel.analysis.model import Dashboard, LogEntry, Trends
from ada_otel.analysis.selection import Selection, now
from ada_otel.analysis.times import parse_length

__all__ = ["generate_dashboard_data", "get_error_trends", "search_logs"]


def search_logs(
    query: str,
    start_time: str | datetime | None = None,
    end_time: str | datetime | None = None,
    size: int = 1000,
) -> list[LogEntry]:
    """The newest log lines that a query finds, the newest first.

    Args:
        query: In the query language, such as ``level:ERROR AND message:timeout``; empty for all.
        start_time: The begin of the window: a time, ``2h`` ago, ``2026-11-23T10:00:00Z``; none by default.
        end_time: Its end, not included; now by default.
        size: How many lines at most; more than 10,000 are read in pages.

    Raises:
        AnalysisError: It could not be done; says why and what to do.
    """
    selection = Selection.of(query, start_time, end_time)
    with LogAnalyzer() as analyzer:
        return analyzer.search(selection, size)


def get_error_trends(hours: float = 24, interval: str = "1h", by: str | None = None) -> Trends:
    """How many errors came in each interval of the last hours.

    Args:
        hours: How far back.
        interval: The length of an interval: ``1h``, ``15m``.
        by: Split them by a field, such as ``exception.type``, ``logger`` or ``service``.

    Raises:
        AnalysisError: It could not be done; says why and what to do.
    """
    end = now()
    selection = Selection(start=end - parse_length(f"{hours:f}h", "hours"), end=end, level="error")
    with LogAnalyzer() as analyzer:
        return analyzer.trends(selection, parse_length(interval, "interval"), by)


def generate_dashboard_data(window: timedelta = timedelta(hours=1), service: str | None = None) -> Dashboard:
    """The state of the app: recent errors, response times, CPU, memory and connections.

    Args:
        window: Over which errors and response times are counted, up to now.
        service: ``service.name`` of the app; all apps by default.

    Raises:
        AnalysisError: Nothing at all could be had; says why and what to do.
    """
    end = now()
    with LogAnalyzer() as analyzer:
        return analyzer.dashboard(end - window, end, service)
