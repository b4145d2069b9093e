"""The two answers of an OTLP server that need reading: ``partial_success`` and ``Retry-After``.

Read by hand: protobuf is not imported for two fields.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass


@dataclass(frozen=True)
class Rejection:
    """A ``partial_success``: how many items the server did not take, and why."""

    items: int
    message: str


def partial_success(body: bytes) -> Rejection | None:
    """The rejection in an ``Export*ServiceResponse``; nothing if all was taken.

    Field 1 is ``partial_success``; its fields are 1, the count, and 2, the message, for all three signals.
    """
    if not body:
        return None
    try:
        inner = _fields(body).get(1)
        if not isinstance(inner, bytes):
            return None
        parts = _fields(inner)
    except (IndexError, ValueError):
        return None  # not protobuf: some proxies answer 200 with a page
    count, text = parts.get(1, 0), parts.get(2, b"")
    items = count if isinstance(count, int) else 0
    message = text.decode("utf-8", "replace") if isinstance(text, bytes) else ""
    return Rejection(items, message) if items or message else None


def retry_after(value: str | None) -> float | None:
    """The seconds that a ``Retry-After`` header asks for, as a number or as a date (RFC 9110, 10.2.3)."""
    if value is None:
        return None
    try:
        seconds = float(value.strip())
    except ValueError:
        from email.utils import parsedate_to_datetime

        try:
            moment = parsedate_to_datetime(value.strip())
        except (TypeError, ValueError):
            return None
        if moment.tzinfo is None:
            from datetime import timezone

            moment = moment.replace(tzinfo=timezone.utc)
        seconds = moment.timestamp() - time.time()
    return max(0.0, seconds) if math.isfinite(seconds) else None


def _fields(data: bytes) -> dict[int, int | bytes]:
    """The last value of each field of a protobuf message."""
    found: dict[int, int | bytes] = {}
    place = 0
    while place < len(data):
        key, place = _varint(data, place)
        number, wire = key >> 3, key & 7
        if wire == 0:
            found[number], place = _varint(data, place)
            continue
        if wire == 2:
            size, place = _varint(data, place)
        elif wire in {1, 5}:
            size = 8 if wire == 1 else 4
        else:
            raise ValueError("not a protobuf message")
        if place + size > len(data):
            raise ValueError("not a protobuf message")
        found[number] = data[place : place + size]
        place += size
    return found


def _varint(data: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
        shift += 7
        if shift > 63:
            raise ValueError("not a protobuf message")
