"""Lines on their way to OTLP alone: their parts are kept, and redacted and put together when they are sent.

A line that is made at once takes 40 µs of the request that logs it, and one whose parts are kept 24 (both in
a request, on a loaded machine). The rest is 3 µs in the thread that sends it, which makes a batch in a row.
"""

from __future__ import annotations

import logging
from functools import lru_cache
from itertools import islice
from typing import Any

from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY
from opentelemetry.trace.propagation import _SPAN_KEY

from ada_otel.logs import _context
from ada_otel.logs._line import STANDARD_COUNT, STANDARD_FIELDS
from ada_otel.logs._metrics import Counts
from ada_otel.logs._otlp import OTLPSink
from ada_otel.logs._redaction import redactor
from ada_otel.logs._values import plain
from ada_otel.pipeline.current import get_current
from ada_otel.pipeline.grouped import PLAIN, Group, GroupedAttributes

__all__ = ["defer_record"]

#: A line with more attributes by ``extra=`` is made at once.
_MOST_EXTRAS = 64
#: What a line has beside them: three for the call site, six for the request.
_MOST = _MOST_EXTRAS + 9
#: Keys that are more than an attribute (see ``_line``), or that are an attribute of every line.
_SPECIAL = frozenset(
    {
        "otel.event.name",
        "level",
        "code.file.path",
        "code.function.name",
        "code.line.number",
        *_context.KEYS,
    }
)
_STANDARD_ORDER = tuple(vars(logging.makeLogRecord({})))
#: So many are remembered.
_CALL_SITES = 1024


def defer_record(sink: OTLPSink, counts: Counts | None, record: logging.LogRecord, message: str) -> bool:
    """Count and queue a stdlib record without an exception, or say that its line must be made now.

    Args:
        sink: Where to.
        counts: What counts lines.
        record: The record; it is not kept.
        message: Its formatted message.
    """
    path = record.pathname
    if "structlog" in path:
        return False
    found = vars(record)
    extras = None
    if len(found) > STANDARD_COUNT:
        # What `extra=` adds comes after the fields that each record has from its beginning.
        usual = tuple(found)[:STANDARD_COUNT] == _STANDARD_ORDER
        pairs = islice(found.items(), STANDARD_COUNT, None) if usual else found.items()
        extras = [pair for pair in pairs if pair[0] not in STANDARD_FIELDS]
        if len(extras) > _MOST_EXTRAS:
            return False
        for key, value in extras:
            if (type(value) not in PLAIN and value is not None) or key in _SPECIAL or type(key) is not str:
                return False
    current = get_current()
    if current.get(_SUPPRESS_INSTRUMENTATION_KEY):
        return False
    span: Any = current.get(_SPAN_KEY)
    span_context = None if span is None else span.get_span_context()
    queued = sink.defer(
        record.name,
        record.levelno,
        record.levelname,
        int(record.created * 1e9),
        span_context,
        _finish,
        (message, path, record.funcName, record.lineno, extras, _context.current_values()),
        _MOST,
    )
    if queued and counts is not None:
        counts.count_level(record.levelno, span_context)
    return queued


def _finish(
    message: str,
    path: str,
    function: str | None,
    number: int,
    extras: list[tuple[str, Any]] | None,
    values: _context.RequestValues | None,
) -> tuple[str, GroupedAttributes]:
    redact, rest = redactor(), {}
    if extras is not None:
        for key, value in extras:
            found = redact.value(key, value if type(value) is str else plain(value))
            if found is not None:
                rest[key] = found
    site = _call_site(path, function, number)
    groups = (site,) if values is None else (site, _context.grouped(values, rest, redact))
    return redact.text(message), GroupedAttributes(groups, rest)


@lru_cache(_CALL_SITES)
def _call_site(path: str, function: str | None, number: int) -> Group:
    return Group(
        (("code.file.path", path), ("code.function.name", function or "?"), ("code.line.number", number))
    )
