"""What is known of an engine and of its statements before one is run."""

from __future__ import annotations

import re
from collections.abc import Callable

from opentelemetry.instrumentation._semconv import _StabilityMode
from opentelemetry.instrumentation.sqlalchemy.engine import _get_attributes_from_url, _normalize_vendor
from sqlalchemy.engine import Engine

from ada_otel.instrument._operations import Durations, sql_operation
from ada_otel.pipeline.grouped import Group, GroupedAttributes
from ada_otel.pipeline.metrics import BoundHistogram

#: Statements that are remembered; texts longer than this are not worth holding.
_STATEMENTS, _LONGEST_REMEMBERED = 1024, 4096
_LEADING_COMMENT = re.compile(r"^/\*.*?\*/")


class EngineFacts:
    """What is the same for every statement of an engine.

    Attributes:
        attributes: Span attributes: system, namespace, server.
        group: The same.
        name: The database's name for the span's name.
        asks_cursor: Whether attributes or name depend on the cursor's connection, for each statement.
        vendor: The database system, as the semantic conventions spell it.
    """

    __slots__ = ("asks_cursor", "attributes", "group", "name", "vendor")

    def __init__(self, engine: Engine) -> None:
        self.vendor: str = _normalize_vendor(engine.name)
        self.attributes, has_host = _get_attributes_from_url(
            engine.url, _StabilityMode.DATABASE, _StabilityMode.HTTP
        )
        self.attributes["db.system.name"] = self.vendor
        self.group = Group(tuple(self.attributes.items()))
        self.name: str | None = engine.url.database
        # A MySQL or SQL Server session may change its database; PostgreSQL without host or name has defaults,
        # and of its drivers only psycopg's tell a connection's database.
        self.asks_cursor = self.vendor in {"mysql", "mariadb", "mssql"} or (
            self.vendor == "postgresql" and not (has_host and self.name and _tells_database(engine))
        )


def _tells_database(engine: Engine) -> bool:
    return engine.driver in {"psycopg", "psycopg2"} and not getattr(engine.dialect, "is_async", False)


class Statement:
    """One statement of an engine, by its text.

    Attributes:
        name: The span's name.
        attributes: Makes the span's attributes.
        duration: Its histogram, where it succeeds.
    """

    __slots__ = ("_durations", "_operation", "attributes", "duration", "name")

    def __init__(self, facts: EngineFacts, durations: Durations, text: str) -> None:
        self.name = span_name(text, facts.name, facts.vendor)
        groups = (facts.group, Group((("db.query.text", text), ("db.operation.name", self.name))))
        self.attributes: Callable[[], GroupedAttributes] = lambda: GroupedAttributes(groups, {})
        self._durations = durations
        self._operation = sql_operation(text)
        self.duration: BoundHistogram = durations.of(self._operation)

    def failed(self, failure: BaseException) -> BoundHistogram:
        """Its histogram, where it ends in an error."""
        return self._durations.of(self._operation, failure)


class Statements(dict[str, Statement]):
    """The statements of an engine that are remembered, by their text.

    Args:
        facts: The engine's.
        durations: Its histograms.
    """

    __slots__ = ("_durations", "_facts")

    def __init__(self, facts: EngineFacts, durations: Durations) -> None:
        self._facts = facts
        self._durations = durations

    def find(self, text: str) -> Statement:
        """A statement that is not remembered; it is from now on, unless it is too long."""
        found = Statement(self._facts, self._durations, text)
        if len(text) <= _LONGEST_REMEMBERED:
            if len(self) >= _STATEMENTS:
                self.clear()
            self[text] = found
        return found


def span_name(statement: str, database: str | None, vendor: str) -> str:
    """The name of a statement's span: its first word and the database, or else the database's kind.

    The first word is all that the specification wants from a client that does not parse SQL.
    """
    words = _LEADING_COMMENT.sub("", statement).split(None, 1)
    return " ".join([part for part in (words[0] if words else None, database) if part]) or vendor
