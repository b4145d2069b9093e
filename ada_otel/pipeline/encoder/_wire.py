"""The protobuf wire format: varints, tags and length-delimited fields.

Source: the protobuf encoding specification. Field numbers are those of opentelemetry-proto 1.x; a test pins
them. A tag is ``field number << 3 | wire type`` and is written out as bytes where it is used.
"""

from __future__ import annotations

UINT32_MAX = (1 << 32) - 1
UINT64_MAX = (1 << 64) - 1

TABLE_SIZE = 2048
"""Varints below this come from `VARINT`; nearly all lengths are."""

VARINT: list[bytes] = [bytes((n,)) for n in range(128)]
VARINT += [bytes((n & 127 | 128, n >> 7)) for n in range(128, TABLE_SIZE)]


class SurpriseError(Exception):
    """A value that this encoder leaves to the stock one.

    Args:
        reason: A fixed phrase, fit to be a metric attribute.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def varint(number: int) -> bytes:
    """Encode an unsigned integer below 2**64.

    Raises:
        SurpriseError: It is negative or too large.
    """
    if 0 <= number < TABLE_SIZE:
        return VARINT[number]
    if not 0 < number <= UINT64_MAX:
        raise SurpriseError("integer out of range")
    octets = bytearray()
    while number > 127:
        octets.append(number & 127 | 128)
        number >>= 7
    octets.append(number)
    return bytes(octets)


def zigzag(number: int) -> bytes:
    """Encode a ``sint32``.

    Raises:
        SurpriseError: It does not fit.
    """
    if not -(1 << 31) <= number < 1 << 31:
        raise SurpriseError("integer out of range")
    return varint((number << 1) ^ (number >> 31))


def uint32(tag: bytes, number: int) -> bytes:
    """Encode a ``uint32`` field without presence: nothing for 0.

    Raises:
        SurpriseError: It does not fit.
    """
    if not number:
        return b""
    if number > UINT32_MAX:
        raise SurpriseError("integer out of range")
    return tag + varint(number)


def delimited(tag: bytes, payload: bytes) -> bytes:
    """Encode a length-delimited field, also when the payload is empty."""
    size = len(payload)
    return tag + (VARINT[size] if size < TABLE_SIZE else varint(size)) + payload


def text(tag: bytes, value: str | None) -> bytes:
    """Encode a string field without presence: nothing for ``None`` and ``""``.

    Raises:
        TypeError: It is not a string.
        UnicodeEncodeError: It holds lone surrogates.
    """
    if value is None or value == "":
        return b""
    return delimited(tag, str.encode(value))
