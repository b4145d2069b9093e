"""The variants that are compared, and the cases they are compared in."""

from __future__ import annotations

from dataclasses import dataclass, field

#: No variant may drop what it should encode: a block of requests comes faster than any real load.
_QUEUE = str(1 << 16)

_OPENTELEMETRY = {
    "OTEL_SERVICE_NAME": "bench",
    "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
    "OTEL_SEMCONV_STABILITY_OPT_IN": "http,database",
    "OTEL_BSP_MAX_QUEUE_SIZE": _QUEUE,
    "OTEL_BLRP_MAX_QUEUE_SIZE": _QUEUE,
    # Metrics are sent once per block, when it is flushed; the same for all.
    "OTEL_METRIC_EXPORT_INTERVAL": "600000",
}


@dataclass(frozen=True)
class Case:
    """What is asked of the app, and which telemetry is on.

    Attributes:
        name: Short name, for the command line.
        title: For tables.
        route: Of the app: ``plain`` or ``full``; or ``event``, which is one of Socket.IO.
        logs: Whether log records are sent.
        sample_rate: The share of traces that is recorded, from 0 to 1.
    """

    name: str
    title: str
    route: str
    logs: bool
    sample_rate: float


CASES = {
    case.name: case
    for case in (
        Case("plain", "plain route, traces and metrics", "plain", logs=False, sample_rate=1),
        Case(
            "full", "one log line, one query, one Redis call, all signals", "full", logs=True, sample_rate=1
        ),
        Case("sampled", "the same, 1 % of traces sampled", "full", logs=True, sample_rate=0.01),
    )
}

#: Only ours has telemetry for it; stock's share is what it adds to a plain request.
EVENT = Case(
    "event", "one Socket.IO event, acknowledged, traces and metrics", "event", logs=False, sample_rate=1
)


@dataclass(frozen=True)
class Variant:
    """One way to have telemetry, or none.

    Attributes:
        name: Short name, for the command line.
        title: For tables.
        package: Whose version is reported; empty for none.
        pins: The file in ``requirements/bench`` with what is installed.
        launcher: The program in the environment that starts the app, and its first arguments, if any.
        environ: Variables for it.
        opentelemetry: Whether it reads the ``OTEL_*`` variables.
        note: What a reader must know to compare it fairly.
        start_only: Whether it differs from another variant until the app is started, and no longer.
    """

    name: str
    title: str
    package: str
    pins: str
    launcher: tuple[str, ...] = ()
    environ: dict[str, str] = field(default_factory=dict)
    opentelemetry: bool = False
    note: str = ""
    start_only: bool = False

    def environment(self, case: Case, sink: str, redis_port: int) -> dict[str, str]:
        """The variables to start the app with.

        Args:
            case: What will be measured.
            sink: The address that takes telemetry, as ``http://127.0.0.1:PORT``.
            redis_port: Of the Redis server, on the loopback address.
        """
        result = {
            "BENCH_VARIANT": self.name,
            "BENCH_SINK": sink,
            "BENCH_LOGS": str(case.logs).lower(),
            "BENCH_SAMPLE_RATE": str(case.sample_rate),
            "BENCH_REDIS_PORT": str(redis_port),
        }
        if self.opentelemetry:
            result |= _OPENTELEMETRY
            result["OTEL_EXPORTER_OTLP_ENDPOINT"] = sink
            if not case.logs:
                result["OTEL_LOGS_EXPORTER"] = "none"
            if case.sample_rate < 1:
                result["OTEL_TRACES_SAMPLER"] = "parentbased_traceidratio"
                result["OTEL_TRACES_SAMPLER_ARG"] = str(case.sample_rate)
        if self.name == "ddtrace":
            result["DD_TRACE_AGENT_URL"] = sink
            result["DD_TRACE_SAMPLING_RULES"] = f'[{{"sample_rate": {case.sample_rate}}}]'
        return result | self.environ


_OTEL_LAUNCHER = ("opentelemetry-instrument",)

VARIANTS = {
    variant.name: variant
    for variant in (
        Variant("none", "no telemetry", "", "base"),
        Variant(
            "stock",
            "OpenTelemetry, stock",
            "opentelemetry-distro",
            "stock",
            _OTEL_LAUNCHER,
            opentelemetry=True,
        ),
        Variant("ada", "ada-otel", "ada-otel", "ada", _OTEL_LAUNCHER, opentelemetry=True),
        Variant(
            "ada-run",
            "ada-otel, by `ada-otel run`",
            "ada-otel",
            "ada",
            ("ada-otel", "run"),
            opentelemetry=True,
            note="The same as `ada` once the app is started.",
            start_only=True,
        ),
        Variant(
            "ada-stock",
            "ada-otel, fast path off",
            "ada-otel",
            "ada",
            _OTEL_LAUNCHER,
            {"ADA_OTEL_FAST_PATH": "false"},
            opentelemetry=True,
        ),
        Variant(
            "logfire",
            "Logfire",
            "logfire",
            "logfire",
            note="Sends log lines as spans, which are sampled with the others.",
        ),
        Variant(
            "sentry",
            "Sentry SDK",
            "sentry-sdk",
            "sentry",
            note="Sends no request metrics.",
        ),
        Variant(
            "elastic",
            "Elastic's distribution",
            "elastic-opentelemetry",
            "elastic",
            _OTEL_LAUNCHER,
            opentelemetry=True,
        ),
        Variant(
            "splunk",
            "Splunk's distribution",
            "splunk-opentelemetry",
            "splunk",
            _OTEL_LAUNCHER,
            opentelemetry=True,
        ),
        Variant(
            "ddtrace",
            "ddtrace",
            "ddtrace",
            "ddtrace",
            ("ddtrace-run",),
            {
                "DD_SERVICE": "bench",
                "DD_INSTRUMENTATION_TELEMETRY_ENABLED": "false",
                "DD_REMOTE_CONFIGURATION_ENABLED": "false",
            },
            note="Sends traces only, those not sampled too: its agent reads log files and makes metrics.",
        ),
    )
}

#: What every ratio is relative to, and what is held against the goals: while it runs, and at its start.
BASE, STOCK, OURS, OURS_AT_START = "none", "stock", "ada", "ada-run"

#: What the goals are about.
COMPARED = (BASE, STOCK, OURS, OURS_AT_START)
