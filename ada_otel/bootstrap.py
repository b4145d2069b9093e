"""The wiring, shared by the launcher and by :func:`setup`: defaults, SDK, instrumentors.

Each step is done once per process, whoever asks first.
"""

from __future__ import annotations

import importlib
import os
import threading
from typing import TYPE_CHECKING, Any

from ada_otel import settings as _settings
from ada_otel._diagnostics import contained, report

if TYPE_CHECKING:
    from flask import Flask

_lock = threading.RLock()

#: What runs beside the instrumentors. Each module has ``start(settings)``, called once per process, and
#: may have ``attach(app)``, called with each Flask application that is handed to :func:`setup`.
_PARTS: tuple[str, ...] = ("ada_otel.observers", "ada_otel.web", "ada_otel.business")


class _State:
    """What has been done in this process."""

    def __init__(self) -> None:
        self.settings: _settings.Settings | None = None
        self.attempted = False
        self.configured = False
        self.instrumented = False


_state = _State()


def setup(app: Flask | None = None) -> None:
    """Send this process's traces, metrics and logs over OTLP; the import-time way in.

    Does what ``opentelemetry-instrument`` does, for an app that is started some other way. Call it once,
    as early as you can; a second call, or one under the launcher, does nothing twice. SQLAlchemy engines
    and Redis clients that exist already are traced too. Never raises: trouble is logged once, and the app
    goes on.

    Args:
        app: The Flask application, when it was made before this call. Applications made later are found.
    """
    with contained("ada_otel.setup"), _lock:
        if disabled():
            return
        prepare()
        if not _state.configured:
            if _foreign_sdk():
                _state.configured = True
                _redact_spans()
            else:
                configure_sdk()
        if _state.configured:
            instrument_libraries(include_stock=True)
            if app is not None:
                from ada_otel import instrument

                instrument.instrument_app(app)
                _attach_parts(app)
        else:
            serve_health_alone()
            if app is not None:
                _attach_parts(app)


def disabled() -> bool:
    """Whether ``OTEL_SDK_DISABLED`` turns telemetry off (specification, general SDK variables)."""
    return os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"


def attempted() -> bool:
    """Whether this distribution was chosen to put an SDK in place, whether or not it could."""
    return _state.attempted


def configured() -> bool:
    """Whether this distribution has put an SDK in place, or taken over one that was there."""
    return _state.configured


def current_settings() -> _settings.Settings:
    """The settings in force in this process."""
    if _state.settings is None:
        _state.settings = _settings.load()
    return _state.settings


def prepare() -> None:
    """Read the settings and fill in the ``OTEL_*`` defaults."""
    if _state.settings is None and not disabled():
        _settings.apply_defaults()
        _state.settings = _settings.load()


def configure_sdk(**kwargs: Any) -> None:
    """Start the SDK from the environment, or from ``OTEL_CONFIG_FILE``.

    Args:
        **kwargs: What the launcher hands to a configurator; ``auto_instrumentation_version`` at least.
    """
    with _lock:
        if _state.configured or disabled():
            return
        _state.attempted = True
        with contained("Starting the OpenTelemetry SDK"):
            if os.environ.get("OTEL_CONFIG_FILE"):
                _configure_from_file()
            else:
                _configure_from_environment(**kwargs)
            _state.configured = True


def instrument_libraries(*, include_stock: bool) -> None:
    """Start our instrumentors, and with ``include_stock`` every other one that is installed."""
    with _lock:
        if _state.instrumented:
            return
        _state.instrumented = True
        from ada_otel import instrument

        if include_stock:
            instrument.load_stock()
        instrument.load_own(current_settings())
        for name in _PARTS:
            with contained(f"Starting {name}"):
                importlib.import_module(name).start(current_settings())


def serve_health_alone() -> None:
    """Serve the health pages of a process whose SDK could not be started: probes must not end it for that."""
    with contained("Starting ada_otel.web"):
        from ada_otel import web

        web.start_health(current_settings())


def _attach_parts(app: Flask) -> None:
    for name in _PARTS:
        with contained(f"Attaching {name}"):
            attach = getattr(importlib.import_module(name), "attach", None)
            if attach is not None:
                attach(app)


def _configure_from_environment(**kwargs: Any) -> None:
    from ada_otel import _reachability, resource

    found = {**resource.attributes()}
    if current_settings().fast_path and _sdk_is_as_expected():
        from ada_otel.pipeline.assemble import assemble

        assemble(current_settings(), found, kwargs.get("auto_instrumentation_version"))
    else:
        from opentelemetry.sdk._configuration import _initialize_components

        _initialize_components(resource_attributes=found, setup_logging_handler=False, **kwargs)
        _redact_spans()
    if not os.environ.get("OTEL_SERVICE_NAME") and "service.name=" not in os.environ.get(
        "OTEL_RESOURCE_ATTRIBUTES", ""
    ):
        report(
            "setting:OTEL_SERVICE_NAME",
            "OTEL_SERVICE_NAME is not set: everything will arrive as service 'unknown_service'. "
            "Set it to the name of this app, for instance OTEL_SERVICE_NAME=ada.",
        )
    if current_settings().startup_check:
        _reachability.check_in_background()


def _sdk_is_as_expected() -> bool:
    from ada_otel.pipeline.tracing import shape

    problem = shape.problem()
    if problem is not None:
        report(
            "tracing-shape",
            f"this version of opentelemetry-sdk differs from what the fast path leans on ({problem}); "
            "the stock SDK is used. Set ADA_OTEL_FAST_PATH=false to silence this.",
        )
    return problem is None


def _configure_from_file() -> None:
    path = os.environ["OTEL_CONFIG_FILE"]
    try:
        from opentelemetry.configuration import configure_sdk as configure_declared
        from opentelemetry.configuration import load_config_file
    except ImportError as error:
        raise RuntimeError(
            f"OTEL_CONFIG_FILE is {path!r}, but opentelemetry-configuration is not installed; "
            "install it with: pip install 'ada-otel[config-file]'"
        ) from error
    configure_declared(load_config_file(path))
    _mend_propagator()
    _redact_spans()


def _redact_spans() -> None:
    with contained("Redacting spans"):
        from ada_otel.redaction._spans import guard

        guard()


def _mend_propagator() -> None:
    """Keep a file that declares no propagator from failing each request.

    The composite of no propagators extracts None where a context is due (opentelemetry-api 1.45), on which
    the stock instrumentations raise.
    """
    from opentelemetry import propagate
    from opentelemetry.propagators.composite import CompositePropagator

    from ada_otel._propagation import NoPropagator

    if isinstance(propagate.get_global_textmap(), CompositePropagator) and not propagate.extract({}):
        propagate.set_global_textmap(NoPropagator())


def _foreign_sdk() -> bool:
    """Whether the app has set a tracer provider of its own; it is kept, and its spans are redacted."""
    from opentelemetry import trace

    return not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)
