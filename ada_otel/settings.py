"""Every setting of ada-otel, in one typed table: environment name, default, meaning.

The documentation page and the start-up checks are made from this table. A bad value never stops the app:
the default is taken, and one warning says which variable was wrong and what would be right.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar, cast

from ada_otel._diagnostics import report

T = TypeVar("T")

_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off"})
_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


def _boolean(text: str) -> bool:
    """Parse ``true`` or ``false`` in any of their usual spellings."""
    word = text.strip().lower()
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise ValueError("true or false")


def _level(text: str) -> str:
    """Parse the name of a stdlib logging level."""
    word = text.strip().upper()
    if word == "WARN":
        word = "WARNING"
    if word not in _LEVELS:
        raise ValueError("one of " + ", ".join(_LEVELS))
    return word


def _seconds(text: str) -> float:
    """Parse a length of time in seconds, from 0 to one hour."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 3600:
        raise ValueError("a number of seconds from 0 to 3600")
    return value


def _count(low: int, high: int) -> Callable[[str], int]:
    """Make a parser for a whole number within bounds."""

    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = low - 1
        if not low <= value <= high:
            raise ValueError(f"a whole number from {low} to {high}")
        return value

    return parse


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
        _boolean,
        "Use ada-otel's own recording pipeline. "
        "`false` is the stock SDK and the stock instrumentations, end to end.",
    )
    exit_timeout: float = _setting(
        "ADA_OTEL_EXIT_TIMEOUT",
        "3",
        _seconds,
        "The most seconds that the end of the process may take to send what is left, all signals together.",
    )
    cardinality_limit: int = _setting(
        "ADA_OTEL_METRIC_CARDINALITY_LIMIT",
        "2000",
        _count(1, 1_000_000),
        "The most attribute sets per metric; past it, points go to the one set `otel.metric.overflow=true`.",
    )
    queue_max_bytes: int = _setting(
        "ADA_OTEL_QUEUE_MAX_BYTES",
        "33554432",
        _count(65_536, 1 << 34),
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
        _count(65_536, 1 << 40),
        "The most bytes that each signal may take in the spool folder; the oldest go first.",
    )
    spool_fsync: bool = _setting(
        "ADA_OTEL_SPOOL_FSYNC",
        "false",
        _boolean,
        "Put each spooled file on the disk at once, for machines that lose power.",
    )
    log_level: str = _setting(
        "ADA_OTEL_LOG_LEVEL",
        "INFO",
        _level,
        "The lowest level of log line that is sent. "
        "The root logger is lowered to it when the app left it at its default.",
    )
    logs: bool = _setting(
        "ADA_OTEL_LOGS",
        "true",
        _boolean,
        "Send what the app logs through the standard library's `logging` as OTLP log records.",
    )
    startup_check: bool = _setting(
        "ADA_OTEL_STARTUP_CHECK",
        "true",
        _boolean,
        "At start, in the background, try the collector's address once, "
        "and warn, by name, when nothing answers there.",
    )


def rows() -> tuple[Setting, ...]:
    """The table itself, in the order of the documentation."""
    return tuple(cast("Setting", f.metadata["setting"]) for f in fields(Settings))


def load(environ: Mapping[str, str] | None = None) -> Settings:
    """Read the settings; a bad or empty value falls back to its default, with one warning.

    Args:
        environ: Where to read; ``os.environ`` by default.
    """
    source = os.environ if environ is None else environ
    values: dict[str, Any] = {}
    for item in fields(Settings):
        row = cast("Setting", item.metadata["setting"])
        text = source.get(row.env, "").strip()
        if not text:
            continue
        try:
            values[item.name] = row.parse(text)
        except ValueError as wanted:
            report(
                f"setting:{row.env}",
                f"{row.env} is {text!r}, which is not {wanted}; the default {row.default!r} is used.",
            )
    return Settings(**values)


def apply_defaults(environ: MutableMapping[str, str] | None = None) -> None:
    """Give the ``OTEL_*`` variables that are not set the defaults of this distribution.

    A variable that the user has set is never changed, except one that the SDK could not start with:
    that one is replaced by its default, with one warning.
    """
    target = os.environ if environ is None else environ
    for name, value in _OTEL_DEFAULTS.items():
        if not target.get(name, "").strip():
            target[name] = value
    for name in _PROTOCOL_VARIABLES:
        _mend(target, name, ("http/protobuf", "grpc"), "http/protobuf")
    for name in _ENDPOINT_VARIABLES:
        _mend_endpoint(target, name)
    for signal in ("traces", "metrics", "logs"):
        _mend_exporters(target, signal)


_OTEL_DEFAULTS = {
    "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
    "OTEL_TRACES_EXPORTER": "otlp",
    "OTEL_METRICS_EXPORTER": "otlp",
    "OTEL_LOGS_EXPORTER": "otlp",
    # Sampling is the collector's, which sees whole traces.
    "OTEL_TRACES_SAMPLER": "parentbased_always_on",
    "OTEL_SEMCONV_STABILITY_OPT_IN": "http,database",
    # A failed export of 60 s of metrics is too long for the person on call to wait.
    "OTEL_METRIC_EXPORT_INTERVAL": "15000",
}

_PROTOCOL_VARIABLES = (
    "OTEL_EXPORTER_OTLP_PROTOCOL",
    "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
    "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL",
    "OTEL_EXPORTER_OTLP_LOGS_PROTOCOL",
)

_ENDPOINT_VARIABLES = (
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
    "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT",
)


def _mend(target: MutableMapping[str, str], name: str, allowed: tuple[str, ...], default: str) -> None:
    value = target.get(name)
    if value is None or value.strip() in allowed:
        return
    report(
        f"setting:{name}",
        f"{name} is {value!r}, which is not one of {', '.join(allowed)}; {default!r} is used.",
    )
    target[name] = default


def _mend_exporters(target: MutableMapping[str, str], signal: str) -> None:
    name = f"OTEL_{signal.upper()}_EXPORTER"
    wanted = [part.strip() for part in target[name].split(",") if part.strip()]
    known = {"otlp", "console", "none"}
    if known.issuperset(wanted):
        return
    from opentelemetry.util._importlib_metadata import entry_points

    known.update(found.name for found in entry_points(group=f"opentelemetry_{signal}_exporter"))
    unknown = [part for part in wanted if part not in known]
    if unknown:
        usable = [part for part in wanted if part in known] or ["otlp"]
        report(
            f"setting:{name}",
            f"{name} names {', '.join(map(repr, unknown))}, which is not one of {', '.join(sorted(known))}; "
            f"{','.join(usable)!r} is used.",
        )
        target[name] = ",".join(usable)


def _mend_endpoint(target: MutableMapping[str, str], name: str) -> None:
    from urllib.parse import urlsplit

    value = target.get(name, "").strip()
    if not value:
        return
    problem = None
    try:
        url = urlsplit(value)
        port = url.port
    except ValueError as error:
        problem, port = str(error), None
    else:
        if url.scheme not in {"http", "https"} or not url.hostname:
            problem = "it needs a scheme and a host"
    if problem is not None:
        report(
            f"setting:{name}",
            f"{name} is {value!r}: {problem}. It should be an address such as http://collector:4318; "
            "it is ignored, and the default http://localhost:4318 is used.",
        )
        del target[name]
        return
    protocol = target.get(name.replace("_ENDPOINT", "_PROTOCOL")) or target["OTEL_EXPORTER_OTLP_PROTOCOL"]
    usual = {4317: "grpc", 4318: "http/protobuf"}.get(port or 0)
    if usual is not None and usual != protocol.strip():
        report(
            f"setting:{name}:port",
            f"{name} is {value!r}: port {port} is usually {usual}, but the protocol is {protocol}. "
            f"If nothing arrives, set OTEL_EXPORTER_OTLP_PROTOCOL={usual} or change the port.",
        )
