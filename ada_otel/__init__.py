"""ada-otel: traces, metrics and logs of an ADA application, sent over OTLP.

Start the app with ``opentelemetry-instrument``, which needs no line in it, or call :func:`setup`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ada_otel._version import __version__
from ada_otel.bootstrap import setup

if TYPE_CHECKING:
    from ada_otel import business
    from ada_otel.business import alert

__all__ = ["__version__", "alert", "business", "setup"]


def __getattr__(name: str) -> Any:
    # Not imported by a process that does not use it: start-up stays lean.
    if name in {"alert", "business"}:
        import importlib

        module = importlib.import_module("ada_otel.business")
        return module if name == "business" else module.alert
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
