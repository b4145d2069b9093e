"""SQLAlchemy: a client span per statement, for engines of every version from 1.4 to 2.1."""

from __future__ import annotations

import gc
import importlib
from collections.abc import Collection
from typing import Any

import sqlalchemy
from opentelemetry.instrumentation._semconv import (
    _get_schema_url_for_signal_types,
    _OpenTelemetryStabilitySignalType,
)
from opentelemetry.instrumentation.sqlalchemy import SQLAlchemyInstrumentor as _StockSQLAlchemyInstrumentor
from opentelemetry.instrumentation.sqlalchemy.engine import (
    EngineTracer,
    _wrap_connect,
    _wrap_create_async_engine,
    _wrap_create_engine,
)
from opentelemetry.instrumentation.sqlalchemy.version import __version__ as _stock_version
from opentelemetry.instrumentation.utils import unwrap
from opentelemetry.metrics import get_meter
from opentelemetry.semconv.metrics import MetricInstruments
from opentelemetry.trace import get_tracer
from sqlalchemy.engine import Engine
from wrapt import wrap_function_wrapper

__all__ = ["SQLAlchemyInstrumentor"]

_SCOPE = "opentelemetry.instrumentation.sqlalchemy"
# The stock text: two descriptions under one name would make the SDK warn.
_USAGE_DESCRIPTION = "The number of connections that are currently in state described by the state attribute."
_CREATE_ENGINE_MODULES = ("sqlalchemy", "sqlalchemy.engine", "sqlalchemy.engine.create")


class SQLAlchemyInstrumentor(_StockSQLAlchemyInstrumentor):
    """The stock instrumentor, which also takes SQLAlchemy 2.1 and engines that exist already.

    Stock 0.66 refuses 2.1, and fails on it where greenlet is missing, since 2.1 no longer brings it.
    """

    _instance = None

    def instrumentation_dependencies(self) -> Collection[str]:
        """Give the versions that are traced; the tests run the lowest and the highest."""
        return ("sqlalchemy >= 1.4.0, < 2.2.0",)

    def _instrument(self, **kwargs: Any) -> Any:
        schema_url = _get_schema_url_for_signal_types(
            [_OpenTelemetryStabilitySignalType.DATABASE, _OpenTelemetryStabilitySignalType.HTTP]
        )
        tracer = get_tracer(_SCOPE, _stock_version, kwargs.get("tracer_provider"), schema_url=schema_url)
        meter = get_meter(_SCOPE, _stock_version, kwargs.get("meter_provider"), schema_url=schema_url)
        usage = meter.create_up_down_counter(
            MetricInstruments.DB_CLIENT_CONNECTIONS_USAGE,
            unit="connections",
            description=_USAGE_DESCRIPTION,
        )
        options = (
            kwargs.get("enable_commenter", False),
            kwargs.get("commenter_options", {}),
            kwargs.get("enable_attribute_commenter", False),
        )
        for module in _CREATE_ENGINE_MODULES:
            wrap_function_wrapper(module, "create_engine", _wrap_create_engine(tracer, usage, *options))
        wrap_function_wrapper("sqlalchemy.engine.base", "Engine.connect", _wrap_connect(tracer))
        if _asyncio_importable():
            wrap_function_wrapper(
                "sqlalchemy.ext.asyncio",
                "create_async_engine",
                _wrap_create_async_engine(tracer, usage, *options),
            )
        for engine in _existing_engines():
            EngineTracer(tracer, engine, usage, *options)

    def _uninstrument(self, **_kwargs: Any) -> None:
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


def _existing_engines() -> list[Engine]:
    # One walk over the heap, at start, is the only way to find engines that nobody registered.
    return [found for found in gc.get_objects() if isinstance(found, Engine)]
