"""Attribute sets as keys of dictionaries, without the SDK's cleaning, sorting and hashing."""

from __future__ import annotations

from typing import Any

from ada_otel.pipeline.metrics._attributes import LONGEST

# Equal values of these types are equal for the SDK too, once the types are part of the key: True, 1 and 1.0
# are three attribute sets. A tuple may hold such values unseen, so it is looked up the SDK's way.
_SCALARS = frozenset({str, int, float, bool, type(None), bytes})
_SIZED = frozenset({str, bytes})


def key_of(attributes: Any) -> tuple[Any, ...] | None:
    """Names, values and types of an attribute set, in the order given; ``None`` if it is no plain ``dict``.

    What the SDK takes as it is may be remembered by its key, see :func:`is_plain`.
    """
    if not attributes:
        return ()
    if type(attributes) is not dict:
        return None
    values = attributes.values()
    return (*attributes, *values, *map(type, values))


def is_plain(key: tuple[Any, ...]) -> bool:
    """Whether all names and values of a key are kept as they are."""
    size = len(key) // 3
    names, values, kinds = key[:size], key[size : 2 * size], key[2 * size :]
    return (
        _SCALARS.issuperset(kinds)
        and all(type(name) is str and name for name in names)
        and all(len(value) <= LONGEST for value in values if type(value) in _SIZED)
    )
