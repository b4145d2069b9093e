"""Connection pool usage, read when metrics are collected.

The stock code adds to four counters on each checkout and checkin, 40 µs a query. A queue pool knows its own
numbers, and one that holds a connection for good can be looked at; for other pools two integers are kept.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterable, Iterator
from typing import Any

from opentelemetry.instrumentation.sqlalchemy.engine import _get_attributes_from_engine
from opentelemetry.metrics import CallbackOptions, Meter, Observation
from sqlalchemy import event
from sqlalchemy.engine import Engine
from sqlalchemy.pool import QueuePool, SingletonThreadPool, StaticPool

from ada_otel import catalogue
from ada_otel.pipeline.fork import on_fork

#: Listening to a pool costs 14 µs a query: these are looked at instead.
_COUNTABLE = (QueuePool, SingletonThreadPool, StaticPool)


class PoolUsage:
    """What is in use and idle, per pool; and of queue pools the limit, who waits, and who waited in vain."""

    def __init__(self, meter: Meter) -> None:
        self._engines: weakref.WeakKeyDictionary[Engine, _Counts | None] = weakref.WeakKeyDictionary()
        self._stopped = False
        self._timeouts: weakref.WeakKeyDictionary[Engine, int] = weakref.WeakKeyDictionary()
        on_fork(self._renew)
        for name, observe in (
            ("db.client.connections.usage", self._observe),
            ("db.client.connection.max", self._observe_max),
            ("db.client.connection.pending_requests", self._observe_pending),
            ("db.client.connection.timeouts", self._observe_timeouts),
        ):
            catalogue.create(meter, catalogue.metric(name), [observe])

    def _renew(self) -> None:
        # The parent's timeouts are the parent's to report.
        self._timeouts = weakref.WeakKeyDictionary()

    def timed_out(self, engine: Engine) -> None:
        """Count a request that waited for a connection in vain."""
        self._timeouts[engine] = self._timeouts.get(engine, 0) + 1

    def add(self, engine: Engine) -> None:
        """Report an engine's pool from now on; held weakly."""
        if isinstance(engine.pool, _COUNTABLE):
            self._engines[engine] = None
        else:
            counts = self._engines[engine] = _Counts()
            counts.listen(engine)

    def stop(self) -> None:
        """Report nothing any more."""
        self._stopped = True
        for engine, counts in list(self._engines.items()):
            if counts is not None:
                counts.stop_listening(engine)
        self._engines.clear()

    def _observe(self, _options: CallbackOptions) -> Iterable[Observation]:
        if self._stopped:
            return
        seen: set[int] = set()
        for engine, counts in list(self._engines.items()):
            # dispose() gives an engine a new pool, so the pool is looked up each time. The engines that
            # execution_options() makes share theirs, which counts once.
            pool: Any = engine.pool
            if id(pool) in seen:
                continue
            seen.add(id(pool))
            if counts is not None:
                idle, used = counts.idle, counts.used
            else:
                idle, used = _count(pool)
            name = _get_attributes_from_engine(engine)
            yield Observation(idle, {**name, "state": "idle"})
            yield Observation(used, {**name, "state": "used"})

    def _queue_pools(self) -> Iterator[tuple[Engine, Any, dict[str, Any]]]:
        if self._stopped:
            return
        seen: set[int] = set()
        for engine in list(self._engines):
            pool: Any = engine.pool
            if isinstance(pool, QueuePool) and id(pool) not in seen:
                seen.add(id(pool))
                name = _get_attributes_from_engine(engine)["pool.name"]
                yield engine, pool, {"db.client.connection.pool.name": name}

    def _observe_max(self, _options: CallbackOptions) -> Iterable[Observation]:
        for _engine, pool, name in self._queue_pools():
            if pool._max_overflow >= 0:  # -1 is no limit
                yield Observation(pool.size() + pool._max_overflow, name)

    def _observe_pending(self, _options: CallbackOptions) -> Iterable[Observation]:
        for _engine, pool, name in self._queue_pools():
            waiting = _waiting(pool)
            if waiting is not None:
                yield Observation(waiting, name)

    def _observe_timeouts(self, _options: CallbackOptions) -> Iterable[Observation]:
        for engine, _pool, name in self._queue_pools():
            yield Observation(self._timeouts.get(engine, 0), name)


def _waiting(pool: Any) -> int | None:
    """Threads that wait for a connection; ``None`` where the queue has no such condition, as asyncio's."""
    condition = getattr(pool._pool, "not_empty", None)
    waiters = getattr(condition, "_waiters", None)
    return None if waiters is None else len(waiters)


def _count(pool: Any) -> tuple[int, int]:
    """Idle and used connections of a pool that can be asked."""
    if isinstance(pool, QueuePool):
        return pool.checkedin(), pool.checkedout()
    if isinstance(pool, SingletonThreadPool):
        # A connection per thread, never given back: between two statements each is idle.
        return len(pool._all_conns), 0
    return int("connection" in vars(pool)), 0


class _Counts:
    """Connections of a pool that does not count them itself."""

    def __init__(self) -> None:
        self.idle = self.used = 0
        self._lock = threading.Lock()
        on_fork(self._renew)

    def listen(self, engine: Engine) -> None:
        for name, listener in self._listeners():
            event.listen(engine, name, listener)

    def stop_listening(self, engine: Engine) -> None:
        for name, listener in self._listeners():
            event.remove(engine, name, listener)

    def _listeners(self) -> list[tuple[str, Any]]:
        return [
            ("connect", self._connected),
            ("close", self._closed),
            ("checkout", self._checked_out),
            ("checkin", self._checked_in),
        ]

    def _connected(self, _connection: Any, _record: Any) -> None:
        self._change(1, 0)

    def _closed(self, _connection: Any, _record: Any) -> None:
        self._change(-1, 0)

    def _checked_out(self, _connection: Any, _record: Any, _proxy: Any) -> None:
        self._change(-1, 1)

    def _checked_in(self, _connection: Any, _record: Any) -> None:
        self._change(1, -1)

    def _change(self, idle: int, used: int) -> None:
        with self._lock:
            self.idle += idle
            self.used += used

    def _renew(self) -> None:
        # The parent's connections are the parent's to report.
        self._lock = threading.Lock()
        self.idle = self.used = 0
