"""Statements through SQLAlchemy: SQLite, sync and async, and PostgreSQL."""

# ruff: noqa: PERF203 - each case goes on after its errors

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import os
from collections.abc import Callable
from typing import Any

import sqlalchemy
from opentelemetry.instrumentation.utils import suppress_instrumentation
from sqlalchemy import event, text
from sqlalchemy.engine import Engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from sqlalchemy.pool import NullPool, QueuePool, StaticPool

from tests.parity.kit import Case, Kit
from tests.parity.sampling_cases import drop_all

_POSTGRESQL = ("PARITY_DATABASE_URL",)
_MEMORY = "sqlite:///:memory:"


class _Base(DeclarativeBase):
    pass


class _Thing(_Base):
    __tablename__ = "thing"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


def _engine(
    kit: Kit, url: str = _MEMORY, *, instrument: dict[str, Any] | None = None, **options: Any
) -> Engine:
    kit.instrument("sqlalchemy", **(instrument or {}))
    engine = sqlalchemy.create_engine(url, **options)
    # Each real connection is counted, for what is said of "connect" spans.
    kit.notes["connections"] = 0

    statements = kit.notes.setdefault("statements", [])

    def executed(statement: str) -> None:
        # Trace and span ids in comments differ from run to run.
        text, marked, rest = statement.partition("traceparent='00-")
        statements.append(text + marked)
        if marked and "parent" in kit.notes:
            kit.notes["own span in comment"] = kit.notes["parent"] not in rest

    def connected(connection: Any, _record: Any) -> None:
        kit.notes["connections"] += 1
        if hasattr(connection, "set_trace_callback"):
            connection.set_trace_callback(executed)

    event.listen(engine, "connect", connected)
    return engine


def _statements(
    *statements: str, url: str | None = _MEMORY, span: bool = True, **options: Any
) -> Callable[[Kit], None]:
    def run(kit: Kit) -> None:
        engine = _engine(kit, url or os.environ["PARITY_DATABASE_URL"], **options)
        with kit.tracer.start_as_current_span("outside") if span else contextlib.nullcontext() as outside:
            if outside is not None:
                kit.notes["parent"] = f"{outside.get_span_context().span_id:016x}"
            with engine.connect() as connection:
                for statement in statements:
                    try:
                        connection.execute(text(statement))
                    except sqlalchemy.exc.SQLAlchemyError as error:
                        kit.notes.setdefault("errors", []).append(type(error).__name__)
                        connection.rollback()
            with engine.begin() as connection:
                connection.execute(text("SELECT 2"))
        kit.notes.pop("parent", None)
        engine.dispose()

    return run


def _many(url: str | None) -> Callable[[Kit], None]:
    def run(kit: Kit) -> None:
        engine = _engine(kit, url or os.environ["PARITY_DATABASE_URL"])
        with kit.tracer.start_as_current_span("outside"), engine.begin() as connection:
            connection.execute(text("CREATE TEMPORARY TABLE many (id INTEGER)"))
            connection.execute(text("INSERT INTO many VALUES (:id)"), [{"id": 1}, {"id": 2}, {"id": 3}])
            kit.notes["rows"] = len(connection.execute(text("SELECT id FROM many")).fetchall())
        engine.dispose()

    return run


def _orm(url: str | None) -> Callable[[Kit], None]:
    def run(kit: Kit) -> None:
        engine = _engine(kit, url or os.environ["PARITY_DATABASE_URL"])
        with kit.tracer.start_as_current_span("outside"):
            _Base.metadata.drop_all(engine)
            _Base.metadata.create_all(engine)
            with Session(engine) as session:
                session.add_all([_Thing(name="a"), _Thing(name="b")])
                session.commit()
                kit.notes["names"] = [thing.name for thing in session.query(_Thing).order_by(_Thing.name)]
            _Base.metadata.drop_all(engine)
        engine.dispose()

    return run


def _async(url: str | None) -> Callable[[Kit], None]:
    def run(kit: Kit) -> None:
        # Stock wraps the function itself: it must be looked up after that.
        import sqlalchemy.ext.asyncio as sqlalchemy_asyncio

        async def work() -> None:
            engine = sqlalchemy_asyncio.create_async_engine(url or os.environ["PARITY_DATABASE_URL"])
            kit.notes["connections"] = 0
            event.listen(
                engine.sync_engine,
                "connect",
                lambda *_: kit.notes.update(connections=kit.notes["connections"] + 1),
            )
            with kit.tracer.start_as_current_span("outside"):
                async with engine.connect() as connection:
                    await connection.execute(text("SELECT 1"))
                    try:
                        await connection.execute(text("SELECT * FROM nowhere"))
                    except sqlalchemy.exc.SQLAlchemyError as error:
                        kit.notes["error"] = type(error).__name__
                        await connection.rollback()
            await engine.dispose()

        kit.instrument("sqlalchemy")
        asyncio.run(work())

    return run


def _pool(pool: Any, **options: Any) -> Callable[[Kit], None]:
    def run(kit: Kit) -> None:
        engine = _engine(kit, poolclass=pool, **options)
        one, two = engine.connect(), engine.connect()
        one.close()
        kit.notes["open"] = not two.closed
        two.close()

    return run


def _held(kit: Kit) -> None:
    engine = _engine(kit, "sqlite://", poolclass=QueuePool, pool_logging_name="orders")
    kit.notes["held"] = repr(engine.connect()) != ""
    kit._undo.insert(0, engine.dispose)
    kit.notes["kept"] = [engine.connect(), engine.connect()]
    kit.notes["kept"].pop().close()
    kept = kit.notes.pop("kept")
    kit._undo.insert(0, lambda: [each.close() for each in kept])


def _shared_pool(kit: Kit) -> None:
    engine = _engine(kit, poolclass=QueuePool)
    other = engine.execution_options(stream_results=False)
    with engine.connect() as one, other.connect() as two:
        one.execute(text("SELECT 1"))
        two.execute(text("SELECT 2"))


def _refused(kit: Kit) -> None:
    engine = _engine(kit, "postgresql+psycopg://ada:ada@127.0.0.1:9/ada")
    with kit.tracer.start_as_current_span("outside"):
        try:
            engine.connect()
        except sqlalchemy.exc.OperationalError as error:
            kit.notes["error"] = type(error).__name__


def _suppressed(kit: Kit) -> None:
    engine = _engine(kit)
    with suppress_instrumentation(), engine.connect() as connection:
        connection.execute(text("SELECT 1"))
    del kit.notes["connections"]


def _uninstrumented(kit: Kit) -> None:
    engine = _engine(kit)
    with engine.connect() as connection:
        connection.execute(text("SELECT 1"))
    kit.finish()
    kit.notes["uninstrumented"] = True
    with engine.connect() as connection:
        connection.execute(text("SELECT 2"))


def _existing(kit: Kit) -> None:
    engine = sqlalchemy.create_engine(_MEMORY)
    with engine.connect() as connection:
        connection.execute(text("SELECT 0"))
    kit.instrument("sqlalchemy")
    with engine.connect() as connection:
        connection.execute(text("SELECT 1"))


_COMMENTED = {"enable_commenter": True}
_IN_ATTRIBUTE = {**_COMMENTED, "enable_attribute_commenter": True}
_SOME_TAGS = {**_COMMENTED, "commenter_options": {"db_driver": False, "opentelemetry_values": False}}
_CONNECT = "connect-span"

CASES: list[Case] = [
    Case("sql: select", _statements("SELECT 1"), (_CONNECT,)),
    Case("sql: select, no parent", _statements("SELECT 1", span=False), (_CONNECT,)),
    Case("sql: errors", _statements("SELECT * FROM nowhere", "SELEC 1"), (_CONNECT,)),
    Case(
        "sql: leading comment", _statements("/* hint */ SELECT 1", "/* two\nlines */ SELECT 1"), (_CONNECT,)
    ),
    Case("sql: odd texts", _statements("-- nothing\nSELECT 1", "/* only */", "  select\t1"), (_CONNECT,)),
    Case("sql: long", _statements("SELECT '" + "x" * 6000 + "'"), (_CONNECT,)),
    Case("sql: executemany", _many(_MEMORY)),
    Case("sql: ORM", _orm(_MEMORY), (_CONNECT,)),
    Case("sql: commenter", _statements("SELECT 1", "SELECT 1;", instrument=_COMMENTED), (_CONNECT,)),
    Case("sql: commenter, some tags", _statements("SELECT 1", instrument=_SOME_TAGS), (_CONNECT,)),
    Case("sql: commenter, not sampled", _statements("SELECT 1", instrument=_COMMENTED), sampler=drop_all),
    Case("sql: not sampled", _statements("SELECT 1", "SELECT * FROM nowhere"), sampler=drop_all),
    Case(
        "sql: commenter in attribute",
        _statements("SELECT 1", span=False, instrument=_SOME_TAGS | _IN_ATTRIBUTE),
        (_CONNECT,),
    ),
    *(Case(f"sql: pool {pool.__name__}", _pool(pool)) for pool in (QueuePool, NullPool)),
    Case(
        "sql: pool StaticPool",
        _statements("SELECT 1", poolclass=StaticPool, pool_logging_name="static"),
        (_CONNECT,),
    ),
    Case("sql: pool in use", _held, (_CONNECT,)),
    Case("sql: two engines, one pool", _shared_pool),
    Case("sql: connection refused", _refused, ("pool-usage",)),
    Case("sql: suppressed", _suppressed),
    Case("sql: engine that existed", _existing, ("every-engine",)),
    Case("sql: uninstrumented", _uninstrumented, ("pool-usage",)),
    Case(
        "sql: PostgreSQL",
        _statements("SELECT 1", "SELECT * FROM nowhere", url=None),
        (_CONNECT,),
        needs=_POSTGRESQL,
    ),
    Case("sql: PostgreSQL, executemany", _many(None), (), needs=_POSTGRESQL),
    Case("sql: PostgreSQL, ORM", _orm(None), (_CONNECT,), needs=_POSTGRESQL),
    Case("sql: PostgreSQL, async", _async(None), (), needs=_POSTGRESQL),
]
if importlib.util.find_spec("aiosqlite") is not None:
    CASES.append(Case("sql: async", _async("sqlite+aiosqlite://")))
