"""The SQLAlchemy engines and Redis pools of the process, found without the app's help.

Engines that have connected once are known to the instrumentation. For all else nobody keeps a list: one walk
over the heap finds them (30 ms for half a million objects, in the background); the next is made after 30
seconds where a library is imported and nothing of it was found, and else after five minutes.
"""

from __future__ import annotations

import gc
import sys
import time
import weakref
from typing import Any

_FOUND_FOR = 300.0
_MISSED_FOR = 30.0


class Found:
    """What the last walk has found, held weakly."""

    def __init__(self) -> None:
        self._engines: weakref.WeakSet[Any] = weakref.WeakSet()
        self._pools: weakref.WeakSet[Any] = weakref.WeakSet()
        self._next = 0.0

    def engines(self) -> list[Any]:
        """SQLAlchemy engines; one for each database and user, not for each engine."""
        self._look()
        for engine in _connected_engines():
            self._engines.add(engine)
        return list({str(engine.url): engine for engine in list(self._engines)}.values())

    def pools(self) -> list[Any]:
        """Connection pools of redis-py's synchronous clients; one for each server and database."""
        self._look()
        return list({_address(pool): pool for pool in list(self._pools)}.values())

    def _look(self) -> None:
        now = time.monotonic()
        if now < self._next:
            return
        engine_type = _type("sqlalchemy.engine", "Engine")
        pool_type = _type("redis.connection", "ConnectionPool")
        wanted = tuple(kind for kind in (engine_type, pool_type) if kind is not None)
        if wanted:
            for found in gc.get_objects():
                # type() and not isinstance(): a proxy's __class__ may run the app's code.
                kind = type(found)
                if engine_type is not None and issubclass(kind, engine_type):
                    self._engines.add(found)
                elif pool_type is not None and issubclass(kind, pool_type):
                    self._pools.add(found)
        missed = (engine_type and not self._engines) or (pool_type and not self._pools)
        self._next = now + (_MISSED_FOR if missed else _FOUND_FOR)


def _connected_engines() -> list[Any]:
    module = sys.modules.get("ada_otel.instrument.sqlalchemy")
    tracing = module.SQLAlchemyInstrumentor()._tracing if module is not None else None
    return [] if tracing is None else list(tracing._usage._engines)


def _type(module: str, name: str) -> Any:
    """A class of a module that the app has imported."""
    return getattr(sys.modules.get(module), name, None)


def _address(pool: Any) -> tuple[Any, ...]:
    options = pool.connection_kwargs
    return tuple(options.get(key) for key in ("host", "port", "path", "db"))
