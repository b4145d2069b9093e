"""What happens when an upstream release has renamed something that the fast path leans on: stock serves."""

from __future__ import annotations

import importlib
from typing import Any

from ada_otel._diagnostics import report

_UPSTREAM = "opentelemetry"


def fast_part(module: str, library: str) -> Any:
    """Import a module of the fast path.

    Args:
        module: Its full name.
        library: What it instruments, for the message.

    Returns:
        The module, or None, with one warning, when it needs a name that the stock instrumentation no longer
        has; the stock code is then to be used.

    Raises:
        ModuleNotFoundError: The library itself is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        if not (error.name or "").startswith(_UPSTREAM):
            raise
        report(
            f"instrument-shape:{library}",
            f"this version of opentelemetry-instrumentation-{library} lacks what the fast path needs "
            f"({error}); the stock instrumentation is used. Set ADA_OTEL_FAST_PATH=false to silence this.",
        )
        return None
