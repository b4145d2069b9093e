"""Attributes as the SDK keeps them, with one warning for each instrument that is given bad ones.

Stock warns at each call, keeps text of any length, and lets what an odd object raises through to the app.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from opentelemetry.attributes import _is_non_custom_str

from ada_otel._diagnostics import report

#: The most characters, or bytes, of one value. Thousands of sets are kept: each may be a label in Prometheus.
LONGEST = 4096

_SCALARS = (type(None), bool, int, float)


def tidy(metric: str, attributes: Any) -> dict[str, Any] | None:
    """Give a copy as the SDK keeps it: bad keys dropped, sequences made tuples, other objects made text.

    Args:
        metric: Named in the warning.
        attributes: What the app gave.
    """
    if attributes is None:
        return None
    problems: list[str] = []
    try:
        if isinstance(attributes, Mapping):
            return _mapping(attributes, problems)
        problems.append(f"are of type {type(attributes).__name__}, not a mapping, and were left out")
    except Exception as error:
        problems.append(f"cannot be read ({type(error).__name__}) and were left out")
    finally:
        if problems:
            report(
                f"metric-attributes:{metric}",
                f"Attributes of metric {metric!r} {problems[0]}. Names are text; values are text of at most "
                f"{LONGEST} characters, numbers, booleans, or sequences of these.",
            )
    return None


def _mapping(given: Mapping[Any, Any], problems: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in given.items():
        if not key:
            problems.append("have an empty name, which was left out")
            continue
        if not isinstance(key, str):
            problems.append(f"have a name of type {type(key).__name__}")
            if not _is_non_custom_str(key):
                continue
        found[str(key)] = _value(value, problems)
    return found


def _value(value: Any, problems: list[str]) -> Any:  # one for each kind of value
    if isinstance(value, _SCALARS):
        return value
    if isinstance(value, (str, bytes)):
        if len(value) > LONGEST:
            problems.append(f"have a value of length {len(value)}, which was cut")
            return value[:LONGEST]
        return value
    if isinstance(value, Sequence):
        return tuple(_value(each, problems) for each in value)
    if isinstance(value, Mapping):
        return _mapping(value, problems)
    problems.append(f"have a value of type {type(value).__name__}")
    return _text(value)


def _text(value: object) -> str | None:
    """An object of a class that says how it reads."""
    try:
        return str(value)[:LONGEST] if _is_non_custom_str(value) else None
    except Exception:
        return None
