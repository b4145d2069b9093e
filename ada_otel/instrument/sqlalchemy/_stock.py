"""The stock SQLAlchemy instrumentation, made to take SQLAlchemy 2.1 and engines that exist already."""

from __future__ import annotations

import importlib
from typing import Any

import sqlalchemy
from opentelemetry.instrumentation._semconv import (
    _get_schema_url_for_signal_types,
    _OpenTelemetryStabilitySignalType,
)
from opentelemetry.instrumentation.sqlalchemy.engine import (
    EngineTracer,
    _wrap_connect,
    _wrap_create_async_engine,
    _wrap_create_engine,
)
from opentelemetry.instrumentation.sqlalchemy.version import __version__ as _version
from opentelemetry.instrumentation.utils import unwrap
from opentelemetry.metrics import get_meter
from opentelemetry.semconv.metrics import MetricInstruments
from opentelemetry.trace import get_tracer
from sqlalchemy.engine import Engine
from wrapt import wrap_function_wrapper

from ada_otel._instances import instances

STOCK_VERSION = _version
SCOPE = "opentelemetry.instrumentation.sqlalchemy"
# The stock text: two descriptions under one name would make the SDK warn.
USAGE_DESCRIPTION = "The number of connections that are currently in state described by the state attribute."
_CREATE_ENGINE_MODULES = ("sqlalchemy", "sqlalchemy.engine", "sqlalchemy.engine.create")


def instrument(**options: Any) -> None:
    """Trace with the stock code; stock 0.66 refuses 2.1, and fails on it where greenlet is missing.

    Args:
        **options: The keyword arguments of the stock ``SQLAlchemyInstrumentor.instrument``.
    """
    schema_url = _get_schema_url_for_signal_types(
        [_OpenTelemetryStabilitySignalType.DATABASE, _OpenTelemetryStabilitySignalType.HTTP]
    )
    tracer = get_tracer(SCOPE, STOCK_VERSION, options.get("tracer_provider"), schema_url=schema_url)
    meter = get_meter(SCOPE, STOCK_VERSION, options.get("meter_provider"), schema_url=schema_url)
    usage = meter.create_up_down_counter(
        MetricInstruments.DB_CLIENT_CONNECTIONS_USAGE, unit="connections", description=USAGE_DESCRIPTION
    )
    commenter = (
        options.get("enable_commenter", False),
        options.get("commenter_options", {}),
        options.get("enable_attribute_commenter", False),
    )
    for module in _CREATE_ENGINE_MODULES:
        wrap_function_wrapper(module, "create_engine", _wrap_create_engine(tracer, usage, *commenter))
    wrap_function_wrapper("sqlalchemy.engine.base", "Engine.connect", _wrap_connect(tracer))
    if _asyncio_importable():
        wrap_function_wrapper(
            "sqlalchemy.ext.asyncio",
            "create_async_engine",
            _wrap_create_async_engine(tracer, usage, *commenter),
        )
    for engine in instances(Engine):
        EngineTracer(tracer, engine, usage, *commenter)


def uninstrument() -> None:
    """Take the stock tracing away again."""
    for module in (sqlalchemy, sqlalchemy.engine, sqlalchemy.engine.create):
        unwrap(module, "create_engine")
    unwrap(Engine, "connect")
    if _asyncio_importable():
        unwrap(importlib.import_module("sqlalchemy.ext.asyncio"), "create_async_engine")
    EngineTracer.remove_all_event_listeners()


def _asyncio_importable() -> bool:
    try:
        importlib.import_module("sqlalchemy.ext.asyncio")
    except ImportError:
        return False
    return True
