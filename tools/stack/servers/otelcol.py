"""The OpenTelemetry Collector, with the configuration that the platform team deploys."""

# ruff: noqa: D102 - what each method is for is said once, in Server

from __future__ import annotations

import subprocess
from pathlib import Path

from tools.builds import go
from tools.builds.targets import OTELCOL
from tools.errors import ToolError
from tools.stack.ports import LOOPBACK
from tools.stack.ready import answers_ok
from tools.stack.server import Context, Server, configuration
from tools.stack.servers.sentry_sink import SENTRY_AUTH, sentry_endpoint
from tools.versions import pinned

_BASE = configuration("otelcol.yaml")
_SENTRY = configuration("otelcol.sentry.yaml")
_ISSUES = configuration("otelcol.issues.yaml")


class Otelcol(Server):
    """The collector. Its queues are on disk, in its data folder, and outlive a stop."""

    name = "otelcol"
    # A stop waits for the tries under way: 20 s at most by the hop's timeout.
    stop_seconds = 40.0
    # Documents that came before the index templates would make plain indices in place of data streams.
    after = ("elasticsearch", "prometheus", "sentry_sink")

    def version(self) -> str:
        return pinned("otelcol")

    def ensure(self) -> None:
        go.build(OTELCOL)

    def program(self) -> Path:
        """The built ``otelcol``."""
        return go.build(OTELCOL) / "otelcol"

    def prepare(self, context: Context) -> None:
        context.data(self.name).mkdir(parents=True, exist_ok=True)
        checked = subprocess.run(
            [str(self.program()), "validate", *self._configs(context)],
            env=self.environ(context),
            cwd=context.data(self.name),
            capture_output=True,
            text=True,
            check=False,
        )
        if checked.returncode:
            files = ", ".join(str(file) for file in configs(context))
            raise ToolError(f"otelcol refuses its configuration ({files}):\n    {checked.stderr.strip()}")

    def command(self, context: Context) -> list[str]:
        return [str(self.program()), *self._configs(context)]

    def environ(self, context: Context) -> dict[str, str]:
        # 80 % of what memory_limiter allows, so that the garbage collector works before the limiter refuses.
        return context.child_environ({"GOMEMLIMIT": "400MiB", **collector_environ(context)})

    def is_ready(self, context: Context) -> bool:
        return answers_ok(f"http://{context.address('otelcol_health')}/")

    def url(self, context: Context) -> str:
        return f"http://{context.address('otelcol_http')}"

    def _configs(self, context: Context) -> list[str]:
        return [f"--config={file}" for file in configs(context)]


def configs(context: Context) -> list[Path]:
    """The collector's files: the caller's, or ours with Sentry's if there is one; then the overlays."""
    sentry = (_SENTRY,) if _has_sentry(context) else ()
    issues = (_ISSUES,) if "sentry_bridge" in context.servers else ()
    ours = (_BASE, *sentry, *issues)
    return [*(context.otelcol_configs or ours), *context.otelcol_overlays]


def collector_environ(context: Context) -> dict[str, str]:
    """The variables that ``collector/otelcol*.yaml`` read."""
    variables = {
        "ADA_OTLP_GRPC_ENDPOINT": context.address("otelcol_grpc"),
        "ADA_OTLP_HTTP_ENDPOINT": context.address("otelcol_http"),
        "ADA_OTLP_ES_HOP_ENDPOINT": context.address("otelcol_es_hop"),
        "ADA_HEALTH_ENDPOINT": context.address("otelcol_health"),
        "ADA_SELF_METRICS_HOST": LOOPBACK,
        "ADA_SELF_METRICS_PORT": str(context.ports["otelcol_metrics"]),
        "ADA_QUEUE_DIR": str(context.data("otelcol") / "queue"),
        "ADA_ELASTICSEARCH_ENDPOINT": f"http://{context.address('elasticsearch')}",
        "ADA_PROMETHEUS_OTLP_ENDPOINT": f"http://{context.address('prometheus')}/api/v1/otlp",
    }
    if "sentry_sink" in context.servers:
        variables["ADA_SENTRY_OTLP_ENDPOINT"] = sentry_endpoint(context)
        variables["ADA_SENTRY_AUTH"] = SENTRY_AUTH
    if "sentry_bridge" in context.servers:
        variables["ADA_SENTRY_BRIDGE_ENDPOINT"] = f"http://{context.address('sentry_bridge')}"
    return variables


def _has_sentry(context: Context) -> bool:
    return "sentry_sink" in context.servers or bool(context.env.get("ADA_SENTRY_OTLP_ENDPOINT"))
