"""What concerns the web side of a process: started together, each part contained on its own."""

from __future__ import annotations

import importlib
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
    for name in _PARTS:
        with contained(f"Starting {name}"):
            importlib.import_module(name).start(settings)


def attach(app: Flask) -> None:
    """Hand every part an application that was made before the start."""
    for name in _PARTS:
        with contained(f"Attaching {name}"):
            importlib.import_module(name).attach(app)
