"""One look, at start, at whether the collector's address answers; so that a wrong one is seen at once."""

from __future__ import annotations

import os
import socket
from urllib.parse import urlsplit

from ada_otel._diagnostics import contained, report
from ada_otel.pipeline import threads
from ada_otel.pipeline.fork import start_thread

_TIMEOUT_SECONDS = 3.0


def check_in_background() -> None:
    """Try the collector's TCP port from a daemon thread; warn once, naming the address and the setting."""
    exporters = {
        os.environ.get(f"OTEL_{signal}_EXPORTER", "otlp") for signal in ("TRACES", "METRICS", "LOGS")
    }
    if any("otlp" in names for names in exporters):
        start_thread(lambda: threads.start(_check, "ada-otel-startup-check"))


def _check() -> None:
    with contained("Checking the collector's address"):
        grpc = os.environ.get("OTEL_EXPORTER_OTLP_PROTOCOL") == "grpc"
        default = "http://localhost:4317" if grpc else "http://localhost:4318"
        endpoint = os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT") or default
        url = urlsplit(endpoint)
        port = url.port or {"http": 80, "https": 443}[url.scheme]
        try:
            socket.create_connection((url.hostname or "localhost", port), timeout=_TIMEOUT_SECONDS).close()
        except OSError as error:
            report(
                "collector-unreachable",
                f"nothing answers at the collector's address {url.scheme}://{url.hostname}:{port} ({error}). "
                "Start the collector or set OTEL_EXPORTER_OTLP_ENDPOINT; the app goes on without it.",
            )
