"""Redis: a client span per command and per pipeline; clients that exist already are traced too.

With the stable conventions, which are this distribution's default, commands are traced by
:mod:`ada_otel.instrument.redis._commands`; with any other, or without the fast path, by the stock code.
"""

from __future__ import annotations

from typing import Any

from opentelemetry.instrumentation.redis import RedisInstrumentor as _StockRedisInstrumentor

from ada_otel.instrument import _conventions
from ada_otel.instrument.redis import _commands

__all__ = ["RedisInstrumentor"]


class RedisInstrumentor(_StockRedisInstrumentor):
    """Instruments redis-py; see the stock ``RedisInstrumentor`` for the arguments."""

    _instance = None

    def _instrument(self, **kwargs: Any) -> None:
        # The stock code wraps every client class, sync, async and cluster; the sync ones are then ours.
        super()._instrument(**kwargs)
        if _conventions.fast():
            tracer = self._get_tracer(**kwargs)  # type: ignore[no-untyped-call]
            _commands.replace(tracer, kwargs.get("request_hook"), kwargs.get("response_hook"))
