"""Redis: a client span per command and per pipeline; clients that exist already are traced too.

With the stable conventions, which are this distribution's default, commands are traced by
:mod:`ada_otel.instrument.redis._commands`; with any other, or without the fast path, by the stock code.
"""

from __future__ import annotations

from typing import Any

from opentelemetry.instrumentation.redis import RedisInstrumentor as _StockRedisInstrumentor
from opentelemetry.instrumentation.redis.version import __version__ as _stock_version
from opentelemetry.metrics import get_meter

from ada_otel.instrument import _conventions
from ada_otel.instrument._fallback import fast_part

__all__ = ["RedisInstrumentor"]

_commands = fast_part("ada_otel.instrument.redis._commands", "redis")

_SCOPE = "opentelemetry.instrumentation.redis"


class RedisInstrumentor(_StockRedisInstrumentor):
    """Instruments redis-py; see the stock ``RedisInstrumentor`` for the arguments."""

    _instance = None

    def _instrument(self, **kwargs: Any) -> None:
        # The stock code wraps every client class, sync, async and cluster; the sync ones are then ours.
        super()._instrument(**kwargs)
        if _commands is not None and _conventions.fast():
            tracer = self._get_tracer(**kwargs)  # type: ignore[no-untyped-call]
            meter = get_meter(_SCOPE, _stock_version, kwargs.get("meter_provider"))
            _commands.replace(tracer, meter, kwargs.get("request_hook"), kwargs.get("response_hook"))

    def _uninstrument(self, **kwargs: Any) -> None:
        if _commands is not None:
            _commands.remove()
        super()._uninstrument(**kwargs)
