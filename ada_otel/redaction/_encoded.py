"""Percent-encoded texts, as in query strings: looked at as what they say, once they are decoded."""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import quote, unquote_plus

_escape = re.compile(r"%[0-9A-Fa-f]{2}")
#: Where an encoded part begins and ends; a query string is looked at value by value.
_BORDERS = frozenset(" \t\r\n\"'<>&?")
_border = re.compile(r"""[\s"'<>&?]""")
#: Some encode what is encoded already.
_MOST_ROUNDS = 3
#: What stays readable in the place of a part that was changed.
_SHOWN = "=/:@[],;+"


def redact_encoded(text: str, redact: Callable[[str], str]) -> str:
    """``text`` in which each percent-encoded part that holds a secret is replaced; in linear time.

    Args:
        text: Any text.
        redact: Takes secrets out of what was decoded.
    """
    pieces: list[str] = []
    done = at = 0
    while (escape := _escape.search(text, at)) is not None:
        start = escape.start()
        while start > at and text[start - 1] not in _BORDERS:
            start -= 1
        border = _border.search(text, escape.end())
        at = len(text) if border is None else border.start()
        decoded = _decoded(text[start:at])
        shown = redact(decoded)
        if shown != decoded:
            pieces += (text[done:start], quote(shown, safe=_SHOWN))
            done = at
    if not pieces:
        return text
    pieces.append(text[done:])
    return "".join(pieces)


def _decoded(part: str) -> str:
    for _ in range(_MOST_ROUNDS):
        before, part = part, unquote_plus(part)
        if part == before or "%" not in part:
            break
    return part
