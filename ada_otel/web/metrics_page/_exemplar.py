"""Exemplars in a worker's file: six slots for each bucket or counter, written by one call."""

from __future__ import annotations

import struct
from typing import NamedTuple

from opentelemetry.trace import SpanContext

SLOTS = 6
SIZE = 8 * SLOTS

#: Time, value, trace id in two halves, span id, and the time again: who reads while it is written sees two
#: times that differ, and leaves it out.
_LAYOUT = struct.Struct("<ddQQQd")
_HALF = (1 << 64) - 1


class Exemplar(NamedTuple):
    """One exemplar: Unix time, value, trace id and span id in hexadecimal."""

    time: float
    value: float
    trace_id: str
    span_id: str


def write(memory: bytearray | object, at: int, now: float, value: float, span: SpanContext) -> None:
    """Put an exemplar at byte ``at`` of ``memory``."""
    trace_id = span.trace_id
    _LAYOUT.pack_into(memory, at, now, value, trace_id >> 64, trace_id & _HALF, span.span_id, now)  # type: ignore[arg-type]


def write_again(memory: bytearray | object, at: int, found: Exemplar) -> None:
    """Put one that was read into another file."""
    trace_id = int(found.trace_id, 16)
    _LAYOUT.pack_into(
        memory,  # type: ignore[arg-type]
        at,
        found.time,
        found.value,
        trace_id >> 64,
        trace_id & _HALF,
        int(found.span_id, 16),
        found.time,
    )


def read(raw: bytes, at: int) -> Exemplar | None:
    """The exemplar at byte ``at``, if there is one and it is whole."""
    time, value, high, low, span_id, again = _LAYOUT.unpack_from(raw, at)
    if not time or time != again:
        return None
    return Exemplar(time, value, f"{high:016x}{low:016x}", f"{span_id:016x}")
