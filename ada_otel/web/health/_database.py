"""Whether the app's databases answer: on a connection of our own, which is closed after it.

The app's pools are not touched: a pool that is used up says nothing about the database, and a check must not
take the last connection. The driver is called as the engine's own pool would call it, with a time limit added
for the drivers that have one.
"""

from __future__ import annotations

import gc
import inspect
import math
import os
import weakref
from typing import Any

from ada_otel.web.health._found import Found
from ada_otel.web.health._model import Result

#: The drivers' own names for "give up after so many seconds", while connecting and after it.
_LIMITS: dict[str, tuple[str, ...]] = {
    "psycopg": ("connect_timeout",),
    "psycopg2": ("connect_timeout",),
    "pg8000": ("timeout",),
    "pymysql": ("connect_timeout", "read_timeout", "write_timeout"),
    "mysqldb": ("connect_timeout",),
    "mysqlconnector": ("connection_timeout",),
    "oracledb": ("tcp_connect_timeout",),
    "pyodbc": ("timeout",),
    "pysqlite": ("timeout",),
}


class Databases:
    """The check."""

    def __init__(self, found: Found, limit: float) -> None:
        self._found = found
        self._limit = limit
        self._held: weakref.WeakSet[Any] = weakref.WeakSet()

    def known(self) -> bool:
        """Whether there is a database that can be asked."""
        return any(_askable(engine) for engine in self._found.engines())

    def run(self) -> Result:
        """Ask each database for a sign of life."""
        result = self._ask_all()
        if result.state == "unhealthy" and self._drop_garbage():
            result = self._ask_all()
        return result

    def _ask_all(self) -> Result:
        engines = [engine for engine in self._found.engines() if _askable(engine)]
        failures = []
        for engine in engines:
            try:
                _ping(engine, self._limit)
            except Exception as error:  # noqa: PERF203  # each database for itself
                failures.append(f"{engine.name}: {type(error).__name__}: {error}")
        figures = {"databases": len(engines), "failed": len(failures)}
        if failures:
            return Result("unhealthy", "does not answer", figures, "; ".join(failures))
        return Result(figures=figures)

    def _drop_garbage(self) -> bool:
        """Let go of engines that nothing but a cycle holds: they are not the app's any more.

        Done when an engine is seen in a failure for the first time, as a full collection takes its time.
        """
        engines = self._found.engines()
        if all(engine in self._held for engine in engines):
            return False
        before = len(engines)
        del engines
        gc.collect()
        left = self._found.engines()
        self._held.update(left)
        return len(left) < before


def _askable(engine: Any) -> bool:
    if getattr(engine.dialect, "is_async", False):
        return False
    # To open a SQLite file that is not there makes it.
    name = engine.url.database
    return (
        engine.name != "sqlite"
        or not name
        or name == ":memory:"
        or name.startswith("file:")
        or _is_file(name)
    )


def _is_file(name: str) -> bool:
    return os.path.exists(name)  # noqa: PTH110  # a name that SQLAlchemy has; no more is asked of it


def _ping(engine: Any, limit: float) -> None:
    connection = _connect(engine, limit)
    try:
        cursor = connection.cursor()
        try:
            # As SQLAlchemy itself asks where a pool has pre_ping; Oracle has another statement than others.
            select = getattr(engine.dialect, "_dialect_specific_select_one", "SELECT 1")
            cursor.execute(select)
            if cursor.description is not None:  # psycopg's statement is an empty one, without rows
                cursor.fetchone()
        finally:
            cursor.close()
    finally:
        connection.close()


def _connect(engine: Any, limit: float) -> Any:
    creator = engine.pool._creator
    # create_engine() makes the creator over the arguments that it has put together; an app's own creator
    # takes none from us.
    known = inspect.getclosurevars(creator).nonlocals if inspect.isfunction(creator) else {}
    if "cparams" not in known or engine.dialect._has_events:
        return engine.pool._invoke_creator(None) if hasattr(engine.pool, "_invoke_creator") else creator()
    seconds = max(2, math.ceil(limit))  # libpq takes whole seconds, and two at least
    limits = dict.fromkeys(_LIMITS.get(engine.driver, ()), seconds)
    arguments = known.get("cargs_tup", known.get("cargs", ()))
    return engine.dialect.connect(*arguments, **{**known["cparams"], **limits})
