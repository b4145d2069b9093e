"""Log records through both OTLP encoders: parsed, they are the same message."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs as stock_encode_logs
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.sdk._logs import LoggerProvider, LogRecordLimits, ReadableLogRecord, ReadWriteLogRecord
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.resources import Resource
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context

from ada_otel.pipeline import encoder
from tests.unit.pipeline.test_encoder_values import (
    ATTRIBUTES,
    NAMES,
    RESOURCES,
    SCOPES,
    TIMES,
    VALUES,
    assert_same,
    bounded,
)


@st.composite
def _records(draw: st.DrawFn) -> ReadableLogRecord:
    record = LogRecord(
        timestamp=draw(TIMES),
        observed_timestamp=draw(st.integers(0, (1 << 64) - 1)),
        severity_text=draw(st.one_of(st.none(), st.sampled_from(["", "INFO"]))),
        severity_number=draw(st.one_of(st.none(), st.sampled_from(list(SeverityNumber)))),
        body=draw(VALUES),
        attributes=draw(ATTRIBUTES),
        event_name=draw(st.one_of(st.none(), NAMES)),
    )
    record.trace_id = draw(st.sampled_from([0, 1, (1 << 128) - 1]))
    record.span_id = draw(st.sampled_from([0, 1, (1 << 64) - 1]))
    record.trace_flags = TraceFlags(draw(st.sampled_from([0, 1, 3])))
    resource, scope = draw(RESOURCES), draw(SCOPES)
    if draw(st.booleans()):
        return ReadableLogRecord(record, resource, scope)
    # The SDK's mutable form: it bounds the attributes, and counts what it drops.
    mutable: Any = ReadWriteLogRecord(record, resource, scope, LogRecordLimits(max_log_record_attributes=2))
    return mutable  # type: ignore[no-any-return]


@bounded
@given(st.lists(_records(), max_size=6))
def test_random_log_records_give_the_same_message(records: list[ReadableLogRecord]) -> None:
    before = encoder.fallbacks()
    assert_same(encoder.encode_logs(records), stock_encode_logs(records))
    assert encoder.fallbacks() == before


def test_a_record_of_the_sdk_with_every_feature() -> None:
    exporter = InMemoryLogRecordExporter()
    provider = LoggerProvider(resource=Resource({"service.name": "ada"}, "https://schema/r"))
    provider.add_log_record_processor(SimpleLogRecordProcessor(exporter))
    span = NonRecordingSpan(SpanContext(0xABC, 0xDEF, False, TraceFlags(1)))
    provider.get_logger("own", "1", "https://schema/s").emit(
        LogRecord(
            timestamp=1_700_000_000_000_000_000,
            observed_timestamp=1_700_000_000_000_000_001,
            context=set_span_in_context(span),
            severity_text="ERROR",
            severity_number=SeverityNumber.ERROR,
            body={"event": "it broke", "codes": [1, None, 2.5]},
            attributes={"k": "v", "nested": {"list": [True, b"x"]}},
            event_name="ada.broken",
        )
    )
    (finished,) = exporter.get_finished_logs()
    before = encoder.fallbacks()
    ours = encoder.encode_logs([finished])
    assert_same(ours, stock_encode_logs([finished]))
    assert encoder.fallbacks() == before
    (group,) = ExportLogsServiceRequest.FromString(ours).resource_logs
    assert group.schema_url == "https://schema/r"
    assert group.scope_logs[0].schema_url == "https://schema/s"
    (record,) = group.scope_logs[0].log_records
    assert (record.time_unix_nano, record.observed_time_unix_nano) == (
        1_700_000_000_000_000_000,
        1_700_000_000_000_000_001,
    )
    assert record.trace_id == (0xABC).to_bytes(16, "big")
    assert record.span_id == (0xDEF).to_bytes(8, "big")
    assert (record.flags, record.severity_number, record.severity_text) == (1, 17, "ERROR")
    assert record.event_name == "ada.broken"
    assert record.body.kvlist_value.values[0].value.string_value == "it broke"


class _CountingRecord(ReadableLogRecord):
    @property
    def dropped_attributes(self) -> int:
        return 5


def test_drop_counts_of_a_subclass_are_its_own() -> None:
    records = [_CountingRecord(LogRecord(body="b", attributes={"a": 1}), Resource({}))]
    ours = encoder.encode_logs(records)
    assert_same(ours, stock_encode_logs(records))
    parsed = ExportLogsServiceRequest.FromString(ours)
    assert parsed.resource_logs[0].scope_logs[0].log_records[0].dropped_attributes_count == 5


def test_no_records_give_an_empty_request() -> None:
    assert encoder.encode_logs([]) == b""


def test_an_invalid_attribute_is_dropped_as_stock_drops_it() -> None:
    records = [ReadableLogRecord(LogRecord(body="b", attributes={"bad": 1 << 70, "good": 1}), Resource({}))]
    before = encoder.fallbacks().get(("logs", "integer out of range"), 0)
    ours = encoder.encode_logs(records)
    assert_same(ours, stock_encode_logs(records))
    parsed = ExportLogsServiceRequest.FromString(ours)
    assert [a.key for a in parsed.resource_logs[0].scope_logs[0].log_records[0].attributes] == ["good"]
    assert encoder.fallbacks()["logs", "integer out of range"] == before + 1


def test_a_batch_that_stock_refuses_is_refused() -> None:
    records = [ReadableLogRecord(LogRecord(body=object()), Resource({}))]  # type: ignore[call-overload]
    with pytest.raises(Exception, match="Invalid type"):
        encoder.encode_logs(records)
