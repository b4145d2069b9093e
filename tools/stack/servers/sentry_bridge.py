"""The Sentry bridge of this package: OTLP log records in, Sentry Issues out."""

# ruff: noqa: D102 - what each method is for is said once, in Server

from __future__ import annotations

import sys

from tools import paths
from tools.errors import ToolError
from tools.stack.ready import answers_ok
from tools.stack.server import Context, Server
from tools.stack.servers import bugsink


class SentryBridge(Server):
    """Runs ``ada-otel sentry-bridge`` for the Bugsink of its stack if it has one, else for ``SENTRY_DSN``."""

    name = "sentry_bridge"
    after = ("bugsink",)

    def version(self) -> str:
        return "of this work tree"

    def ensure(self) -> None:
        try:
            import opentelemetry.proto.collector.logs.v1.logs_service_pb2  # noqa: F401
        except ImportError:
            raise ToolError(
                f"the Sentry bridge needs the package opentelemetry-proto, and {sys.executable} has none.\n"
                "    Use the development environment: make setup, then .venv/bin/python -m tools.stack."
            ) from None

    def prepare(self, context: Context) -> None:
        context.data(self.name).mkdir(parents=True, exist_ok=True)

    def command(self, context: Context) -> list[str]:
        return [
            sys.executable,
            "-m",
            "ada_otel.cli",
            "sentry-bridge",
            "--host=127.0.0.1",
            f"--port={context.ports['sentry_bridge']}",
        ]

    def environ(self, context: Context) -> dict[str, str]:
        added = {"PYTHONPATH": str(paths.REPOSITORY)}
        if "bugsink" in context.servers:
            added["SENTRY_DSN"] = bugsink.access(context.state_dir).dsn
        return context.child_environ(added)

    def is_ready(self, context: Context) -> bool:
        return answers_ok(f"{self.url(context)}/health")

    def url(self, context: Context) -> str:
        return f"http://{context.address('sentry_bridge')}"
