"""SQLAlchemy: a client span per statement, for engines of every version from 1.4 to 2.1.

With the stable conventions, which are this distribution's default, engines are traced by
:mod:`ada_otel.instrument.sqlalchemy._engines`; with any other, or without the fast path, by the stock code.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from opentelemetry.instrumentation.sqlalchemy import SQLAlchemyInstrumentor as _StockSQLAlchemyInstrumentor

from ada_otel.instrument import _conventions
from ada_otel.instrument.sqlalchemy import _engines, _stock

__all__ = ["SQLAlchemyInstrumentor"]


class SQLAlchemyInstrumentor(_StockSQLAlchemyInstrumentor):
    """Instruments SQLAlchemy; see the stock ``SQLAlchemyInstrumentor`` for the arguments.

    Every engine of the process is traced, also one that existed before.
    """

    _instance = None
    _tracing: _engines.EngineTracing | None = None

    def instrumentation_dependencies(self) -> Collection[str]:
        """Give the versions that are traced; the tests run the lowest and the highest."""
        return ("sqlalchemy >= 1.4.0, < 2.2.0",)

    def _instrument(self, **kwargs: Any) -> None:
        if _conventions.fast():
            self._tracing = _engines.EngineTracing(kwargs)
            self._tracing.install()
        else:
            _stock.instrument(**kwargs)

    def _uninstrument(self, **_kwargs: Any) -> None:
        tracing, self._tracing = self._tracing, None
        if tracing is None:
            _stock.uninstrument()
        else:
            tracing.remove()
