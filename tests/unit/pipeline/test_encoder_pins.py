"""What the encoder leans on upstream: message fields, private attributes. A change there fails here."""

from __future__ import annotations

import inspect
import re
from typing import Any

import pytest
from opentelemetry.attributes import BoundedAttributes
from opentelemetry.exporter.otlp.proto.common._internal import trace_encoder as stock_traces
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
from opentelemetry.proto.common.v1 import common_pb2
from opentelemetry.proto.logs.v1 import logs_pb2
from opentelemetry.proto.metrics.v1 import metrics_pb2
from opentelemetry.proto.resource.v1 import resource_pb2
from opentelemetry.proto.trace.v1 import trace_pb2
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan, Span
from opentelemetry.sdk.util import BoundedList
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags
from opentelemetry.trace.span import DEFAULT_TRACE_STATE

from ada_otel.pipeline.encoder import _traces

_POINT = "2 start_time_unix_nano, 3 time_unix_nano"
FIELDS: list[tuple[Any, str, str]] = [
    (trace_service_pb2.ExportTraceServiceRequest, "_groups", "1 resource_spans"),
    (logs_service_pb2.ExportLogsServiceRequest, "_groups", "1 resource_logs"),
    (metrics_service_pb2.ExportMetricsServiceRequest, "_metrics", "1 resource_metrics"),
    (resource_pb2.Resource, "_groups", "1 attributes, 2 dropped_attributes_count, 3 entity_refs"),
    (
        common_pb2.InstrumentationScope,
        "_groups",
        "1 name, 2 version, 3 attributes, 4 dropped_attributes_count",
    ),
    (
        common_pb2.AnyValue,
        "_values",
        (
            "1 string_value, 2 bool_value, 3 int_value, 4 double_value, 5 array_value, 6 kvlist_value, "
            "7 bytes_value, 8 string_value_strindex"
        ),
    ),
    (common_pb2.KeyValue, "_values", "1 key, 2 value, 3 key_strindex"),
    (common_pb2.ArrayValue, "_values", "1 values"),
    (common_pb2.KeyValueList, "_values", "1 values"),
    (trace_pb2.ResourceSpans, "_groups", "1 resource, 2 scope_spans, 3 schema_url"),
    (trace_pb2.ScopeSpans, "_groups", "1 scope, 2 spans, 3 schema_url"),
    (
        trace_pb2.Span,
        "_traces",
        (
            "1 trace_id, 2 span_id, 3 trace_state, 4 parent_span_id, 5 name, 6 kind, 7 start_time_unix_nano, "
            "8 end_time_unix_nano, 9 attributes, 10 dropped_attributes_count, 11 events, "
            "12 dropped_events_count, 13 links, 14 dropped_links_count, 15 status, 16 flags"
        ),
    ),
    (trace_pb2.Span.Event, "_traces", "1 time_unix_nano, 2 name, 3 attributes, 4 dropped_attributes_count"),
    (
        trace_pb2.Span.Link,
        "_traces",
        "1 trace_id, 2 span_id, 3 trace_state, 4 attributes, 5 dropped_attributes_count, 6 flags",
    ),
    (trace_pb2.Status, "_traces", "2 message, 3 code"),
    (logs_pb2.ResourceLogs, "_groups", "1 resource, 2 scope_logs, 3 schema_url"),
    (logs_pb2.ScopeLogs, "_groups", "1 scope, 2 log_records, 3 schema_url"),
    (
        logs_pb2.LogRecord,
        "_logs",
        (
            "1 time_unix_nano, 2 severity_number, 3 severity_text, 5 body, 6 attributes, "
            "7 dropped_attributes_count, 8 flags, 9 trace_id, 10 span_id, "
            "11 observed_time_unix_nano, 12 event_name"
        ),
    ),
    (metrics_pb2.ResourceMetrics, "_metrics", "1 resource, 2 scope_metrics, 3 schema_url"),
    (metrics_pb2.ScopeMetrics, "_metrics", "1 scope, 2 metrics, 3 schema_url"),
    (
        metrics_pb2.Metric,
        "_metrics",
        (
            "1 name, 2 description, 3 unit, 5 gauge, 7 sum, 9 histogram, 10 exponential_histogram, "
            "11 summary, 12 metadata"
        ),
    ),
    (metrics_pb2.Gauge, "_metrics", "1 data_points"),
    (metrics_pb2.Sum, "_metrics", "1 data_points, 2 aggregation_temporality, 3 is_monotonic"),
    (metrics_pb2.Histogram, "_metrics", "1 data_points, 2 aggregation_temporality"),
    (metrics_pb2.ExponentialHistogram, "_metrics", "1 data_points, 2 aggregation_temporality"),
    (
        metrics_pb2.NumberDataPoint,
        "_metrics",
        f"{_POINT}, 4 as_double, 5 exemplars, 6 as_int, 7 attributes, 8 flags",
    ),
    (
        metrics_pb2.HistogramDataPoint,
        "_metrics",
        (
            f"{_POINT}, 4 count, 5 sum, 6 bucket_counts, 7 explicit_bounds, 8 exemplars, 9 attributes, "
            "10 flags, 11 min, 12 max"
        ),
    ),
    (
        metrics_pb2.ExponentialHistogramDataPoint,
        "_metrics",
        (
            f"1 attributes, {_POINT}, 4 count, 5 sum, 6 scale, 7 zero_count, 8 positive, 9 negative, "
            "10 flags, 11 exemplars, 12 min, 13 max, 14 zero_threshold"
        ),
    ),
    (metrics_pb2.ExponentialHistogramDataPoint.Buckets, "_metrics", "1 offset, 2 bucket_counts"),
    (
        metrics_pb2.Exemplar,
        "_metrics",
        "2 time_unix_nano, 3 as_double, 4 span_id, 5 trace_id, 6 as_int, 7 filtered_attributes",
    ),
]


@pytest.mark.parametrize(
    ("message", "module", "known"), FIELDS, ids=lambda value: getattr(value, "__name__", "")
)
def test_the_fields_of_each_message_are_the_known_ones(message: Any, module: str, known: str) -> None:
    descriptor = message.DESCRIPTOR
    fields = sorted((field.number, field.name) for field in descriptor.fields)
    found = ", ".join(f"{number} {name}" for number, name in fields)
    assert found == known, (
        f"{descriptor.full_name} has other fields than this encoder knows. See whether the stock encoder "
        f"fills the new ones; if so, write them in ada_otel/pipeline/encoder/{module}.py, "
        f"test them, and list them here."
    )


def test_flags_and_kinds_have_the_known_numbers() -> None:
    assert trace_pb2.SpanFlags.SPAN_FLAGS_CONTEXT_HAS_IS_REMOTE_MASK == 0x100
    assert trace_pb2.SpanFlags.SPAN_FLAGS_CONTEXT_IS_REMOTE_MASK == 0x200
    assert dict(stock_traces._SPAN_KIND_MAP) == {kind: kind.value + 1 for kind in SpanKind}, (
        "the stock encoder maps span kinds in another way than ada_otel/pipeline/encoder/_traces.py"
    )


def test_the_stock_encoder_reads_what_ours_reads() -> None:
    source = inspect.getsource(stock_traces._encode_span)
    read = set(re.findall(r"sdk_span\.(\w+)", source)) - {"get_span_context"}
    assert read == set(_traces._PROPERTIES) - {"resource", "instrumentation_scope"}, (
        "the stock encoder reads other things of a span than ada_otel/pipeline/encoder/_traces.py"
    )


def test_private_attributes_are_what_the_public_ones_return() -> None:
    context = SpanContext(1, 2, True, TraceFlags(1))
    assert tuple(context)[:5] == (1, 2, True, TraceFlags(1), context.trace_state)
    assert SpanContext(1, 2, False).trace_state is DEFAULT_TRACE_STATE
    attributes = BoundedAttributes(1, {"a": 1, "b": 2})
    assert (attributes._dict, attributes.dropped) == ({"b": 2}, 1)
    bounded_list = BoundedList.from_seq(1, [1, 2])
    assert (list(bounded_list._dq), bounded_list.dropped) == ([2], 1)  # type: ignore[attr-defined]
    resource = Resource({"a": 1}, "url")
    assert (resource._attributes, resource._schema_url) == (resource.attributes, resource.schema_url)
    scope = InstrumentationScope("n", "v", "url", {"a": 1})
    assert (scope._name, scope._version, scope._schema_url) == ("n", "v", "url")
    assert scope._attributes is scope.attributes
    status = Status(StatusCode.ERROR, "why")
    assert (status._status_code, status._description) == (StatusCode.ERROR, "why")
    event = Event("n", {"a": 1}, 5)
    assert (event._name, event._timestamp, event._attributes) == ("n", 5, {"a": 1})
    span = ReadableSpan("n", context, context, resource, {"a": 1}, [event], [Link(context)], SpanKind.SERVER)
    for name in ("name", "context", "parent", "kind", "start_time", "end_time", "status", "resource"):
        assert getattr(span, f"_{name}") is getattr(span, name)
    assert (span._attributes, tuple(span._events), tuple(span._links)) == (
        dict(span.attributes or {}),
        span.events,
        span.links,
    )
    assert span._instrumentation_scope is span.instrumentation_scope
    assert Span.get_span_context is not ReadableSpan.get_span_context
