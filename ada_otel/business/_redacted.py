"""Text and details of the app on their way out: redacted and bounded."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

#: Longest text, most details, longest name of one.
_TEXT, _DETAILS, _NAME = 2000, 32, 60


def text(value: str) -> str:
    """Without secrets, cut at 2,000 characters, and fit for UTF-8."""
    from ada_otel.redaction import redactor

    plain = str.__str__(value)[:_TEXT].encode("utf-8", "replace").decode()
    return str(redactor().text(plain))


def details(values: Iterable[tuple[Any, Any]]) -> tuple[dict[str, Any], bool]:
    """Plain values without secrets, at most 32; and whether something had to be left out."""
    from ada_otel.redaction import redactor

    taken: dict[str, Any] = {}
    left_out = False
    for key, value in values:
        if len(taken) == _DETAILS or not isinstance(key, str) or not key:
            left_out = True
        elif value is None or type(value) is bool:
            taken[_name(key)] = value
        elif type(value) is float:
            # As in log lines: JSON has no NaN, and the search server would refuse the whole record.
            taken[_name(key)] = value if math.isfinite(value) else str(value)
        elif type(value) is int:
            taken[_name(key)] = value if abs(value) < 2**63 else "too large"
        elif isinstance(value, str):
            taken[_name(key)] = str.__str__(value)[:_TEXT].encode("utf-8", "replace").decode()
        else:
            left_out = True
    return {key: value for key, value in redactor().mapping(taken).items() if value is not None}, left_out


def _name(key: str) -> str:
    return str.__str__(key)[:_NAME].encode("utf-8", "replace").decode()
