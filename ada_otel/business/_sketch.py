"""How many distinct users: HyperLogLog (Flajolet et al., 2007), which can be merged and names nobody.

4,096 registers: the standard error is 1.04 / sqrt(4096) = 1.6 %, so 19 of 20 estimates are within 3.3 %. A
sketch takes 4 kB, however many users there are.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from hashlib import blake2b

_BITS = 12
SIZE = 1 << _BITS
_LEFT = 64 - _BITS
_ALPHA = 0.7213 / (1 + 1.079 / SIZE)
_WEIGHTS = [2.0**-rank for rank in range(_LEFT + 2)]


def hashed(text: str) -> int:
    """A 64-bit hash that every process and host agrees on."""
    data = text.encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(data, digest_size=8).digest(), "big")


def place(value: int) -> tuple[int, int]:
    """The register of a hash, and the rank that it brings."""
    rest = value & ((1 << _LEFT) - 1)
    return value >> _LEFT, _LEFT - rest.bit_length() + 1


def merged(sketches: Iterable[bytes | bytearray]) -> bytearray:
    """The sketch of the union."""
    found = bytearray(SIZE)
    for sketch in sketches:
        found = bytearray(map(max, found, sketch))
    return found


def estimate(registers: bytes | bytearray) -> int:
    """How many distinct values the sketch has seen, to the nearest whole number."""
    empty = registers.count(0)
    raw = _ALPHA * SIZE * SIZE / sum(registers.count(rank) * weight for rank, weight in enumerate(_WEIGHTS))
    # Linear counting is the better estimate while registers are empty.
    if raw <= 2.5 * SIZE and empty:
        return round(SIZE * math.log(SIZE / empty))
    return round(raw)
