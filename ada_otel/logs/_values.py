"""Values of attributes: what OTLP and JSON can hold, out of whatever was logged."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

__all__ = ["plain", "text_of"]

#: Containers nested more deeply than this are shown as text.
_DEPTH = 6
#: Past so many items a container is cut off.
_ITEMS = 256
#: OTLP's integers have 64 bits.
_GREATEST = (1 << 63) - 1


def plain(value: Any, depth: int = 0) -> Any:
    """``value`` as text, number, boolean, list or dictionary of such; other objects as their text.

    Args:
        value: Whatever was logged.
        depth: How deep it is nested.
    """
    kind = type(value)
    if kind is str or kind is bool or value is None:
        return value
    if kind is int:
        return value if -_GREATEST <= value <= _GREATEST else text_of(value)
    if kind is float:
        return value if math.isfinite(value) else str(value)
    if depth < _DEPTH:
        if isinstance(value, Mapping):
            pairs = list(value.items())[:_ITEMS]
            return {text_of(key): plain(part, depth + 1) for key, part in pairs}
        if isinstance(value, (list, tuple, set, frozenset)):
            return [plain(part, depth + 1) for part in list(value)[:_ITEMS]]
    return text_of(value)


def text_of(value: object) -> str:
    """``str(value)``, also of an object whose ``__str__`` raises."""
    try:
        if isinstance(value, (bytes, bytearray)):
            return value.decode("utf-8", "backslashreplace")
        # A subclass of str may come with a __str__ that gives the like again.
        return "".join(str(value))
    except Exception as error:
        return f"<{type(value).__name__} without a text: {type(error).__name__}>"
