"""The table of our own settings: one row each, in the order of the documentation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from ada_otel.settings._parsers import boolean, count, level, seconds

T = TypeVar("T")


@dataclass(frozen=True)
class Setting:
    """One row of the table.

    Attributes:
        env: The environment variable.
        default: What holds without it, as one would write it there.
        parse: Turns the text into the value; raises ``ValueError`` with what would be right.
        meaning: One or two sentences for the documentation, with the unit.
    """

    env: str
    default: str
    parse: Callable[[str], Any]
    meaning: str


def _setting(env: str, default: str, parse: Callable[[str], T], meaning: str) -> T:
    row = Setting(env, default, parse, meaning)
    return field(default_factory=lambda: parse(default), metadata={"setting": row})


@dataclass(frozen=True)
class Settings:
    """The values in force. Read them with :func:`load`."""

    fast_path: bool = _setting(
        "ADA_OTEL_FAST_PATH",
        "true",
        boolean,
        "Use ada-otel's own recording pipeline. "
        "`false` is the stock SDK and the stock instrumentations, end to end.",
    )
    exit_timeout: float = _setting(
        "ADA_OTEL_EXIT_TIMEOUT",
        "3",
        seconds,
        "The most seconds that the end of the process may take to send what is left, all signals together.",
    )
    cardinality_limit: int = _setting(
        "ADA_OTEL_METRIC_CARDINALITY_LIMIT",
        "2000",
        count(1, 1_000_000),
        "The most attribute sets per metric; past it, points go to the one set `otel.metric.overflow=true`.",
    )
    queue_max_bytes: int = _setting(
        "ADA_OTEL_QUEUE_MAX_BYTES",
        "33554432",
        count(65_536, 1 << 34),
        "The most memory, in bytes, estimated, that spans or log records waiting to be sent may take, each.",
    )
    spool_folder: str = _setting(
        "ADA_OTEL_SPOOL_FOLDER",
        "",
        str,
        "A folder for what cannot be sent while the collector is away. Without it, memory alone holds it.",
    )
    spool_max_bytes: int = _setting(
        "ADA_OTEL_SPOOL_MAX_BYTES",
        "67108864",
        count(65_536, 1 << 40),
        "The most bytes that each signal may take in the spool folder; the oldest go first.",
    )
    spool_fsync: bool = _setting(
        "ADA_OTEL_SPOOL_FSYNC",
        "false",
        boolean,
        "Put each spooled file on the disk at once, for machines that lose power.",
    )
    log_level: str = _setting(
        "ADA_OTEL_LOG_LEVEL",
        "INFO",
        level,
        "The lowest level of log line that is sent. "
        "The root logger is lowered to it when the app left it at its default.",
    )
    logs: bool = _setting(
        "ADA_OTEL_LOGS",
        "true",
        boolean,
        "Send what the app logs through the standard library's `logging` as OTLP log records.",
    )
    startup_check: bool = _setting(
        "ADA_OTEL_STARTUP_CHECK",
        "true",
        boolean,
        "At start, in the background, try the collector's address once, "
        "and warn, by name, when nothing answers there.",
    )
