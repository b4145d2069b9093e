"""Log analysis over Elasticsearch, Prometheus and local log files.

    from ada_otel.analysis import search_logs

    for entry in search_logs("level:ERROR AND message:timeout", start_time="2h"):
        print(entry.timestamp, entry.message, entry.trace_id)

Needs the ``analysis`` extra: ``pip install 'ada-otel[analysis]'``. Local files are read without it. The same
on the command line: ``ada-otel logs --help``.
"""

from __future__ import annotations

from ada_otel.analysis.analyzer import LogAnalyzer
from ada_otel.analysis.api import generate_dashboard_data, get_error_trends, search_logs
from ada_otel.analysis.connection import ClientSettings
from ada_otel.analysis.errors import (
    AnalysisError,
    ConnectionFailedError,
    MissingExtraError,
    NothingThereError,
    QueryError,
)
from ada_otel.analysis.files import FileAnalyzer
from ada_otel.analysis.model import (
    Dashboard,
    ErrorGroup,
    ErrorReport,
    ExceptionInfo,
    LogEntry,
    ResponseTime,
    SlowReport,
    SlowRoute,
    TrendPoint,
    Trends,
    TrendSeries,
)
from ada_otel.analysis.selection import Selection

__all__ = [
    "AnalysisError",
    "ClientSettings",
    "ConnectionFailedError",
    "Dashboard",
    "ErrorGroup",
    "ErrorReport",
    "ExceptionInfo",
    "FileAnalyzer",
    "LogAnalyzer",
    "LogEntry",
    "MissingExtraError",
    "NothingThereError",
    "QueryError",
    "ResponseTime",
    "Selection",
    "SlowReport",
    "SlowRoute",
    "TrendPoint",
    "TrendSeries",
    "Trends",
    "generate_dashboard_data",
    "get_error_trends",
    "search_logs",
]
