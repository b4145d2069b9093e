"""Attribute values, and the bounded caches of attributes that were encoded before.

Most attributes of a span, log record or data point are the same ones over and over (method, route, status).
The cache is a dict whose ``__missing__`` encodes, so a whole set of attributes is looked up by one `map` that
runs in C.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from opentelemetry.attributes import BoundedAttributes

from ada_otel.pipeline.encoder._wire import (
    TABLE_SIZE,
    UINT64_MAX,
    VARINT,
    SurpriseError,
    delimited,
    text,
    varint,
)
from ada_otel.pipeline.grouped import Group, GroupedAttributes

MAX_ENTRIES = 2048
"""Entries of one cache. A full cache is emptied: what is in use comes back within one batch."""

MAX_LENGTH = 128
"""Longest key and string value that is kept, in characters."""

_MAX_REDACTED = 256  # redaction takes longer than encoding, and user agents are longer than 128
MAX_GROUP_BYTES = 1024
# Of these each value is another one: kept, they would only push out what recurs.
_NEVER_KEPT = frozenset({"request_id"})
#: The longest of those whose start is kept: so many characters.
SHORT = 32

MAX_DEPTH = 24
"""Deepest nesting encoded here; protobuf parsers stop at 100 messages."""

AttributesEncoder = Callable[[Any], Iterable[bytes]]

_pack_double = struct.Struct("<Bd").pack
_pack_float = struct.Struct("<d").pack
# Types whose equal values have one encoding; not floats (0.0 == -0.0), nor sequences ((1,) == (True,)).
_CACHEABLE = frozenset({str, int, bool, type(None)})


def any_value(value: Any, depth: int = 0) -> bytes:
    """Encode the content of an ``AnyValue`` message, empty for ``None``.

    Raises:
        SurpriseError: The stock encoder refuses such a value, or it is nested too deeply.
        UnicodeEncodeError: A string holds lone surrogates.
    """
    kind = type(value)
    if kind is str:
        return delimited(b"\x0a", value.encode())
    if kind is bool:
        return b"\x10\x01" if value else b"\x10\x00"
    if kind is int:
        return _integer(value)
    if kind is float:
        return _pack_double(0x21, value)
    if value is None:
        return b""
    return _other_value(value, depth)


def _integer(value: int) -> bytes:
    if not -(1 << 63) <= value < 1 << 63:
        raise SurpriseError("integer out of range")
    return b"\x18" + varint(value & UINT64_MAX)


def _other_value(value: Any, depth: int) -> bytes:
    """Encode subclasses and containers, by the same order of checks as the stock encoder."""
    if isinstance(value, str):
        return delimited(b"\x0a", str.encode(value))
    if isinstance(value, int):
        return _integer(int.__int__(value))
    if isinstance(value, float):
        return _pack_double(0x21, value)
    if isinstance(value, bytes):
        return delimited(b"\x3a", value)
    if depth >= MAX_DEPTH:
        raise SurpriseError("nested too deeply")
    depth += 1
    if isinstance(value, Sequence):
        return delimited(b"\x2a", b"".join([delimited(b"\x0a", any_value(v, depth)) for v in value]))
    if isinstance(value, Mapping):
        pairs = [delimited(b"\x0a", _key_value(str(k), v, depth)) for k, v in value.items()]
        return delimited(b"\x32", b"".join(pairs))
    raise SurpriseError("attribute type")


def _key_value(key: Any, value: Any, depth: int = 0) -> bytes:
    return text(b"\x0a", key) + delimited(b"\x12", any_value(value, depth))


class _KeyStarts(dict[str, bytes]):
    """By key: the key field and the tag of the value field, with which each ``KeyValue`` begins."""

    __slots__ = ()

    def __missing__(self, key: Any) -> bytes:
        start = text(b"\x0a", key) + b"\x12"
        if type(key) is str and len(key) <= MAX_LENGTH:
            if len(self) >= MAX_ENTRIES:
                self.clear()
            self[key] = start
        return start


_key_starts = _KeyStarts()


class _Starts(dict[tuple[str, "int | None"], bytes]):
    """What stands before a short text, by its key and its length in bytes; before a float, with no length."""

    __slots__ = ("_tag",)

    def __init__(self, tag: bytes) -> None:
        self._tag = tag

    def __missing__(self, item: tuple[str, int | None]) -> bytes:
        key, size = item
        if size is None:
            size, value = 8, b"\x09\x21"
        else:
            value = VARINT[size + 2] + b"\x0a" + VARINT[size]
        rest = _key_starts[key] + value
        if len(self) >= MAX_ENTRIES:
            self.clear()
        start = self._tag + VARINT[len(rest) + size] + rest
        self[item] = start
        return start


class _Cache(dict[tuple[Any, Any, type], bytes]):
    """Encoded ``KeyValue`` fields by key, value and type of the value (``1 == True == 1.0``).

    Attributes:
        starts: What stands before values that are encoded anew each time.
    """

    __slots__ = ("_tag", "starts")

    def __init__(self, tag: bytes) -> None:
        self._tag = tag
        self.starts = _Starts(tag)

    def fresh(self, key: str, value: Any) -> bytes:
        """Encode an attribute that has another value each time; its key is one of ours."""
        kind = type(value)
        if kind is float:
            return self.starts[key, None] + _pack_float(value)
        if kind is str and len(value) <= SHORT:
            payload: bytes = value.encode()
            return self.starts[key, len(payload)] + payload
        return delimited(self._tag, _key_value(key, value))

    def __missing__(self, item: tuple[Any, Any, type]) -> bytes:
        key, value, kind = item
        if key in _NEVER_KEPT or (kind is float and type(key) is str and len(key) <= MAX_LENGTH):
            return self.fresh(key, value)
        start, payload = _key_starts[key], any_value(value)
        size = len(payload)
        rest = start + (VARINT[size] if size < TABLE_SIZE else varint(size)) + payload
        encoded = delimited(self._tag, rest)
        if (
            kind in _CACHEABLE
            and type(key) is str
            and len(key) <= MAX_LENGTH
            and (kind is not str or len(value) <= MAX_LENGTH)
        ):
            if len(self) >= MAX_ENTRIES:
                self.clear()
            self[item] = encoded
        return encoded


class Redacted(dict[tuple[str, Any, type], bytes]):
    """Encoded ``KeyValue`` fields by key, value and type of the value before it is redacted.

    Args:
        tag: Of the fields.
        redact: Takes key and value, and gives the value without secrets; the same one for the same.
    """

    __slots__ = ("_redact", "_tag")

    def __init__(self, tag: bytes, redact: Callable[[str, Any], Any]) -> None:
        self._tag = tag
        self._redact = redact

    def __missing__(self, item: tuple[str, Any, type]) -> bytes:
        key, value, kind = item
        payload = any_value(self._redact(key, value))
        encoded = delimited(self._tag, _key_starts[key] + delimited(b"", payload))
        if kind in _CACHEABLE and len(key) <= MAX_LENGTH and (kind is not str or len(value) <= _MAX_REDACTED):
            if len(self) >= MAX_ENTRIES:
                self.clear()
            self[item] = encoded
        return encoded


class _Groups(dict[Group, bytes]):
    """Encoded ``KeyValue`` fields of groups of attributes that recur together."""

    __slots__ = ("_pairs",)

    def __init__(self, pairs: _Cache) -> None:
        self._pairs = pairs

    def __missing__(self, group: Group) -> bytes:
        encoded = b"".join([self._pairs[key, value, type(value)] for key, value in group.pairs])
        if len(encoded) <= MAX_GROUP_BYTES:
            if len(self) >= MAX_ENTRIES:
                self.clear()
            self[group] = encoded
        return encoded


_caches: dict[bytes, _Cache] = {}
_groups: dict[bytes, _Groups] = {}


def caches(tag: bytes) -> tuple[_Cache, _Groups]:
    """What is kept of single attributes, by key, value and type, and of groups, for fields with this tag."""
    cache = _caches.setdefault(tag, _Cache(tag))
    return cache, _groups.setdefault(tag, _Groups(cache))


def attributes_encoder(tag: bytes) -> AttributesEncoder:
    """Make the function that encodes attributes into ``KeyValue`` fields with this tag.

    It takes a plain dict, `BoundedAttributes`, `GroupedAttributes`, any other mapping, or nothing, and raises
    what `any_value` raises, and TypeError for a key that is not a string.
    """
    cache, groups = caches(tag)
    lookup, group = cache.__getitem__, groups.__getitem__

    def encode(attributes: Any) -> Iterable[bytes]:
        kind = type(attributes)
        if kind is BoundedAttributes:
            attributes = attributes._dict
        elif kind is GroupedAttributes:
            found = list(map(group, attributes.groups))
            found += [lookup((key, value, type(value))) for key, value in attributes.rest.items()]
            return found
        elif kind is not dict:
            if not attributes:
                return ()
            return [delimited(tag, _key_value(k, v)) for k, v in attributes.items()]
        values = attributes.values()
        try:
            return list(map(lookup, zip(attributes, values, map(type, values), strict=True)))
        except TypeError:  # a list or a mapping among the values cannot be looked up
            return [delimited(tag, _key_value(k, v)) for k, v in attributes.items()]

    return encode


def long_attributes_encoder(tag: bytes) -> AttributesEncoder:
    """Make an `attributes_encoder` for where long strings are common, such as the stack traces of exceptions.

    Strings that are too long for the cache are not looked up, as hashing them costs more than encoding them.
    """
    encode_all = attributes_encoder(tag)
    cache = _caches[tag]

    def encode(attributes: Any) -> Iterable[bytes]:
        if type(attributes) is BoundedAttributes:
            attributes = attributes._dict
        elif type(attributes) is not dict:
            return encode_all(attributes)
        return [
            delimited(tag, _key_value(key, value))
            if type(value) not in _CACHEABLE or (type(value) is str and len(value) > MAX_LENGTH)
            else cache[key, value, type(value)]
            for key, value in attributes.items()
        ]

    return encode


def clear_attributes() -> None:
    """Empty the caches of all attributes encoders."""
    _key_starts.clear()
    for cache in _caches.values():
        cache.clear()
    for groups in _groups.values():
        groups.clear()


def cache_sizes() -> dict[bytes, int]:
    """Entries by tag, for tests and self-observation."""
    return {tag: len(cache) for tag, cache in _caches.items()}
