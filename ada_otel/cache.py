"""Cache lookups, counted: hits and misses, as ``ada.cache.lookups``.

Those in Redis are counted by the instrumentation. For other caches, call :func:`record_lookup`.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from opentelemetry.metrics import Meter, get_meter

from ada_otel import catalogue
from ada_otel._diagnostics import failed, report, repr_of
from ada_otel.pipeline.metrics import BoundCounter, bind

__all__ = ["Lookups", "record_lookup"]

#: Names of caches beyond this number are counted together, as ``_OTHER``.
_MOST_NAMES = 50
_LONGEST_NAME = 64

_names: set[str] = set()


class Lookups:
    """The counter of one cache, bound to its two results."""

    __slots__ = ("hits", "misses")

    def __init__(self, meter: Meter, cache: str) -> None:
        counter = catalogue.create(meter, catalogue.metric("ada.cache.lookups"))
        self.hits: BoundCounter = _bound(counter, cache, "hit")
        self.misses: BoundCounter = _bound(counter, cache, "miss")


def _bound(counter: Any, cache: str, result: str) -> BoundCounter:
    bound: BoundCounter = bind(counter, {"ada.cache.name": cache, "ada.cache.result": result})
    return bound


@lru_cache(_MOST_NAMES + 1)
def _lookups(cache: str) -> Lookups:
    return Lookups(get_meter("ada_otel.cache"), cache)


def record_lookup(cache: str, *, hit: bool, count: int = 1) -> None:
    """Count lookups of keys in a cache. Never raises.

    Args:
        cache: Its name, which becomes ``ada.cache.name``: at most 50 different ones, of 64 characters each.
        hit: Whether the keys were found.
        count: How many keys were looked up.
    """
    try:
        given: object = cache
        if not isinstance(given, str) or not 0 < len(given) <= _LONGEST_NAME:
            report(
                "cache-name",
                f"record_lookup() takes the name of a cache, of 1 to {_LONGEST_NAME} characters, "
                f"not {repr_of(cache)}. The lookup is not counted.",
            )
            return
        if cache not in _names:
            if len(_names) < _MOST_NAMES:
                _names.add(cache)
            else:
                cache = "_OTHER"
        found = _lookups(cache)
        (found.hits if hit else found.misses).add(count)
    except Exception as error:
        failed("Counting a cache lookup", error)
