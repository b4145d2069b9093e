"""Collected metrics into ``ExportMetricsServiceRequest``."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from opentelemetry.sdk.metrics.export import ExponentialHistogram, Gauge, Histogram, Metric, MetricsData, Sum

from ada_otel.pipeline.encoder._groups import encoded_resource, encoded_scope
from ada_otel.pipeline.encoder._values import attributes_encoder
from ada_otel.pipeline.encoder._wire import SurpriseError, delimited, text, uint32, varint, zigzag

_MAX_BOUNDS = 256

_pack_times = struct.Struct("<BQBQ").pack
_pack_times_double = struct.Struct("<BQBQBd").pack
_pack_times_integer = struct.Struct("<BQBQBq").pack
_pack_times_count_sum = struct.Struct("<BQBQBQBd").pack
_pack_min_max = struct.Struct("<BdBd").pack
_pack_fixed64 = struct.Struct("<BQ").pack
_pack_sfixed64 = struct.Struct("<Bq").pack
_pack_double = struct.Struct("<Bd").pack
_pack_ids = struct.Struct(">HQHQQ").pack
_LOW_64 = (1 << 64) - 1

_number_attributes = attributes_encoder(b"\x3a")
_histogram_attributes = attributes_encoder(b"\x4a")
_exponential_attributes = attributes_encoder(b"\x0a")

# By number: aggregation temporality is an IntEnum (unspecified, delta, cumulative).
_TEMPORALITIES = {0: b"", 1: b"\x10\x01", 2: b"\x10\x02"}
# Packed bounds by the id of the tuple, which is held beside them. Equal tuples may differ in bytes (-0.0).
_bounds: dict[int, tuple[tuple[float, ...], bytes]] = {}


def clear_bounds() -> None:
    """Empty the cache of histogram bounds."""
    _bounds.clear()


def encode(data: MetricsData) -> bytes:
    """Encode one collection; anything unexpected raises, and then nothing is returned."""
    request = []
    seen = set()
    for resource_metrics in data.resource_metrics:
        resource = encoded_resource(resource_metrics.resource)
        seen.add(resource)
        group = [resource.head]
        group += [_scope_group(scope_metrics) for scope_metrics in _distinct(resource_metrics.scope_metrics)]
        group.append(resource.tail)
        request.append(delimited(b"\x0a", b"".join(group)))
    if len(seen) != len(request):
        raise SurpriseError("resource given twice")  # the stock encoder keeps the last one only
    return b"".join(request)


def _distinct(scope_metrics: Sequence[Any]) -> Sequence[Any]:
    if len({entry.scope for entry in scope_metrics}) != len(scope_metrics):
        raise SurpriseError("scope given twice")
    return scope_metrics


def _scope_group(scope_metrics: Any) -> bytes:
    if scope_metrics.scope is None:
        raise SurpriseError("scope type")
    scope = encoded_scope(scope_metrics.scope)
    pieces = [scope.head]
    pieces += [delimited(b"\x12", _metric(metric)) for metric in scope_metrics.metrics]
    pieces.append(scope.tail)
    return delimited(b"\x12", b"".join(pieces))


def _metric(metric: Metric) -> bytes:
    """Encode the content of one ``Metric`` message; it has no data if there are no points."""
    head = text(b"\x0a", metric.name) + text(b"\x12", metric.description) + text(b"\x1a", metric.unit)
    data = metric.data
    encoder = _KINDS.get(type(data))
    if encoder is None:
        raise SurpriseError("metric kind")
    return head + encoder(data) if data.data_points else head


def _gauge(gauge: Gauge) -> bytes:
    return delimited(b"\x2a", b"".join([_number_point(point, False) for point in gauge.data_points]))


def _sum(total: Sum) -> bytes:
    pieces = [_number_point(point, True) for point in total.data_points]
    pieces.append(_TEMPORALITIES[total.aggregation_temporality])
    if total.is_monotonic is True:
        pieces.append(b"\x18\x01")
    elif total.is_monotonic is not False:
        raise SurpriseError("is_monotonic type")
    return delimited(b"\x3a", b"".join(pieces))


def _histogram(histogram: Histogram) -> bytes:
    pieces = [_histogram_point(point) for point in histogram.data_points]
    pieces.append(_TEMPORALITIES[histogram.aggregation_temporality])
    return delimited(b"\x4a", b"".join(pieces))


def _exponential_histogram(histogram: ExponentialHistogram) -> bytes:
    pieces = [_exponential_point(point) for point in histogram.data_points]
    pieces.append(_TEMPORALITIES[histogram.aggregation_temporality])
    return delimited(b"\x52", b"".join(pieces))


_KINDS: dict[type, Callable[[Any], bytes]] = {
    Gauge: _gauge,
    Sum: _sum,
    Histogram: _histogram,
    ExponentialHistogram: _exponential_histogram,
}


def _number_point(point: Any, with_start: bool) -> bytes:
    value, time = point.value, point.time_unix_nano
    start = point.start_time_unix_nano if with_start else None
    if isinstance(value, int) and not isinstance(value, bool):  # protobuf takes no bool for an int
        if start and time and not point.exemplars:
            parts = [_pack_times_integer(0x11, start, 0x19, time, 0x31, value)]
        else:
            parts = [_times(start, time), *_exemplars(b"\x2a", point.exemplars), _pack_sfixed64(0x31, value)]
    elif isinstance(value, float):
        if start and time:
            parts = [_pack_times_double(0x11, start, 0x19, time, 0x21, value)]
        else:
            parts = [_times(start, time), _pack_double(0x21, value)]
        parts += _exemplars(b"\x2a", point.exemplars)
    else:
        raise SurpriseError("number type")
    parts += _number_attributes(point.attributes)
    return delimited(b"\x0a", b"".join(parts))


def _histogram_point(point: Any) -> bytes:
    counts, bounds = point.bucket_counts, point.explicit_bounds
    parts = [
        _times_count_sum(point),
        delimited(b"\x32", struct.pack(f"<{len(counts)}Q", *counts)) if counts else b"",
        _packed_bounds(bounds) if bounds else b"",
        *_exemplars(b"\x42", point.exemplars),
        *_histogram_attributes(point.attributes),
        _min_max(0x59, point.min, 0x61, point.max),
    ]
    return delimited(b"\x0a", b"".join(parts))


def _exponential_point(point: Any) -> bytes:
    parts = [
        *_exponential_attributes(point.attributes),
        _times_count_sum(point),
        b"\x30" + zigzag(point.scale) if point.scale else b"",
        _pack_fixed64(0x39, point.zero_count) if point.zero_count else b"",
        _buckets(b"\x42", point.positive),
        _buckets(b"\x4a", point.negative),
        uint32(b"\x50", point.flags) if point.flags is not None else b"",
        *_exemplars(b"\x5a", point.exemplars),
        _min_max(0x61, point.min, 0x69, point.max),
    ]
    return delimited(b"\x0a", b"".join(parts))


def _buckets(tag: bytes, buckets: Any) -> bytes:
    if not buckets.bucket_counts:
        return b""
    offset = b"\x08" + zigzag(buckets.offset) if buckets.offset else b""
    return delimited(tag, offset + delimited(b"\x12", b"".join(map(varint, buckets.bucket_counts))))


def _times(start: int | None, time: int | None) -> bytes:
    if start and time:
        return _pack_times(0x11, start, 0x19, time)
    return (_pack_fixed64(0x11, start) if start else b"") + (_pack_fixed64(0x19, time) if time else b"")


def _times_count_sum(point: Any) -> bytes:
    """Encode fields 2 to 5, the same in both kinds of histogram; only the sum has presence."""
    start, time, count, total = point.start_time_unix_nano, point.time_unix_nano, point.count, point.sum
    if start and time and count and total is not None:
        return _pack_times_count_sum(0x11, start, 0x19, time, 0x21, count, 0x29, total)
    return b"".join(
        (
            _times(start, time),
            _pack_fixed64(0x21, count) if count else b"",
            _pack_double(0x29, total) if total is not None else b"",
        )
    )


def _min_max(min_tag: int, minimum: float | None, max_tag: int, maximum: float | None) -> bytes:
    if minimum is not None and maximum is not None:
        return _pack_min_max(min_tag, minimum, max_tag, maximum)
    low = b"" if minimum is None else _pack_double(min_tag, minimum)
    return low if maximum is None else low + _pack_double(max_tag, maximum)


def _packed_bounds(bounds: Sequence[float]) -> bytes:
    known = _bounds.get(id(bounds))
    if known is not None and known[0] is bounds:
        return known[1]
    packed = delimited(b"\x3a", struct.pack(f"<{len(bounds)}d", *bounds))
    if type(bounds) is tuple:
        if len(_bounds) >= _MAX_BOUNDS:
            _bounds.clear()
        _bounds[id(bounds)] = (bounds, packed)
    return packed


def _exemplars(tag: bytes, exemplars: Iterable[Any]) -> Iterable[bytes]:
    return [delimited(tag, _exemplar(exemplar)) for exemplar in exemplars] if exemplars else ()


def _exemplar(exemplar: Any) -> bytes:
    value, time = exemplar.value, exemplar.time_unix_nano
    parts = [_pack_fixed64(0x11, time) if time else b""]
    if isinstance(value, float):
        parts.append(_pack_double(0x19, value))
    span_id, trace_id = exemplar.span_id, exemplar.trace_id
    if span_id is not None and trace_id is not None:
        parts.append(_pack_ids(0x2208, span_id, 0x2A10, trace_id >> 64, trace_id & _LOW_64))
    if isinstance(value, int) and not isinstance(value, bool):
        parts.append(_pack_sfixed64(0x31, value))
    elif not isinstance(value, float):
        raise SurpriseError("exemplar value type")
    parts += _number_attributes(exemplar.filtered_attributes)
    return b"".join(parts)
