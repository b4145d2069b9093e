"""Attribute values through both OTLP encoders; also what the other encoder tests share."""

from __future__ import annotations

import enum
import random
from collections import OrderedDict, UserString
from decimal import Decimal
from fractions import Fraction
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from opentelemetry.attributes import BoundedAttributes
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans as stock_encode_spans
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind

from ada_otel.pipeline import encoder
from ada_otel.pipeline.encoder import _values
from ada_otel.pipeline.encoder._wire import SurpriseError, varint, zigzag

# Telemetry of random size is now and then larger than Hypothesis likes; it is small enough for these tests.
bounded = settings(
    max_examples=80,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

INT64 = st.integers(-(1 << 63), (1 << 63) - 1)
UINT64 = st.integers(0, (1 << 64) - 1)
UINT32 = st.integers(0, (1 << 32) - 1)
TIMES = st.one_of(st.none(), st.just(0), st.integers(1, (1 << 64) - 1))
NAMES = st.one_of(st.sampled_from(["GET /items/<id>", "SELECT", "", "ünïcödé"]), st.text(max_size=200))
# Equal in Python, different in OTLP: what a careless cache would mix up.
TWINS = st.sampled_from([0, 1, False, True, 0.0, -0.0, 1.0, "1", "", b"1", None])
SCALARS = st.one_of(
    TWINS,
    st.text(max_size=40),
    st.text(min_size=120, max_size=300),
    INT64,
    st.floats(),
    st.binary(max_size=40),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.dictionaries(st.text(max_size=8), inner, max_size=4),
    ),
    max_leaves=6,
)
KEYS = st.one_of(st.sampled_from(["a", "b", "http.request.method"]), st.text(max_size=160))
PLAIN = st.dictionaries(KEYS, VALUES, max_size=6)
ATTRIBUTES = st.one_of(
    st.none(),
    PLAIN,
    PLAIN.map(MappingProxyType),
    PLAIN.map(OrderedDict),
    st.builds(
        BoundedAttributes, st.integers(0, 5), PLAIN, st.booleans(), st.one_of(st.none(), st.integers(0, 9))
    ),
)
# A few of each, in new objects and in shared ones, so that items fall into groups.
_RESOURCE_VALUES: list[dict[str, Any]] = [
    {},
    {"a": 1},
    {"a": True},
    {"a": 1.0},
    {"b": "x", "a": 1},
    {"a": 1, "b": "x"},
]
_SHARED_RESOURCES = [Resource(values, "https://schema/1") for values in _RESOURCE_VALUES]
RESOURCES = st.one_of(
    st.sampled_from(_SHARED_RESOURCES),
    st.builds(Resource, st.sampled_from(_RESOURCE_VALUES), st.sampled_from([None, "", "https://schema/1"])),
)
_SHARED_SCOPES = [
    None,
    InstrumentationScope("flask", "1"),
    InstrumentationScope("redis", "2", "https://schema/2"),
]
SCOPES = st.one_of(
    st.sampled_from(_SHARED_SCOPES),
    st.builds(
        InstrumentationScope,
        st.sampled_from(["flask", "", "own"]),
        st.sampled_from([None, "", "1"]),
        st.sampled_from([None, "https://schema/2"]),
        st.one_of(st.none(), st.sampled_from([{"k": 1}, {"k": True}, {"k": "v"}])),
    ),
)


def assert_same(ours: bytes, stock: Any) -> None:
    """Parse ours and compare with the stock message, also where NaN makes messages differ from themselves."""
    parsed = type(stock).FromString(ours)
    expected = stock.SerializeToString(deterministic=True)
    if type(stock).FromString(expected) == stock:
        assert parsed == stock
    assert parsed.SerializeToString(deterministic=True) == expected


def span_with(attributes: Any) -> ReadableSpan:
    return ReadableSpan(
        "s",
        SpanContext(1, 2, False),
        attributes=attributes,
        resource=_SHARED_RESOURCES[1],
        start_time=1,
        end_time=2,
    )


class _Level(enum.IntEnum):
    HIGH = 7


class _Colour(str, enum.Enum):
    RED = "red"


class _Text(str):
    __slots__ = ()

    def encode(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:
        return b"not what protobuf sees"

    def __str__(self) -> str:
        return "nor this"


class _Ratio(float):
    pass


class _Blob(bytes):
    pass


@pytest.mark.parametrize(
    "value",
    [
        _Level.HIGH,
        _Colour.RED,
        _Text("text"),
        _Ratio(0.5),
        _Blob(b"\x00\xff"),
        bytearray(b"ab"),
        memoryview(b"ab"),
        range(3),
        MappingProxyType({"k": (1, None)}),
        {1: "one", None: "none", _Colour.RED: "red"},
        {_Text("key"): 1},
        [],
        {},
        (None, [True, 1, 1.0, {"deep": [b"x"]}]),
        "x" * 1_000_000,
        (1 << 63) - 1,
        -(1 << 63),
        float("inf"),
    ],
)
def test_unusual_values_are_encoded_here_and_as_stock_does(value: Any) -> None:
    before = encoder.fallbacks()
    spans = [span_with({"before": 1, "key": value, "after": 2})]
    assert_same(encoder.encode_spans(spans), stock_encode_spans(spans))
    assert encoder.fallbacks() == before


def _nested(depth: int) -> Any:
    value: Any = "leaf"
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (1 << 63, "integer out of range"),
        (-(1 << 63) - 1, "integer out of range"),
        ([1, 1 << 64], "integer out of range"),
        (object(), "attribute type"),
        ({"a", "b"}, "attribute type"),
        (Decimal("1.5"), "attribute type"),
        (Fraction(1, 2), "attribute type"),
        (1 + 2j, "attribute type"),
        (SpanKind.SERVER, "attribute type"),
        ("lone \ud800", "UnicodeEncodeError"),
        ({"lone \udfff": 1}, "UnicodeEncodeError"),
        (UserString("its items are itself"), "nested too deeply"),
        (_nested(30), "nested too deeply"),
    ],
)
def test_values_that_stock_may_drop_go_to_stock(value: Any, reason: str) -> None:
    before = encoder.fallbacks().get(("traces", reason), 0)
    spans = [span_with({"before": 1, "key": value, "after": 2})]
    assert_same(encoder.encode_spans(spans), stock_encode_spans(spans))
    assert encoder.fallbacks()["traces", reason] == before + 1


@pytest.mark.parametrize("key", [1, b"bytes", "lone \ud800", ("a",)])
def test_keys_that_are_not_strings_go_to_stock(key: Any) -> None:
    before = sum(encoder.fallbacks().values())
    spans = [span_with({key: "value", "after": 2})]
    assert_same(encoder.encode_spans(spans), stock_encode_spans(spans))
    assert sum(encoder.fallbacks().values()) == before + 1


@bounded
@given(st.lists(ATTRIBUTES, min_size=1, max_size=8))
@example([{"a": 1}, {"a": True}, {"a": 1.0}, {"a": "1"}, {"a": 0.0}, {"a": -0.0}, {"a": False}, {"a": 0}])
def test_any_attributes_give_the_same_message_at_first_and_from_the_cache(many: list[Any]) -> None:
    before = encoder.fallbacks()
    spans = [span_with(attributes) for attributes in many]
    expected = stock_encode_spans(spans)
    assert_same(encoder.encode_spans(spans), expected)
    assert_same(encoder.encode_spans(spans), expected)
    assert encoder.fallbacks() == before


def test_caches_are_bounded_in_entries_and_hold_no_long_values() -> None:
    encoder.clear_caches()
    tag = b"\x4a"
    encode = _values.attributes_encoder(tag)
    for n in range(_values.MAX_ENTRIES * 3):
        list(encode({"id": f"value {n}"}))
        assert _values.cache_sizes()[tag] <= _values.MAX_ENTRIES
    encoder.clear_caches()
    too_long = "x" * (_values.MAX_LENGTH + 1)
    list(encode({"text": too_long, too_long: 1, "float": 0.5, "tuple": ("a",), "bytes": b"b"}))
    assert _values.cache_sizes()[tag] == 0
    list(encode({"text": too_long[1:], "int": 1, "bool": True, "none": None}))
    assert _values.cache_sizes()[tag] == 4


def test_varint_and_zigzag_at_their_edges() -> None:
    assert [varint(n) for n in (0, 127, 128, 300)] == [b"\x00", b"\x7f", b"\x80\x01", b"\xac\x02"]
    assert varint(2047) == b"\xff\x0f"
    assert varint(2048) == b"\x80\x10"
    assert varint((1 << 64) - 1) == b"\xff" * 9 + b"\x01"
    assert [zigzag(n) for n in (0, -1, 1, -2)] == [b"\x00", b"\x01", b"\x02", b"\x03"]
    for wrong in (-1, 1 << 64):
        with pytest.raises(SurpriseError):
            varint(wrong)
    for wrong in (1 << 31, -(1 << 31) - 1):
        with pytest.raises(SurpriseError):
            zigzag(wrong)


def test_random_batches_share_the_cache_without_mixing_up() -> None:
    chance = random.Random(4)
    pool: list[Any] = [0, 1, True, False, None, "0", "1", 1.0, "text", 80, 443]
    for _ in range(50):
        spans = [span_with({k: chance.choice(pool) for k in "abcdef"}) for _ in range(20)]
        assert_same(encoder.encode_spans(spans), stock_encode_spans(spans))
