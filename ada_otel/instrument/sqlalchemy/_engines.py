"""Tracing of statements, around the dialect's own calls into the database driver.

What does not change from one statement to the next is worked out once: the database's name and address per
engine, the operation per statement text. The stock code does both for each statement, makes a span per pool
checkout, and listens to SQLAlchemy's events, which alone makes a query twice as expensive: each connection
then joins the listeners of its engine and pool, 60 µs. ``Dialect.do_execute`` is called once per statement,
listeners or not, so that is what is wrapped, on each engine's dialect, when the engine first connects.
"""

from __future__ import annotations

import functools
import threading
import weakref
from collections.abc import Callable
from time import perf_counter, time_ns
from typing import Any

import sqlalchemy
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.instrumentation._semconv import (
    _get_schema_url_for_signal_types,
    _OpenTelemetryStabilitySignalType,
    _StabilityMode,
)
from opentelemetry.instrumentation.sqlalchemy.engine import (
    _get_attributes_from_cursor_or_conn,
    _get_db_name_from_cursor_or_conn,
)
from opentelemetry.instrumentation.sqlcommenter_utils import _add_sql_comment
from opentelemetry.instrumentation.utils import _get_opentelemetry_values
from opentelemetry.metrics import get_meter
from opentelemetry.trace import SpanKind
from opentelemetry.trace.status import Status, StatusCode
from sqlalchemy.engine import Engine
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from ada_otel._diagnostics import failed
from ada_otel.instrument._conventions import SUPPRESSED, SUPPRESSED_AS_WELL, suppressed
from ada_otel.instrument._operations import Durations, histogram
from ada_otel.instrument.sqlalchemy._pools import PoolUsage
from ada_otel.instrument.sqlalchemy._statements import EngineFacts, Statement, Statements, span_name
from ada_otel.instrument.sqlalchemy._stock import SCOPE, STOCK_VERSION
from ada_otel.observers import targets
from ada_otel.pipeline.current import attach, detach, get_current
from ada_otel.pipeline.tracing.begin import begin_with, drops_children_with
from ada_otel.pipeline.tracing.span import error_status

_DATABASE, _HTTP = _StabilityMode.DATABASE, _StabilityMode.HTTP
_FACTS = "_ada_otel_facts"
#: Databases that take no offence at a connection without a word. MySQL and MariaDB do: after 100 of them they
#: refuse the host (``max_connect_errors``).
_PORTS = {"postgresql": 5432, "mssql": 1433, "microsoft.sql_server": 1433, "oracle": 1521, "oracle.db": 1521}
#: The dialect's ways to run a statement.
_EXECUTING = ("do_execute", "do_executemany", "do_execute_no_params")


class EngineTracing:
    """The listeners, and what they share."""

    def __init__(self, options: dict[str, Any]) -> None:
        """Take the keyword arguments of the stock ``SQLAlchemyInstrumentor.instrument``."""
        schema = _get_schema_url_for_signal_types(
            [_OpenTelemetryStabilitySignalType.DATABASE, _OpenTelemetryStabilitySignalType.HTTP]
        )
        tracer = trace.get_tracer(SCOPE, STOCK_VERSION, options.get("tracer_provider"), schema_url=schema)
        meter = get_meter(SCOPE, STOCK_VERSION, options.get("meter_provider"), schema_url=schema)
        self._begin = begin_with(tracer)
        self._drops = drops_children_with(tracer)
        self._commenter = bool(options.get("enable_commenter", False))
        self._commenter_options: dict[str, Any] = options.get("commenter_options") or {}
        self._comment_in_attribute = bool(options.get("enable_attribute_commenter", False))
        self._usage = PoolUsage(meter)
        self._duration = histogram(meter)
        self._dialects: list[weakref.ref[Any]] = []
        self._initializing: set[int] = set()
        self._connect: Callable[..., Any] = Engine.connect

    def install(self) -> None:
        """Trace every engine, those that exist and those to come, from its next connection on."""
        original = self._connect

        @functools.wraps(original)
        def connect(engine: Engine, *args: Any, **kwargs: Any) -> Any:
            facts = getattr(engine, _FACTS, None)
            if facts is None:
                if _suppressed():
                    return original(engine, *args, **kwargs)
                facts = self._learn(engine)
            started = time_ns()
            try:
                return original(engine, *args, **kwargs)
            except BaseException as error:
                if not _suppressed():
                    if isinstance(error, PoolTimeoutError):
                        self._usage.timed_out(engine)
                    self._connect_failed(facts, started, error)
                raise

        Engine.connect = connect  # type: ignore[method-assign, assignment]

    def remove(self) -> None:
        """Stop tracing, and leave every dialect as it was."""
        Engine.connect = self._connect  # type: ignore[method-assign]
        for reference in self._dialects:
            dialect = reference()
            if dialect is not None:
                for name in (*_EXECUTING, "connect", "initialize", _FACTS):
                    vars(dialect).pop(name, None)
        self._usage.stop()

    def _wrap(self, dialect: Any, facts: EngineFacts) -> None:
        """Put tracing around what a dialect does; engines that share a dialect share that, too."""
        if hasattr(dialect, _FACTS):
            return
        setattr(dialect, _FACTS, facts)
        self._dialects.append(weakref.ref(dialect))
        for name in _EXECUTING:
            setattr(dialect, name, self._traced(getattr(dialect, name), facts))
        connect = dialect.connect

        @functools.wraps(connect)
        def traced_connect(*arguments: Any, **parameters: Any) -> Any:
            started = time_ns()
            made = connect(*arguments, **parameters)
            if not _suppressed():
                self._connected(facts, started)
            return made

        dialect.connect = traced_connect
        initialize = dialect.initialize

        @functools.wraps(initialize)
        def untraced_initialize(connection: Any) -> None:
            # What SQLAlchemy asks a new database about itself is none of the app's statements.
            thread = threading.get_ident()
            self._initializing.add(thread)
            try:
                initialize(connection)
            finally:
                self._initializing.discard(thread)

        dialect.initialize = untraced_initialize

    def _traced(self, execute: Callable[..., Any], facts: EngineFacts) -> Callable[..., Any]:
        statements = Statements(facts, Durations(self._duration, facts.attributes))
        simple = not (facts.asks_cursor or self._commenter)
        begin, drops, initializing = self._begin, self._drops, self._initializing

        @functools.wraps(execute)
        def traced(cursor: Any, statement: str, *rest: Any, **named: Any) -> Any:
            current = get_current()
            if ((SUPPRESSED in current or SUPPRESSED_AS_WELL in current) and suppressed(current)) or (
                initializing and threading.get_ident() in initializing
            ):
                return execute(cursor, statement, *rest, **named)
            told = statements.get(statement) or statements.find(statement)
            span, commented = None, statement
            if not drops(current):
                if simple:
                    span = begin(told.name, SpanKind.CLIENT, current, told.attributes)
                else:
                    context = named.get("context") or (rest[-1] if rest else None)
                    span, commented = self._start(facts, cursor, statement, context, current)
            started = perf_counter()
            try:
                made = execute(cursor, commented, *rest, **named)
            except BaseException as error:
                self._failed(span, told, perf_counter() - started, error)
                raise
            if span is None:
                told.duration.take(perf_counter() - started)
                return made
            told.duration.record(perf_counter() - started, None, span.get_span_context())
            try:
                span.end()
            except Exception as error:
                failed("Ending a statement's span", error)
            return made

        return traced

    @staticmethod
    def _failed(span: trace.Span | None, told: Statement, seconds: float, failure: BaseException) -> None:
        try:
            duration = told.failed(failure)
            if span is None:
                duration.take(seconds)
                return
            duration.record(seconds, None, span.get_span_context())
            if isinstance(failure, Exception):
                span.set_status(Status(StatusCode.ERROR, str(failure)))
            span.end()
        except Exception as error:
            failed("Ending a statement's span", error)

    def _start(
        self, facts: EngineFacts, cursor: Any, statement: str, context: Any, current: Context
    ) -> tuple[trace.Span | None, str]:
        try:
            name, base = facts.name, facts.attributes
            if facts.asks_cursor:
                name, base = _ask_cursor(facts, context.root_connection, cursor)
            operation = span_name(statement, name, facts.vendor)
            span = self._begin(
                operation,
                SpanKind.CLIENT,
                current,
                lambda: {**base, "db.query.text": statement, "db.operation.name": operation},
            )
            if self._commenter and span.is_recording():
                commented = self._comment(context.root_connection, statement, span)
                if self._comment_in_attribute:
                    span.set_attribute("db.query.text", commented)
                return span, commented
        except Exception as error:
            failed("Tracing a statement", error)
            return None, statement
        return span, statement

    def _connected(self, facts: EngineFacts, started: int) -> None:
        try:
            self._connect_span(facts, started).end()
        except Exception as error:
            failed("Tracing a connection", error)

    def _connect_failed(self, facts: EngineFacts, started: int, error: BaseException) -> None:
        try:
            span = self._connect_span(facts, started)
            if isinstance(error, Exception):
                span.record_exception(error)
                span.set_status(error_status(error))
            span.end()
        except Exception as problem:
            failed("Tracing a failed connection", problem)

    def _connect_span(self, facts: EngineFacts, started: int) -> trace.Span:
        return self._begin(
            "connect",
            SpanKind.CLIENT,
            get_current(),
            lambda: dict(facts.attributes),
            start_time=started,
        )

    def _learn(self, engine: Engine) -> EngineFacts:
        facts = EngineFacts(engine)
        setattr(engine, _FACTS, facts)
        self._wrap(engine.dialect, facts)
        self._usage.add(engine)
        _note_target(engine.url, facts.vendor)
        return facts

    def _comment(self, conn: Any, statement: str, span: trace.Span) -> str:
        # The comment names the statement's own span as the parent of what the database does.
        token = attach(trace.set_span_in_context(span))
        try:
            return _add_sql_comment(statement, **self._tags(conn))
        finally:
            detach(token)

    def _tags(self, conn: Any) -> dict[str, Any]:
        tags = {"db_driver": conn.engine.driver, "db_framework": f"sqlalchemy:{sqlalchemy.__version__}"}
        if self._commenter_options.get("opentelemetry_values", True):
            tags.update(_get_opentelemetry_values())
        return {key: value for key, value in tags.items() if self._commenter_options.get(key, True)}


def _ask_cursor(facts: EngineFacts, conn: Any, cursor: Any) -> tuple[str | None, dict[str, Any]]:
    name = _get_db_name_from_cursor_or_conn(facts.vendor, conn, cursor)
    base = dict(facts.attributes)
    if "server.address" not in base:
        base = _get_attributes_from_cursor_or_conn(facts.vendor, conn, cursor, base, _DATABASE, _HTTP)
    return name, base


def _note_target(url: Any, vendor: str) -> None:
    """Have the database's address tried now and then, where that does no harm."""
    if vendor in _PORTS:
        targets.note("database", url.host, url.port or _PORTS[vendor])


def _suppressed() -> bool:
    return suppressed(get_current())
