"""Log records into ``ExportLogsServiceRequest``."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Any

from opentelemetry._logs import SeverityNumber
from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk._logs import ReadableLogRecord, ReadWriteLogRecord

from ada_otel.pipeline.encoder._groups import Groups
from ada_otel.pipeline.encoder._values import any_value, attributes_encoder
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
    last_resource: Any = groups  # no record has this one
    last_scope: Any = None
    pieces: list[bytes] = []
    for readable in batch:
        resource, scope = readable.resource, readable.instrumentation_scope
        if resource is not last_resource or scope is not last_scope:
            pieces = groups.items(resource, scope)
            last_resource, last_scope = resource, scope
        content = _record(readable)
        size = len(content)
        pieces.append(b"\x12" + (VARINT[size] if size < TABLE_SIZE else varint(size)))
        pieces.append(content)
    return groups.encode()


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
