"""Instrumentations: ours for Flask, SQLAlchemy, Redis, logging and structlog; the stock ones for the rest.

One that fails is reported once, by name, with the reason, and stops no other.
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

from ada_otel import bootstrap
from ada_otel._diagnostics import raising, report

if TYPE_CHECKING:
    from flask import Flask
    from opentelemetry.util._importlib_metadata import EntryPoint

    from ada_otel.settings import Settings

__all__ = ["OWN", "instrument_app", "load_entry_point", "load_own", "load_stock"]

#: The stock instrumentors, by entry point name, whose place ours take.
OWN = ("flask", "logging", "redis", "socketio", "sqlalchemy", "structlog")

_CLASSES = {
    "flask": "FlaskInstrumentor",
    "redis": "RedisInstrumentor",
    "socketio": "SocketIOInstrumentor",
    "sqlalchemy": "SQLAlchemyInstrumentor",
}


def load_own(settings: Settings) -> None:
    """Start our own instrumentors, but for those named in ``OTEL_PYTHON_DISABLED_INSTRUMENTATIONS``."""
    disabled = _disabled()
    for name in OWN:
        if name not in disabled and "*" not in disabled:
            _attempt(name, lambda name=name: _start_own(name, settings))


def load_stock() -> None:
    """Start every other instrumentor that is installed, as the launcher would."""
    from opentelemetry.instrumentation.dependencies import get_dist_dependency_conflicts
    from opentelemetry.util._importlib_metadata import entry_points

    disabled = _disabled()
    if "*" in disabled:
        return
    for entry_point in entry_points(group="opentelemetry_instrumentor"):
        if entry_point.name in disabled or entry_point.name in OWN:
            continue
        conflict = get_dist_dependency_conflicts(entry_point.dist) if entry_point.dist else None
        if conflict is None:
            load_entry_point(entry_point, skip_dep_check=True)


def load_entry_point(entry_point: EntryPoint, **kwargs: Any) -> None:
    """Start one stock instrumentor; a library that is not installed is passed over without a word.

    That of system metrics is left out where our observers report under the same names.
    """
    if entry_point.name == "system_metrics" and bootstrap.current_settings().observers:
        return

    def start() -> None:
        instrumentor = entry_point.load()()
        if not instrumentor.is_instrumented_by_opentelemetry:
            instrumentor.instrument(**kwargs)

    _attempt(entry_point.name, start)


def instrument_app(app: Flask) -> None:
    """Instrument a Flask application that was made before the instrumentation was there."""
    if "flask" in _disabled() or "*" in _disabled():
        return

    def start() -> None:
        from ada_otel.instrument.flask import FlaskInstrumentor

        if not getattr(app, "_is_instrumented_by_opentelemetry", False):
            FlaskInstrumentor.instrument_app(app)

    _attempt("flask", start)


def _start_own(name: str, settings: Settings) -> None:
    if name in ("logging", "structlog"):
        from ada_otel import logs

        if name == "logging":
            logs.start(settings)
        else:
            logs.start_structlog()
        return
    module = importlib.import_module(f"ada_otel.instrument.{name}")
    instrumentor = getattr(module, _CLASSES[name])()
    if not instrumentor.is_instrumented_by_opentelemetry:
        instrumentor.instrument()


def _attempt(name: str, start: Any) -> None:
    try:
        start()
    except ModuleNotFoundError as error:
        # One without a name is raised by hand, by an instrumentation that does not find its library.
        if error.name is not None and error.name.split(".")[0] in {"ada_otel", "opentelemetry"}:
            _report_failure(name, error)
    except Exception as error:
        if raising():
            raise
        _report_failure(name, error)


def _report_failure(name: str, error: Exception) -> None:
    report(
        f"instrumentation:{name}",
        f"instrumentation {name!r} was not started: {type(error).__name__}: {error}. "
        f"The others are. To silence this, set OTEL_PYTHON_DISABLED_INSTRUMENTATIONS={name}.",
        exc=error,
    )


def _disabled() -> set[str]:
    names = os.environ.get("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", "")
    return {name.strip() for name in names.split(",") if name.strip()}
