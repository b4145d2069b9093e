"""Metrics through both OTLP encoders: parsed, they are the same message."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics as stock_encode_metrics
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.sdk.metrics import AlwaysOnExemplarFilter, Exemplar, MeterProvider
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Buckets,
    ExponentialHistogram,
    ExponentialHistogramDataPoint,
    Gauge,
    Histogram,
    HistogramDataPoint,
    InMemoryMetricReader,
    Metric,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context

from ada_otel.pipeline import encoder
from tests.unit.pipeline.test_encoder_values import (
    INT64,
    SCALARS,
    TIMES,
    UINT32,
    UINT64,
    assert_same,
    bounded,
)

_INT32 = st.integers(-(1 << 31), (1 << 31) - 1)
_NUMBERS = st.one_of(st.sampled_from([0, 0.0, -0.0]), INT64, st.floats())
_OPTIONAL_DOUBLES = st.one_of(st.none(), st.sampled_from([0, 0.0, -0.0, 3]), st.floats())
_TEMPORALITY = st.sampled_from(list(AggregationTemporality))
_ATTRIBUTES = st.one_of(st.none(), st.dictionaries(st.sampled_from("abc"), SCALARS, max_size=3))
_COUNTS = st.lists(st.one_of(st.integers(0, 3000), UINT64), max_size=8)
_BOUNDS = st.lists(st.floats(), max_size=6)
_EXEMPLARS = st.lists(
    st.builds(
        Exemplar,
        _ATTRIBUTES,
        _NUMBERS,
        TIMES,
        st.one_of(st.none(), UINT64),
        st.one_of(st.none(), st.integers(0, (1 << 128) - 1)),
    ),
    max_size=2,
)
_NUMBER_POINTS = st.lists(
    st.builds(NumberDataPoint, _ATTRIBUTES, TIMES, TIMES, _NUMBERS, _EXEMPLARS), max_size=2
)
_HISTOGRAM_POINTS = st.lists(
    st.builds(
        HistogramDataPoint,
        attributes=_ATTRIBUTES,
        start_time_unix_nano=TIMES,
        time_unix_nano=TIMES,
        count=UINT64,
        sum=_OPTIONAL_DOUBLES,
        bucket_counts=st.one_of(_COUNTS, _COUNTS.map(tuple)),
        explicit_bounds=st.one_of(_BOUNDS, _BOUNDS.map(tuple)),
        min=_OPTIONAL_DOUBLES,
        max=_OPTIONAL_DOUBLES,
        exemplars=_EXEMPLARS,
    ),
    max_size=2,
)
_BUCKETS = st.builds(Buckets, _INT32, _COUNTS)
_EXPONENTIAL_POINTS = st.lists(
    st.builds(
        ExponentialHistogramDataPoint,
        attributes=_ATTRIBUTES,
        start_time_unix_nano=TIMES,
        time_unix_nano=TIMES,
        count=UINT64,
        sum=_OPTIONAL_DOUBLES,
        scale=_INT32,
        zero_count=UINT64,
        positive=_BUCKETS,
        negative=_BUCKETS,
        flags=UINT32,
        min=_OPTIONAL_DOUBLES,
        max=_OPTIONAL_DOUBLES,
        exemplars=_EXEMPLARS,
    ),
    max_size=2,
)
_DATA = st.one_of(
    st.builds(Gauge, _NUMBER_POINTS),
    st.builds(Sum, _NUMBER_POINTS, _TEMPORALITY, st.booleans()),
    st.builds(Histogram, _HISTOGRAM_POINTS, _TEMPORALITY),
    st.builds(ExponentialHistogram, _EXPONENTIAL_POINTS, _TEMPORALITY),
)
_OPTIONAL_TEXT = st.one_of(st.none(), st.text(max_size=20))
_METRICS = st.lists(
    st.builds(Metric, st.text(max_size=20), _OPTIONAL_TEXT, _OPTIONAL_TEXT, _DATA), max_size=3
)
_SCOPES = [InstrumentationScope("a"), InstrumentationScope("a", "1", "https://schema/s", {"k": (1, True)})]
_RESOURCES = [Resource({"service.name": "ada"}, "https://schema/r"), Resource({})]


@st.composite
def _collections(draw: st.DrawFn) -> MetricsData:
    """One or two resources, with one or two scopes each, as the SDK groups them: each once."""
    groups = []
    for resource in draw(st.sampled_from([_RESOURCES, _RESOURCES[:1]])):
        scopes = draw(st.sampled_from([_SCOPES, _SCOPES[:1], _SCOPES[1:]]))
        metrics = [ScopeMetrics(scope, draw(_METRICS), "unused") for scope in scopes]
        groups.append(ResourceMetrics(resource, metrics, "unused"))
    return MetricsData(groups)


@bounded
@given(_collections())
def test_random_metrics_give_the_same_message(data: MetricsData) -> None:
    before = encoder.fallbacks()
    assert_same(encoder.encode_metrics(data), stock_encode_metrics(data))
    assert encoder.fallbacks() == before


def test_metrics_of_the_sdk_with_every_instrument() -> None:
    reader = InMemoryMetricReader()
    provider = MeterProvider(
        [reader],
        Resource({"service.name": "ada"}),
        exemplar_filter=AlwaysOnExemplarFilter(),
        views=[View(instrument_name="exponential", aggregation=ExponentialBucketHistogramAggregation())],
    )
    meter = provider.get_meter("own", "1", "https://schema/s", {"scope.attribute": 1})
    context = set_span_in_context(NonRecordingSpan(SpanContext(0xABC, 0xDEF, False, TraceFlags(1))))
    attributes: dict[str, Any] = {"method": "GET", "status": 200, "cached": True, "tags": ["a", "b"]}
    meter.create_counter("counter", "1", "counts").add(3, attributes, context)
    meter.create_up_down_counter("up_down").add(-2.5, attributes, context)
    meter.create_gauge("gauge", "By").set(7, attributes, context)
    for name in ("explicit", "exponential"):
        histogram = meter.create_histogram(name, "s")
        for value in (0, 0.003, 0.3, 30):
            histogram.record(value, attributes, context)
    data = reader.get_metrics_data()
    assert data is not None
    before = encoder.fallbacks()
    ours = encoder.encode_metrics(data)
    assert_same(ours, stock_encode_metrics(data))
    assert encoder.fallbacks() == before
    (group,) = ExportMetricsServiceRequest.FromString(ours).resource_metrics
    metrics = {metric.name: metric for metric in group.scope_metrics[0].metrics}
    assert group.scope_metrics[0].schema_url == "https://schema/s"
    point = metrics["counter"].sum.data_points[0]
    assert (point.as_int, metrics["counter"].sum.is_monotonic) == (3, True)
    assert point.exemplars[0].trace_id == (0xABC).to_bytes(16, "big")
    assert metrics["counter"].description == "counts"
    assert metrics["up_down"].sum.data_points[0].as_double == -2.5
    assert metrics["gauge"].gauge.data_points[0].as_int == 7
    explicit = metrics["explicit"].histogram.data_points[0]
    assert (explicit.count, explicit.max, sum(explicit.bucket_counts)) == (4, 30, 4)
    assert len(explicit.bucket_counts) == len(explicit.explicit_bounds) + 1
    exponential = metrics["exponential"].exponential_histogram.data_points[0]
    assert (exponential.zero_count, sum(exponential.positive.bucket_counts)) == (1, 3)


def _collection(data: Any, scopes: int = 1, resources: int = 1) -> MetricsData:
    scope_metrics = ScopeMetrics(_SCOPES[0], [Metric("m", "", "", data)], "")
    return MetricsData([ResourceMetrics(_RESOURCES[0], [scope_metrics] * scopes, "")] * resources)


def _point(value: Any, **changes: Any) -> NumberDataPoint:
    return NumberDataPoint(
        **{"attributes": {}, "start_time_unix_nano": 1, "time_unix_nano": 2, "value": value} | changes
    )


class _OwnGauge(Gauge):
    """A subclass, of which this encoder knows nothing."""


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (_collection(object()), "metric kind"),
        (_collection(_OwnGauge([_point(1)])), "metric kind"),
        (_collection(Gauge([_point(1)]), scopes=2), "scope given twice"),
        (_collection(Gauge([_point(1)]), resources=2), "resource given twice"),
        (_collection(Gauge([_point(1, attributes={"bad": object(), "good": 1})])), "attribute type"),
    ],
)
def test_surprises_go_to_stock(data: MetricsData, reason: str) -> None:
    before = encoder.fallbacks().get(("metrics", reason), 0)
    assert_same(encoder.encode_metrics(data), stock_encode_metrics(data))
    assert encoder.fallbacks()["metrics", reason] == before + 1


@pytest.mark.parametrize("value", [1 << 63, -(1 << 63) - 1, None, "1", True])
def test_values_that_stock_refuses_are_refused(value: Any) -> None:
    data = _collection(Gauge([_point(value)]))
    try:
        taken = stock_encode_metrics(data)
    except Exception as error:  # whatever it is, ours must be the same
        stock = error
    else:  # protobuf before 6 takes True for a number
        assert value is True
        assert_same(encoder.encode_metrics(data), taken)
        return
    with pytest.raises(type(stock)):
        encoder.encode_metrics(data)


def test_bounds_that_are_equal_but_differ_in_bytes_are_kept_apart() -> None:
    for bounds in ((0.0, 1.0), (-0.0, 1.0), (0, 1), (False, True)):
        point = HistogramDataPoint({}, 1, 2, 1, 0.5, (0, 1, 0), bounds, 0.5, 0.5)
        data = _collection(Histogram([point], AggregationTemporality.CUMULATIVE))
        assert_same(encoder.encode_metrics(data), stock_encode_metrics(data))
