"""The table of our own settings: one row each, in the order of the documentation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from ada_otel.settings._parsers import (
    boolean,
    choice,
    count,
    endpoints,
    level,
    level_or_off,
    log_file,
    name_prefix,
    networks,
    number,
    path,
    redis_url,
    seconds,
    words,
    words_of,
)

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
        "Send what the app logs, through the standard library's `logging` and through structlog, "
        "as OTLP log records.",
    )
    log_console: str = _setting(
        "ADA_OTEL_LOG_CONSOLE",
        "auto",
        choice("auto", "pretty", "json", "off"),
        "Print lines to standard error that no handler of the app prints: `pretty` or `json`. `auto` does so "
        "only in an app that calls `ada_otel.logs.configure()`: readable in a terminal, JSON elsewhere.",
    )
    log_file: str = _setting(
        "ADA_OTEL_LOG_FILE",
        "",
        log_file,
        "Write lines to a file of JSON lines, too: its path, or `true` for `logs/ada_app.log`.",
    )
    log_file_max_bytes: int = _setting(
        "ADA_OTEL_LOG_FILE_MAX_BYTES",
        "10485760",
        count(0, 1 << 40),
        "The log file is put aside before it has more bytes than this; 0 never does.",
    )
    log_file_backups: int = _setting(
        "ADA_OTEL_LOG_FILE_BACKUPS",
        "5",
        count(0, 10_000),
        "How many log files that were put aside are kept; the oldest is deleted.",
    )
    redaction: bool = _setting(
        "ADA_OTEL_REDACTION",
        "true",
        boolean,
        "Take secrets out of log lines, spans and business events before they leave the process.",
    )
    redacted_keys: tuple[str, ...] = _setting(
        "ADA_OTEL_REDACTED_KEYS",
        "",
        words,
        "Further parts of keys whose values are secret, with commas between, beside the built-in ones.",
    )
    kept_keys: tuple[str, ...] = _setting(
        "ADA_OTEL_KEPT_KEYS",
        "",
        words,
        "Keys, exactly, whose values are shown although their name sounds secret, with commas between.",
    )
    redact_emails: bool = _setting(
        "ADA_OTEL_REDACT_EMAILS",
        "false",
        boolean,
        "Take e-mail addresses out, too.",
    )
    requests: bool = _setting(
        "ADA_OTEL_REQUESTS",
        "true",
        boolean,
        "Give each request an id, answer it in `X-Request-ID`, and have its log lines tell user and route.",
    )
    request_log: str = _setting(
        "ADA_OTEL_REQUEST_LOG",
        "INFO",
        level_or_off,
        "The level of the line `Request completed`, or `off`.",
    )
    request_log_started: str = _setting(
        "ADA_OTEL_REQUEST_LOG_STARTED",
        "DEBUG",
        level_or_off,
        "The level of the line `Request started`, or `off`.",
    )
    request_log_ratio: float = _setting(
        "ADA_OTEL_REQUEST_LOG_RATIO",
        "1",
        number(0, 1),
        "The share of requests, from 0 to 1, that are logged; those that fail always are.",
    )
    request_id_baggage: bool = _setting(
        "ADA_OTEL_REQUEST_ID_BAGGAGE",
        "false",
        boolean,
        "Send the request id on to other services, as baggage `request.id`.",
    )
    startup_check: bool = _setting(
        "ADA_OTEL_STARTUP_CHECK",
        "true",
        boolean,
        "At start, in the background, try the collector's address once, "
        "and warn, by name, when nothing answers there.",
    )
    observers: bool = _setting(
        "ADA_OTEL_OBSERVERS",
        "true",
        boolean,
        "Report what the process, its runtime, the host and its network dependencies say of themselves.",
    )
    host_metrics: str = _setting(
        "ADA_OTEL_HOST_METRICS",
        "app",
        choice("app", "collector", "none"),
        "Who reports `system.*`: one worker of the `app` per host, or the collector's `host_metrics` "
        "receiver (`collector`, with which the app reports none), or nobody (`none`).",
    )
    host_metrics_lock: str = _setting(
        "ADA_OTEL_HOST_METRICS_LOCK",
        "",
        str,
        "The file by whose lock the workers of a host agree on who reports for it. Without it, one in the "
        "temporary folder for each service; services that name the same file report the host once.",
    )
    dependencies: tuple[tuple[str, str, int], ...] = _setting(
        "ADA_OTEL_DEPENDENCIES",
        "",
        endpoints,
        "What the app needs over the network, as `name=host:port,…`: reachability and latency are reported. "
        "Databases and Redis servers that the app uses are found without it.",
    )
    health: bool = _setting(
        "ADA_OTEL_HEALTH",
        "true",
        boolean,
        "Answer `/health`, `/health/ready`, `/health/detailed` and `/health/history` in front of each Flask "
        "application. A route of the app's own under such a path wins.",
    )
    health_prefix: str = _setting(
        "ADA_OTEL_HEALTH_PREFIX",
        "/health",
        path,
        "The path of these pages.",
    )
    health_token: str = _setting(
        "ADA_OTEL_HEALTH_TOKEN",
        "",
        str,
        "The bearer token for the detail and the history. "
        "Without it they are for this machine itself, without a proxy between.",
    )
    health_verbose: bool = _setting(
        "ADA_OTEL_HEALTH_VERBOSE",
        "false",
        boolean,
        "Show the text of errors in the detail, which may name hosts and users.",
    )
    health_interval: float = _setting(
        "ADA_OTEL_HEALTH_INTERVAL",
        "10",
        number(0.1, 3600),
        "Seconds between two runs of each health check, in each process.",
    )
    health_timeout: float = _setting(
        "ADA_OTEL_HEALTH_TIMEOUT",
        "2",
        number(0.05, 60),
        "Seconds after which a health check counts as failed.",
    )
    health_history: str = _setting(
        "ADA_OTEL_HEALTH_HISTORY",
        "",
        str,
        "The file in which the workers of a host keep 24 hours of their main figures, 92 KB. "
        "Without it, one in the temporary folder for each service and user.",
    )
    health_required: tuple[str, ...] = _setting(
        "ADA_OTEL_HEALTH_REQUIRED",
        "database",
        words_of("database", "redis", "network"),
        "Which of the checks `database`, `redis` and `network` make `/health/ready` answer 503 when they "
        "fail; `none` for none.",
    )
    health_cpu: float = _setting(
        "ADA_OTEL_HEALTH_CPU",
        "90",
        number(0, 100),
        "CPU of the host, in percent, above which it is degraded.",
    )
    health_memory: float = _setting(
        "ADA_OTEL_HEALTH_MEMORY",
        "90",
        number(0, 100),
        "Memory of the host in use, in percent, above which it is degraded.",
    )
    health_disk: float = _setting(
        "ADA_OTEL_HEALTH_DISK",
        "90",
        number(0, 100),
        "Disk in use, in percent, above which the host is degraded.",
    )
    health_disk_path: str = _setting(
        "ADA_OTEL_HEALTH_DISK_PATH", "/", str, "A path on the file system that is looked at."
    )
    performance_cpu: float = _setting(
        "ADA_OTEL_PERFORMANCE_CPU",
        "80",
        number(0, 100),
        "CPU of the host, in percent, above which performance is degraded.",
    )
    performance_memory: float = _setting(
        "ADA_OTEL_PERFORMANCE_MEMORY",
        "85",
        number(0, 100),
        "Memory of the host in use, in percent, above which performance is degraded.",
    )
    performance_response_time: float = _setting(
        "ADA_OTEL_PERFORMANCE_RESPONSE_TIME",
        "2.0",
        number(0, 3600),
        "Mean response time over a minute, in seconds, above which performance is degraded.",
    )
    performance_error_rate: float = _setting(
        "ADA_OTEL_PERFORMANCE_ERROR_RATE",
        "0.05",
        number(0, 1),
        "Share of failed requests over a minute, from 0 to 1, above which performance is degraded.",
    )
    metrics_endpoint: bool = _setting(
        "ADA_OTEL_METRICS_ENDPOINT",
        "false",
        boolean,
        "Serve the metrics for a scrape by Prometheus, summed over all workers of this server.",
    )
    metrics_path: str = _setting(
        "ADA_OTEL_METRICS_PATH",
        "/metrics",
        path,
        "The path of that page. A route of the app's own there wins.",
    )
    metrics_prefix: str = _setting(
        "ADA_OTEL_METRICS_PREFIX",
        "auto",
        name_prefix,
        "What the names on that page begin with; `none` for nothing. `auto` is nothing where metrics leave "
        "by this page alone, and `scrape_` where they leave by OTLP too, so that no query counts twice.",
    )
    metrics_token: str = _setting("ADA_OTEL_METRICS_TOKEN", "", str, "The bearer token for that page.")
    metrics_allow: tuple[Any, ...] = _setting(
        "ADA_OTEL_METRICS_ALLOW",
        "",
        networks,
        "Networks that may see that page, such as `10.1.0.0/16`, without a proxy between. "
        "Without token and networks it is for this machine itself.",
    )
    metrics_folder: str = _setting(
        "ADA_OTEL_METRICS_FOLDER",
        "",
        str,
        "The folder in which the workers keep what that page sums up, one for each application and host, "
        "best in memory (tmpfs). Without it, one in the temporary folder for each start of the server.",
    )
    business_folder: str = _setting(
        "ADA_OTEL_BUSINESS_FOLDER",
        "",
        str,
        "The folder in which the workers of a host keep open sessions and active users, as hashes. "
        "Without it, one in the temporary folder for each service and user.",
    )
    business_redis_url: str = _setting(
        "ADA_OTEL_BUSINESS_REDIS_URL",
        "",
        redis_url,
        "The Redis server by which active users and open sessions are counted over several hosts, such as "
        "`redis://redis:6379/3`. Without it each host counts its own.",
    )
    session_timeout: float = _setting(
        "ADA_OTEL_SESSION_TIMEOUT",
        "1800",
        number(1, 604800),
        "Seconds without activity after which a user's session counts as expired.",
    )
    uploads: bool = _setting(
        "ADA_OTEL_UPLOADS",
        "true",
        boolean,
        "Count the files of Flask requests whose form the app itself has parsed.",
    )
