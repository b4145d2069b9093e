"""Log records into ``ExportLogsServiceRequest``."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from opentelemetry._logs import SeverityNumber
from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk._logs import ReadableLogRecord, ReadWriteLogRecord
from opentelemetry.trace import SpanContext

from ada_otel.pipeline.encoder._groups import Groups
from ada_otel.pipeline.encoder._values import (
    MAX_ENTRIES,
    MAX_GROUP_BYTES,
    MAX_LENGTH,
    SHORT,
    Redacted,
    any_value,
    attributes_encoder,
    caches,
)
from ada_otel.pipeline.encoder._wire import TABLE_SIZE, VARINT, delimited, text, uint32, varint
from ada_otel.pipeline.logging import DeferredLog

if TYPE_CHECKING:
    from ada_otel.pipeline.lines import Client, Deferred
    from ada_otel.redaction import Redactor

_pack_fixed64 = struct.Struct("<BQ").pack
_pack_long = struct.Struct("<Q").pack
_pack_fixed32 = struct.Struct("<BI").pack
_pack_trace_id = struct.Struct(">HQQ").pack
_pack_span_id = struct.Struct(">HQ").pack
_pack_ids = struct.Struct(">HQQHQ").pack
_LOW_64 = (1 << 64) - 1

_TAG = b"\x32"
_attributes = attributes_encoder(_TAG)
_pairs, _groups = caches(_TAG)
_fresh, _starts = _pairs.fresh, _pairs.starts
# By id, as enum members are hashed by a Python function.
_SEVERITIES = {
    id(number): b"\x10" + VARINT[number.value] if number.value else b"" for number in SeverityNumber
}
_SEVERITIES[id(None)] = b""
_SDK_CLASSES = frozenset({ReadableLogRecord, ReadWriteLogRecord})


class _Bodies(dict[str, bytes]):
    """The body field by message before it is redacted, as many recur; bounded as the attribute caches are."""

    __slots__ = ("_redact",)

    def __init__(self, redact: Callable[[str], str]) -> None:
        self._redact = redact

    def __missing__(self, message: str) -> bytes:
        encoded = delimited(b"\x2a", any_value(self._redact(message)))
        if type(message) is str and len(message) <= MAX_LENGTH:
            if len(self) >= MAX_ENTRIES:
                self.clear()
            self[message] = encoded
        return encoded


class _Clients(dict["Client", bytes]):
    """What lines say of their clients, redacted and encoded."""

    __slots__ = ("_redacted",)

    def __init__(self, redacted: Redacted) -> None:
        self._redacted = redacted

    def __missing__(self, client: Client) -> bytes:
        pieces = [_pairs[key, value, type(value)] for key, value in client.pairs]
        pieces += [self._redacted[key, value, type(value)] for key, value in client.secretive]
        encoded = b"".join(pieces)
        if len(encoded) <= MAX_GROUP_BYTES:
            if len(self) >= MAX_ENTRIES:
                self.clear()
            self[client] = encoded
        return encoded


class _Redacted:
    """What is kept of redacted texts as long as the rules of redaction stay as they are."""

    def __init__(self, redactor: Redactor) -> None:
        self.rules = redactor.rules
        self.bodies = _Bodies(redactor.text)
        self.attributes = Redacted(_TAG, redactor.value)
        self.clients = _Clients(self.attributes)


_redacted: _Redacted | None = None


def _kept() -> _Redacted:
    """Once for each batch: a rule that comes meanwhile is for lines of later batches."""
    global _redacted  # noqa: PLW0603  # what is kept
    from ada_otel.redaction import redactor

    found = redactor()
    kept = _redacted
    if kept is None or kept.rules is not found.rules:
        kept = _redacted = _Redacted(found)
    return kept


def clear_redacted() -> None:
    """Forget what was redacted."""
    global _redacted  # noqa: PLW0603  # what is kept
    _redacted = None


def encode(batch: Iterable[ReadableLogRecord | Deferred]) -> bytes:
    """Encode log records; anything unexpected raises, and then nothing is returned."""
    groups = Groups()
    of_kinds: dict[Any, list[bytes]] = {}
    kept = _kept()
    items: Iterable[Any] = batch
    for readable in items:
        if type(readable) is tuple:
            kind = readable[0]
            pieces = of_kinds.get(kind)
            if pieces is None:
                pieces = groups.items(kind.logger._resource, kind.logger._instrumentation_scope)
                of_kinds[kind] = pieces
                if kind.encoded is None:
                    kind.encoded = _SEVERITIES[id(kind.severity_number)] + text(b"\x1a", kind.severity_text)
            content = _deferred_record(readable, kept)
        else:
            pieces = groups.items(readable.resource, readable.instrumentation_scope)
            content = _record(readable)
        size = len(content)
        pieces.append(b"\x12" + (VARINT[size] if size < TABLE_SIZE else varint(size)))
        pieces.append(content)
    return groups.encode()


def _deferred_record(  # noqa: C901, PLR0912  # one body, as it is run for each line
    item: Deferred, kept: _Redacted
) -> bytes:
    """Encode a line of ``ada_otel.pipeline.lines``, as :func:`_record` would, but never put together."""
    kind, timestamp, context = item[0], item[1], item[2]
    if context is not None and (type(context) is not SpanContext or not context[0] or not context[1]):
        return _record(DeferredLog(item))
    try:
        message, group, client, fresh, pairs, secretive = item[3](item)
    except Exception:
        return _record(DeferredLog(item))  # which says so
    stamp = _pack_long(timestamp)
    pieces = [b"\x09", stamp, kind.encoded, kept.bodies[message]]
    if group is not None:
        pieces.append(_groups[group])
    if client is not None:
        pieces.append(kept.clients[client])
    for key, value in fresh:
        if type(value) is str and len(value) <= SHORT:  # as fresh() does it, without that call
            payload = value.encode()
            pieces += (_starts[key, len(payload)], payload)
        else:
            pieces.append(_fresh(key, value))
    for key, value in pairs:
        if value is not None:
            pieces.append(_pairs[key, value, type(value)])
    for key, value in secretive:
        if value is not None:
            pieces.append(kept.attributes[key, value, type(value)])
    if context is not None:
        trace_id, flags = context[0], context[3]
        if flags:
            pieces.append(_pack_fixed32(0x45, flags))
        pieces.append(_pack_ids(0x4A10, trace_id >> 64, trace_id & _LOW_64, 0x5208, context[1]))
    pieces += (b"\x59", stamp)
    return b"".join(pieces)


def _record(readable: Any) -> bytes:
    """Encode the content of one ``LogRecord`` message."""
    record = readable.log_record
    timestamp, attributes, observed = record.timestamp, record.attributes, record.observed_timestamp
    parts = [
        _pack_fixed64(0x09, timestamp) if timestamp else b"",
        _SEVERITIES[id(record.severity_number)],
        text(b"\x1a", record.severity_text),
        delimited(b"\x2a", any_value(record.body)),
    ]
    if attributes:
        parts += _attributes(attributes)
    if type(readable) not in _SDK_CLASSES:
        dropped = readable.dropped_attributes
    else:
        dropped = attributes.dropped if isinstance(attributes, BoundedAttributes) else 0
    if dropped:
        parts.append(uint32(b"\x38", dropped))
    flags = int(record.trace_flags)
    if flags:
        parts.append(_pack_fixed32(0x45, flags))
    trace_id, span_id = record.trace_id, record.span_id
    if trace_id and span_id:
        parts.append(_pack_ids(0x4A10, trace_id >> 64, trace_id & _LOW_64, 0x5208, span_id))
    elif trace_id != 0:
        parts.append(_pack_trace_id(0x4A10, trace_id >> 64, trace_id & _LOW_64))
    elif span_id != 0:
        parts.append(_pack_span_id(0x5208, span_id))
    if observed:
        parts.append(_pack_fixed64(0x59, observed))
    if record.event_name is not None:
        parts.append(text(b"\x62", record.event_name))
    return b"".join(parts)
