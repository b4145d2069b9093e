"""Which log lines are meant: the query, the filters and the window, as one tree for both back ends."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone

from ada_otel.analysis import query as tree
from ada_otel.analysis.errors import QueryError
from ada_otel.analysis.levels import LEVELS, at_least
from ada_otel.analysis.times import milliseconds, parse_time

__all__ = ["Selection", "now"]


def now() -> datetime:
    """The time in UTC."""
    return datetime.now(timezone.utc)


@dataclass(frozen=True)
class Selection:
    """Which log lines are meant.

    Attributes:
        query: In the query language of :mod:`ada_otel.analysis.query`; empty for all.
        start: The begin of the window; ``None`` for no begin.
        end: Its end, not included; ``None`` for no end.
        level: The lowest level.
        trace: The trace id, or its first digits, four at least.
        user: The user id.
        service: ``service.name`` of the app.
    """

    query: str = ""
    start: datetime | None = None
    end: datetime | None = None
    level: str | None = None
    trace: str | None = None
    user: str | None = None
    service: str | None = None

    @classmethod
    def of(
        cls,
        query: str = "",
        start: str | datetime | None = None,
        end: str | datetime | None = None,
        **filters: str | None,
    ) -> Selection:
        """Make a selection from what a user wrote, with all of it checked.

        Raises:
            QueryError: The query, a time or the level is wrong, or the window ends before it begins.
        """
        moment = now()
        found = cls(
            query,
            None if start is None else parse_time(start, moment, "since"),
            None if end is None else parse_time(end, moment, "until"),
            **filters,
        )
        if found.start and found.end and found.start >= found.end:
            raise QueryError(f"until: {found.end.isoformat()} is not after since: {found.start.isoformat()}")
        found.tree()
        return found

    def tree(self) -> tree.Node:
        """The query and the filters, without the window.

        Raises:
            QueryError: The query or the level is wrong.
        """
        nodes: list[tree.Node] = [tree.parse(self.query)]
        if self.level is not None:
            nodes.append(_levels(self.level))
        if self.trace is not None:
            nodes.append(_trace(self.trace.strip().lower()))
        for field, text in (("user_id", self.user), ("service", self.service)):
            if text is not None:
                nodes.append(tree.Leaf(field, text, phrase=True))
        return tree.And(tuple(nodes))

    def window(self) -> tuple[int | None, int | None]:
        """The first millisecond of the window, and the first one after it."""
        return (
            None if self.start is None else milliseconds(self.start),
            None if self.end is None else milliseconds(self.end),
        )

    def bounded(self, default: timedelta) -> tuple[Selection, datetime, datetime]:
        """This selection with both ends: now, and ``default`` before the end, where there are none."""
        end = self.end or now()
        start = self.start or end - default
        return replace(self, start=start, end=end), start, end


def _trace(text: str) -> tree.Node:
    if not re.fullmatch("[0-9a-f]{4,32}", text):
        raise QueryError(
            f"trace: {text!r} is no trace id; write its 32 hexadecimal digits, or the first ones"
        )
    return tree.Leaf("trace_id", text) if len(text) == 32 else tree.Leaf("trace_id", f"{text}*", pattern=True)


def _levels(level: str) -> tree.Node:
    named = at_least(level)
    # Documents of apps in other languages may have the number alone.
    number = tree.Span("severity_number", str(LEVELS[named[0]]), None)
    return tree.Or((*(tree.Leaf("level", name) for name in named), number))
