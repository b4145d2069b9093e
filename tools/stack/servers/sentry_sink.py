"""The Sentry sink: our own stand-in for Sentry's OTLP endpoints. It is not Sentry."""

# ruff: noqa: D102 - what each method is for is said once, in Server

from __future__ import annotations

import sys

from tools import paths
from tools.errors import ToolError
from tools.stack.ready import answers_ok
from tools.stack.server import Context, Server

#: The project and the public key that the sink takes data for.
SENTRY_PROJECT = "42"
SENTRY_KEY = "adasinkpublickey"
SENTRY_AUTH = f"sentry sentry_key={SENTRY_KEY}"


class SentrySink(Server):
    """Runs :mod:`tools.stack.sink` in a process of its own."""

    name = "sentry_sink"

    def version(self) -> str:
        return "a sink of ours, not Sentry"

    def ensure(self) -> None:
        try:
            import opentelemetry.proto.collector.trace.v1.trace_service_pb2  # noqa: F401
        except ImportError:
            raise ToolError(
                f"the Sentry sink needs the package opentelemetry-proto, and {sys.executable} has none.\n"
                "    Use the development environment: make setup, then .venv/bin/python -m tools.stack."
            ) from None

    def prepare(self, context: Context) -> None:
        context.data(self.name).mkdir(parents=True, exist_ok=True)

    def command(self, context: Context) -> list[str]:
        return [
            sys.executable,
            "-m",
            "tools.stack.sink",
            f"--port={context.ports['sentry_sink']}",
            f"--project={SENTRY_PROJECT}",
            f"--key={SENTRY_KEY}",
            f"--file={context.data(self.name) / 'received.jsonl'}",
        ]

    def environ(self, context: Context) -> dict[str, str]:
        return context.child_environ({"PYTHONPATH": str(paths.REPOSITORY)})

    def is_ready(self, context: Context) -> bool:
        return answers_ok(f"{self.url(context)}/health")

    def url(self, context: Context) -> str:
        return f"http://{context.address('sentry_sink')}"


def sentry_endpoint(context: Context) -> str:
    """The base address that the collector's Sentry exporter adds ``/v1/traces`` and ``/v1/logs`` to."""
    return f"http://{context.address('sentry_sink')}/api/{SENTRY_PROJECT}/integration/otlp"


def sentry_dsn(context: Context) -> str:
    """The DSN that stands for the sink, as an app or a deployment would be given it."""
    return f"http://{SENTRY_KEY}@{context.address('sentry_sink')}/{SENTRY_PROJECT}"
