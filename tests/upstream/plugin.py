"""A pytest plugin for the upstream suites: says whose instrumentors they test, and under which conventions.

``UPSTREAM_VARIANT`` is ``stock`` or ``ours``: whose instrumentors and providers the suites get.
``UPSTREAM_CONVENTIONS`` is ``written`` (each test chooses, as it was written) or ``stable`` (what a test
leaves at the old conventions, or at one stable half, becomes the stable ones, where our fast path is).
``UPSTREAM_RESULTS`` is the file that gets the outcome of each test, as JSON.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from opentelemetry import context as context_api
from opentelemetry.context import Context
from opentelemetry.instrumentation._semconv import (
    _OpenTelemetrySemanticConventionStability as Stability,
)
from opentelemetry.instrumentation._semconv import (
    _OpenTelemetryStabilitySignalType as SignalType,
)
from opentelemetry.instrumentation._semconv import (
    _StabilityMode as Mode,
)

_CLASSES = {
    "flask": "FlaskInstrumentor",
    "redis": "RedisInstrumentor",
    "sqlalchemy": "SQLAlchemyInstrumentor",
}
_ENVIRONMENT = dict(os.environ)
_outcomes: dict[str, str] = {}


def pytest_configure() -> None:
    """Put the chosen parts in place, before any test module is imported."""
    # The stock SQLAlchemy instrumentor refuses 2.1 but works on it.
    stock: Any = importlib.import_module("opentelemetry.instrumentation.instrumentor")
    stock.BaseInstrumentor._check_dependency_conflicts = lambda _self: None
    if os.environ["UPSTREAM_CONVENTIONS"] == "stable":
        _force_stable_conventions()
    if os.environ["UPSTREAM_VARIANT"] == "ours":
        _put_ours_in_place()


def _put_ours_in_place() -> None:
    test_base: Any = importlib.import_module("opentelemetry.test.test_base")

    from ada_otel.instrument.flask._attributes import method_of
    from ada_otel.pipeline.metrics import MeterProvider
    from ada_otel.pipeline.tracing import TracerProvider

    for name, class_name in _CLASSES.items():
        ours = getattr(importlib.import_module(f"ada_otel.instrument.{name}"), class_name)
        setattr(importlib.import_module(f"opentelemetry.instrumentation.{name}"), class_name, ours)
    test_base.TracerProvider = TracerProvider
    test_base.MeterProvider = MeterProvider
    global _forget
    _forget = method_of.cache_clear


def _forget() -> None:
    """Forget what is read once per process; the suites change the environment from test to test."""


def _force_stable_conventions() -> None:
    initialize = Stability._initialize

    def initialize_and_force() -> None:
        initialize()  # type: ignore[no-untyped-call]
        modes = Stability._OTEL_SEMCONV_STABILITY_SIGNAL_MAPPING
        if (
            modes.get(SignalType.HTTP) is not Mode.HTTP_DUP
            and modes.get(SignalType.DATABASE) is not Mode.DATABASE_DUP
        ):
            modes[SignalType.HTTP] = Mode.HTTP
            modes[SignalType.DATABASE] = Mode.DATABASE

    Stability._initialize = initialize_and_force  # type: ignore[method-assign]


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Start each test with nothing remembered, and with its environment already set.

    The suites make the app in ``setUp`` and set the environment around the test method only; our
    instrumentors read it when they instrument.
    """
    os.environ.update(_environment_of(getattr(item, "obj", None)))
    # Some tests leave a context attached, as the stock Flask code does.
    context_api.attach(Context())
    Stability._initialized = False
    _forget()


def pytest_runtest_teardown(item: pytest.Item) -> None:
    """Put the environment back."""
    os.environ.clear()
    os.environ.update(_ENVIRONMENT)
    if "sqlalchemy" in item.nodeid:
        # Engines that a test has dropped would still report their pools to the next one.
        gc.collect()


def _environment_of(function: Any) -> dict[str, str]:
    """What ``mock.patch.dict("os.environ", ...)`` around ``function`` will set."""
    found: dict[str, str] = {}
    while function is not None:
        for cell in getattr(function, "__closure__", None) or ():
            patch = cell.cell_contents
            if isinstance(patch, mock._patch_dict) and patch.in_dict in ("os.environ", os.environ):
                found.update(patch.values)
        function = getattr(function, "__wrapped__", None)
    return found


def pytest_runtest_logreport(report: Any) -> None:
    """Keep the worst outcome of a test's phases, of the last time that it ran."""
    if report.outcome == "rerun":
        return
    before = _outcomes.get(report.nodeid)
    if report.outcome == "failed" or before is None or (before == "passed" and report.outcome == "skipped"):
        _outcomes[report.nodeid] = report.outcome


def pytest_collectreport(report: Any) -> None:
    """A module that cannot be imported counts as a failed test."""
    if report.failed:
        _outcomes[report.nodeid] = "failed"


def pytest_sessionfinish() -> None:
    """Write what was found."""
    Path(os.environ["UPSTREAM_RESULTS"]).write_text(json.dumps(_outcomes), encoding="utf-8")
