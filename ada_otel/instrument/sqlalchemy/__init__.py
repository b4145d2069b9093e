"""SQLAlchemy: a client span per statement, for engines of every version from 1.4 to 2.1.

With the stable conventions, which are this distribution's default, engines are traced by
:mod:`ada_otel.instrument.sqlalchemy._engines`; with any other, or without the fast path, by the stock code.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from opentelemetry.instrumentation.sqlalchemy import SQLAlchemyInstrumentor as _StockSQLAlchemyInstrumentor

from ada_otel.instrument import _conventions
from ada_otel.instrument._fallback import fast_part

if TYPE_CHECKING:
    from ada_otel.instrument.sqlalchemy._engines import EngineTracing

__all__ = ["SQLAlchemyInstrumentor"]

_engines = fast_part("ada_otel.instrument.sqlalchemy._engines", "sqlalchemy")
_stock = fast_part("ada_otel.instrument.sqlalchemy._stock", "sqlalchemy")


class SQLAlchemyInstrumentor(_StockSQLAlchemyInstrumentor):
    """Instruments SQLAlchemy; see the stock ``SQLAlchemyInstrumentor`` for the arguments.

    Every engine of the process is traced, also one that existed before.
    """

    _instance = None
    _tracing: EngineTracing | None = None

    def instrumentation_dependencies(self) -> Collection[str]:
        """Give the versions that are traced; the tests run the lowest and the highest."""
        return ("sqlalchemy >= 1.4.0, < 2.2.0",)

    def _instrument(self, **kwargs: Any) -> None:
        if _stock is None:
            super()._instrument(**kwargs)  # type: ignore[no-untyped-call]
        elif _engines is None or not _conventions.fast():
            _stock.instrument(**kwargs)
        else:
            tracing = self._tracing = _engines.EngineTracing(kwargs)
            tracing.install()

    def _uninstrument(self, **kwargs: Any) -> None:
        tracing, self._tracing = self._tracing, None
        if tracing is not None:
            tracing.remove()
        elif _stock is None:
            super()._uninstrument(**kwargs)  # type: ignore[no-untyped-call]
        else:
            _stock.uninstrument()
