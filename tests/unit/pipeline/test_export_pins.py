"""The SDK's privates that the export half leans on: an upgrade that changes one must fail here, by name."""

from __future__ import annotations

from typing import Any

from opentelemetry import context
from opentelemetry._logs import LogRecord
from opentelemetry.sdk._logs import ReadableLogRecord, ReadWriteLogRecord
from opentelemetry.sdk.trace import TracerProvider

from ada_otel.pipeline.export.batch import BatchSpanProcessor, _readable


def test_suppression_key() -> None:
    assert context._SUPPRESS_INSTRUMENTATION_KEY.startswith("suppress_instrumentation-")


def test_a_span_is_weighed_by_its_attributes_and_events() -> None:
    tracer = TracerProvider(shutdown_on_exit=False).get_tracer("test")

    def weight_of(**attributes: Any) -> int:
        span: Any = tracer.start_span("s", attributes=attributes)
        span.add_event("e", attributes)
        span.end()
        return BatchSpanProcessor._weigh(span)

    small, large = weight_of(k="x"), weight_of(k="x" * 10_001)
    assert large - small == 20_000
    assert weight_of(k=["xx"] * 100) - weight_of(k=["xx"]) == 2 * 198


def test_a_log_record_is_copied_without_its_context() -> None:
    original = LogRecord(body="b", attributes={"k": "v"}, context=context.Context({"large": object()}))
    given = ReadWriteLogRecord(original)
    copy = _readable(given)
    assert isinstance(copy, ReadableLogRecord)
    original.body = "changed by a later processor"
    assert copy.log_record.body == "b"
    assert copy.log_record.attributes == {"k": "v"}
    assert not copy.log_record.context
    assert vars(copy.log_record).keys() == vars(original).keys()
