"""Redis: a client span per command and per pipeline; clients that exist already are traced too."""

from __future__ import annotations

from opentelemetry.instrumentation.redis import RedisInstrumentor as _StockRedisInstrumentor

__all__ = ["RedisInstrumentor"]


class RedisInstrumentor(_StockRedisInstrumentor):
    """The stock instrumentor, with an instance of its own, so that both can be told apart."""

    _instance = None
