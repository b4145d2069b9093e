"""ada-otel: traces, metrics and logs of an ADA application, sent over OTLP.

Start the app with ``opentelemetry-instrument``, which needs no line in it, or call :func:`setup`.
"""

from __future__ import annotations

from ada_otel._version import __version__
from ada_otel.bootstrap import setup

__all__ = ["__version__", "setup"]
