"""Log records into ``ExportLogsServiceRequest``."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Any

from opentelemetry._logs import SeverityNumber
from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk._logs import ReadableLogRecord, ReadWriteLogRecord
from opentelemetry.trace import SpanContext

from ada_otel.pipeline.encoder._groups import Groups
from ada_otel.pipeline.encoder._values import MAX_ENTRIES, MAX_LENGTH, any_value, attributes_encoder
from ada_otel.pipeline.encoder._wire import TABLE_SIZE, VARINT, delimited, text, uint32, varint

_pack_fixed64 = struct.Struct("<BQ").pack
_pack_fixed32 = struct.Struct("<BI").pack
_pack_trace_id = struct.Struct(">HQQ").pack
_pack_span_id = struct.Struct(">HQ").pack
_pack_ids = struct.Struct(">HQQHQ").pack
_LOW_64 = (1 << 64) - 1

_attributes = attributes_encoder(b"\x32")
# By id, as enum members are hashed by a Python function.
_SEVERITIES = {
    id(number): b"\x10" + VARINT[number.value] if number.value else b"" for number in SeverityNumber
}
_SEVERITIES[id(None)] = b""
_SDK_CLASSES = frozenset({ReadableLogRecord, ReadWriteLogRecord})


def encode(batch: Iterable[ReadableLogRecord]) -> bytes:
    """Encode log records; anything unexpected raises, and then nothing is returned."""
    groups = Groups()
    of_kinds: dict[Any, list[bytes]] = {}
    for readable in batch:
        if getattr(readable, "otlp_deferred", False):
            kind = readable.kind  # type: ignore[attr-defined]
            pieces = of_kinds.get(kind)
            if pieces is None:
                pieces = groups.items(readable.resource, readable.instrumentation_scope)
                of_kinds[kind] = pieces
            content = _deferred_record(readable, kind)
        else:
            pieces = groups.items(readable.resource, readable.instrumentation_scope)
            content = _record(readable)
        size = len(content)
        pieces.append(b"\x12" + (VARINT[size] if size < TABLE_SIZE else varint(size)))
        pieces.append(content)
    return groups.encode()


class _Bodies(dict[str, bytes]):
    """The body field by message, as many messages recur; bounded as the attribute caches are."""

    __slots__ = ()

    def __missing__(self, message: str) -> bytes:
        encoded = delimited(b"\x2a", any_value(message))
        if type(message) is str and len(message) <= MAX_LENGTH:
            if len(self) >= MAX_ENTRIES:
                self.clear()
            self[message] = encoded
        return encoded


_bodies = _Bodies()


def clear_bodies() -> None:
    """Empty the cache of messages."""
    _bodies.clear()


def _deferred_record(item: Any, kind: Any) -> bytes:
    """Encode a record of ``ada_otel.pipeline.logging``, as :func:`_record` would."""
    context = item.span_context
    if context is not None and (type(context) is not SpanContext or not context[0] or not context[1]):
        return _record(item)
    body, attributes = item.made
    if kind.encoded is None:
        kind.encoded = _SEVERITIES[id(kind.severity_number)] + text(b"\x1a", kind.severity_text)
    timestamp = item.timestamp
    parts = [_pack_fixed64(0x09, timestamp), kind.encoded, _bodies[body], *_attributes(attributes)]
    if context is not None:
        trace_id = context[0]
        if flags := int(context[3]):
            parts.append(_pack_fixed32(0x45, flags))
        parts.append(_pack_ids(0x4A10, trace_id >> 64, trace_id & _LOW_64, 0x5208, context[1]))
    parts.append(_pack_fixed64(0x59, timestamp))
    return b"".join(parts)


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
