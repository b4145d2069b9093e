"""What concerns the web side of a process: started together, each part contained on its own."""

from __future__ import annotations

import importlib
import importlib.util
from typing import TYPE_CHECKING

from ada_otel._diagnostics import contained

if TYPE_CHECKING:
    from flask import Flask

    from ada_otel.settings import Settings

#: Each module has ``start(settings)`` and ``attach(app)``.
_PARTS: tuple[str, ...] = (
    "ada_otel.web.requests",
    "ada_otel.web.health",
    "ada_otel.web.metrics_page",
)


def start(settings: Settings) -> None:
    """Start every part, once per process."""
    if settings.requests or settings.health or settings.metrics_endpoint:
        _bring_flask()
    for name in _PARTS:
        with contained(f"Starting {name}"):
            importlib.import_module(name).start(settings)


def start_health(settings: Settings) -> None:
    """Start the health pages alone, which need no telemetry."""
    if settings.health:
        _bring_flask()
        importlib.import_module("ada_otel.web.health").start(settings)


def _bring_flask() -> None:
    """Import Flask, which is hooked into, where its instrumentation has not done so."""
    with contained("Importing Flask"):
        if importlib.util.find_spec("flask") is not None:
            importlib.import_module("flask")


def attach(app: Flask) -> None:
    """Hand every part an application that was made before the start."""
    for name in _PARTS:
        with contained(f"Attaching {name}"):
            importlib.import_module(name).attach(app)
