"""Decodes an OTLP export request into plain log records, each with an id of its own."""

from __future__ import annotations

import hashlib
import zlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
    from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

#: The most bytes of one request, unpacked. The collector's batches are a hundredth of it.
MAX_BYTES = 64 * 1024 * 1024
#: Nested values below this are left out.
_DEPTH = 8


class UndecodableError(ValueError):
    """A request that is not what it says it is."""


@dataclass
class Record:
    """One log record.

    Attributes:
        time: When it happened, in nanoseconds since the epoch; when it was seen if that is not known.
        severity: Severity number of the log data model, 1 to 24; 0 if unspecified.
        body: What was logged.
        attributes: Its attributes.
        resource: The attributes of what sent it.
        logger: Name of the instrumentation scope.
        trace_id: In hex; empty without a trace.
        span_id: Likewise.
        event_id: 32 hex digits: the same each time that this record comes, and another one for any other.
    """

    time: int
    severity: int
    body: Any
    attributes: dict[str, Any]
    resource: dict[str, Any]
    logger: str = ""
    trace_id: str = ""
    span_id: str = ""
    event_id: str = field(default="", compare=False)

    @property
    def message(self) -> str:
        """The body as text."""
        return self.body if isinstance(self.body, str) else "" if self.body is None else str(self.body)


def unpack(body: bytes, encoding: str) -> bytes:
    """Undo the content encoding of a request.

    Args:
        body: As it was received.
        encoding: The header ``Content-Encoding``.

    Raises:
        UndecodableError: An encoding that is not known, data that do not fit it, or too many of them.
    """
    if encoding in ("", "identity"):
        return body
    if encoding not in ("gzip", "x-gzip"):
        raise UndecodableError(f"the content encoding {encoding!r} is not known; send gzip, or none")
    unpacker = zlib.decompressobj(wbits=31)
    try:
        unpacked = unpacker.decompress(body, MAX_BYTES)
    except zlib.error as error:
        raise UndecodableError(f"the body is not gzip: {error}") from None
    if unpacker.unconsumed_tail:
        raise UndecodableError(f"the body has more than {MAX_BYTES} bytes when it is unpacked")
    if not unpacker.eof:
        raise UndecodableError("the body is gzip that was cut off")
    return unpacked


def decode(body: bytes) -> list[Record]:
    """Read an ``ExportLogsServiceRequest``.

    Raises:
        UndecodableError: It is none.
    """
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
    from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

    try:
        request = ExportLogsServiceRequest.FromString(body)
    except DecodeError:
        raise UndecodableError("the body is no ExportLogsServiceRequest in protobuf") from None
    records: list[Record] = []
    twins: Counter[bytes] = Counter()
    for block in request.resource_logs:
        resource = attributes_of(block.resource.attributes)
        instance = str(resource.get("service.instance.id", ""))
        for scope in block.scope_logs:
            for raw in scope.log_records:
                record = _record(raw, resource, scope.scope.name)
                record.event_id = _event_id(raw, record, instance, twins)
                records.append(record)
    return records


def _record(raw: LogRecord, resource: dict[str, Any], logger: str) -> Record:
    return Record(
        time=raw.time_unix_nano or raw.observed_time_unix_nano,
        severity=raw.severity_number,
        body=value_of(raw.body),
        attributes=attributes_of(raw.attributes),
        resource=resource,
        logger=logger,
        trace_id=raw.trace_id.hex() if any(raw.trace_id) else "",
        span_id=raw.span_id.hex() if any(raw.span_id) else "",
    )


def _event_id(raw: LogRecord, record: Record, instance: str, twins: Counter[bytes]) -> str:
    """Made of ``log.record.uid``; without one, of all that tells one record from another.

    Records that agree in all of that are told apart by a count within their request. Their place in it would
    not do: the collector may put the same records into other batches after a restart.
    """
    uid = record.attributes.get("log.record.uid")
    if uid:
        return hashlib.sha256(f"uid\0{uid}".encode()).hexdigest()[:32]
    # Serialized afresh, so that two senders' ways to write the same record make no difference.
    identity = hashlib.sha256(f"record\0{instance}\0{record.logger}\0".encode())
    identity.update(raw.SerializeToString(deterministic=True))
    digest = identity.digest()
    twins[digest] += 1
    if twins[digest] > 1:
        identity.update(f"\0{twins[digest]}".encode())
    return identity.hexdigest()[:32]


def attributes_of(pairs: Iterable[KeyValue]) -> dict[str, Any]:
    """OTLP attributes as a dictionary of plain values."""
    return {pair.key: value_of(pair.value) for pair in pairs}


def value_of(value: AnyValue, depth: int = 0) -> Any:
    """An OTLP value as a plain one; bytes as hex, and what is nested too deep as ``None``."""
    kind = value.WhichOneof("value")
    if kind is None or depth > _DEPTH:
        return None
    if kind == "array_value":
        return [value_of(item, depth + 1) for item in value.array_value.values]
    if kind == "kvlist_value":
        return {pair.key: value_of(pair.value, depth + 1) for pair in value.kvlist_value.values}
    if kind == "bytes_value":
        return value.bytes_value.hex()
    return getattr(value, kind)
