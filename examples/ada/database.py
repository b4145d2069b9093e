"""The database: one engine per process, made ready on first use, safe under ``gunicorn --preload``."""

from __future__ import annotations

import logging
import os
import threading
import time
import weakref
from typing import Any, cast

from flask import current_app
from sqlalchemy import URL, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.orm import Session

from .models import Base, seed
from .settings import Settings, SettingsError

logger = logging.getLogger(__name__)

#: Any number, as long as nothing else in the same PostgreSQL takes it for an advisory lock.
_SCHEMA_LOCK = 5_318_008


class Database:
    """Hands out sessions. Tables and first rows are made when a session is first asked for, if need be."""

    def __init__(self, settings: Settings) -> None:
        self.engine = _make_engine(settings)
        self._ready = False
        self._lock = threading.Lock()
        _forget_connections_after_fork(self)

    def session(self) -> Session:
        """A new session, to be used as a context manager.

        Raises:
            SQLAlchemyError: the database cannot be reached.
        """
        self.prepare()
        return Session(self.engine, expire_on_commit=False)

    def prepare(self) -> None:
        """Make the tables and their first rows; several processes may do so at the same time."""
        if self._ready:
            return
        with self._lock:
            if self._ready:
                return
            with self.engine.connect() as connection:
                if connection.dialect.name == "sqlite":
                    connection.exec_driver_sql("BEGIN IMMEDIATE")
                elif connection.dialect.name == "postgresql":
                    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _SCHEMA_LOCK})
                Base.metadata.create_all(connection)
                with Session(connection) as session:
                    seed(session)
                    connection.commit()
            self._ready = True

    def try_to_prepare(self) -> None:
        """As `prepare`, for the start of the app: a database that is away is only logged."""
        try:
            self.prepare()
        except SQLAlchemyError:
            logger.warning("The database is not there yet; the first request tries again", exc_info=True)
        finally:
            # A connection that is open now would be shared by all workers after a fork.
            self.engine.dispose()

    def after_fork(self) -> None:
        """In a forked child: leave the parent's connections and lock alone, and start with fresh ones."""
        self._lock = threading.Lock()
        self.engine.dispose(close=False)


def database() -> Database:
    """The database of the current app."""
    return cast("Database", current_app.extensions["ada.database"])


def _make_engine(settings: Settings) -> Engine:
    try:
        return _engine_for(make_url(settings.database_url), settings)
    except (ArgumentError, ImportError) as error:
        raise SettingsError(
            f"DATABASE_URL cannot be used ({error}); for example sqlite:///ada.db "
            "or postgresql+psycopg://ada@127.0.0.1/ada"
        ) from error


def _engine_for(url: URL, settings: Settings) -> Engine:
    if url.get_backend_name() != "sqlite":
        return create_engine(
            url,
            pool_size=settings.pool_size,
            max_overflow=0,
            pool_timeout=3,
            pool_pre_ping=True,
            connect_args={"connect_timeout": 3} if url.get_backend_name() == "postgresql" else {},
        )
    if url.database in {None, "", ":memory:"}:
        raise ArgumentError("SQLite in memory is not shared between connections: name a file")
    engine = create_engine(
        url, connect_args={"timeout": 10}, pool_size=settings.pool_size, max_overflow=0, pool_timeout=3
    )
    event.listen(engine, "connect", _prepare_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    # WAL lets readers go on beside a writer; the slow route asks for PostgreSQL's pg_sleep by name.
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.execute("PRAGMA foreign_keys=ON")
    connection.create_function("pg_sleep", 1, time.sleep)


def _forget_connections_after_fork(database: Database) -> None:
    # By weak reference: a hook cannot be taken away again, and must not keep the database alive.
    reference = weakref.ref(database)

    def after_fork() -> None:
        alive = reference()
        if alive is not None:
            alive.after_fork()

    os.register_at_fork(after_in_child=after_fork)
