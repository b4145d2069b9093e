"""Lines on their way to OTLP alone: their parts are kept, and redacted and encoded when they are sent.

The thread that sends them does so batch by batch, and off the request's way.
"""

from __future__ import annotations

import logging
from functools import lru_cache
from itertools import islice
from logging import LogRecord
from typing import Any

from opentelemetry._logs import _internal as _api
from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY
from opentelemetry.trace.propagation import _SPAN_KEY

from ada_otel.logs import _context
from ada_otel.logs._line import STANDARD_COUNT, STANDARD_FIELDS
from ada_otel.logs._metrics import Counts
from ada_otel.logs._values import plain
from ada_otel.pipeline.current import get_current
from ada_otel.pipeline.grouped import PLAIN, Group
from ada_otel.pipeline.lines import MOST_ATTRIBUTES, Deferred, Pairs, Said
from ada_otel.pipeline.logging import LoggerProvider

__all__ = ["defer_record"]

#: A line with more attributes by ``extra=`` is made at once: three are of the call site, six of the request.
_MOST_EXTRAS = MOST_ATTRIBUTES - 9
#: Keys that are no attribute, more than one (see ``_line``), or an attribute of every line.
_SPECIAL = STANDARD_FIELDS | frozenset(
    {
        "otel.event.name",
        "level",
        "code.file.path",
        "code.function.name",
        "code.line.number",
        *_context.KEYS,
    }
)
_LAST_STANDARD = list(vars(logging.makeLogRecord({})))[-1]
#: So many are remembered.
_CALL_SITES = 2048


def defer_record(  # noqa: C901  # one body, as it is run for each line
    counts: Counts | None, record: LogRecord, message: str
) -> bool:
    """Count and queue a stdlib record without an exception, or say that its line must be made now.

    Args:
        counts: What counts lines.
        record: The record; it is not kept.
        message: Its formatted message.
    """
    provider = getattr(_api, "_LOGGER_PROVIDER", None)
    if type(provider) is not LoggerProvider:
        return False
    level = record.levelno
    kind = provider.line_kinds[record.name, level, record.levelname]
    path = record.pathname
    if kind is None or "structlog" in path:
        return False
    found = vars(record)
    extras = None
    if len(found) > STANDARD_COUNT:
        # What `extra=` adds comes after the fields that each record has from its beginning.
        extras = dict(islice(found.items(), STANDARD_COUNT - 1, None))
        if type(record) is not LogRecord or extras.pop(_LAST_STANDARD, extras) is extras:
            extras = {key: value for key, value in found.items() if key not in STANDARD_FIELDS}
        if len(extras) > _MOST_EXTRAS:
            return False
        for key, value in extras.items():
            if (type(value) not in PLAIN and value is not None) or key in _SPECIAL or type(key) is not str:
                return False
    current = get_current()
    if current.get(_SUPPRESS_INSTRUMENTATION_KEY):
        return False
    span: Any = current.get(_SPAN_KEY)
    span_context = None if span is None else span.get_span_context()
    add = kind.add
    if add is not None:
        request = _context.current()
        values = _context.NO_VALUES if request is None else request.log_values()
        timestamp, function, number = int(record.created * 1e9), record.funcName, record.lineno
        add(
            (kind, timestamp, span_context, _finish, message, path, function, number, extras, *values),
            kind.important,
        )
    if counts is not None:
        if kind.important:
            counts.count_one(level, span_context)
        else:  # as it does, without that call
            next(counts.ones[level])
    return True


def _finish(line: Deferred) -> Said:
    _, _, _, _, message, path, function, number, extras, request_id, user, session, route, address, agent = (
        line
    )
    secretive: Pairs = ()
    if extras is not None:
        secretive = [(key, value if type(value) is str else plain(value)) for key, value in extras.items()]
    if request_id is None:
        return message, _call_site(path, function, number, None), None, (), (), secretive
    site = _call_site(path, function, number, route)
    client = _context.of_client(user, session, address, agent)
    return message, site, client, (("request_id", request_id),), (), secretive


@lru_cache(_CALL_SITES)
def _call_site(path: str, function: str | None, number: int, route: str | None) -> Group:
    """A line of the app's, and the route of the request: a few for each."""
    pairs = (("code.file.path", path), ("code.function.name", function or "?"), ("code.line.number", number))
    return Group(pairs if route is None else (*pairs, ("http.route", route)))
