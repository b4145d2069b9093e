"""``password=…``, ``"token": "…"``, ``Cookie: …`` and the like within a text.

One pass: each word that names a secret is looked at once, and nothing is read twice, whatever the text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

#: What names a secret; the key's rules decide on the whole word.
_NAMES = (
    r"passw(?:or)?d|passphrase|passcode|pass|pwd|pw|secret|token|authorization|cookie|credential|"
    r"(?:api|access|private|signing|encryption)[-_. ]?key|connection[-_. ]?string|"
    r"card[-_. ]?number|credit[-_. ]?card|security[-_. ]?code|pin|otp|cvv|cvc|ssn|dsn|iban|jwt|bearer"
)
#: Characters by which a word goes on.
_rest = re.compile(r"[\w.\-]*", re.ASCII)
#: From the key to its value; the second form is a pair of texts, as in ``('password', '…')``.
_separator = re.compile(
    r"""(?:\\{0,3}["'])?\]?[ \t]{0,4}(?:=>|==|:=|=|:)[ \t\n]{0,4}|\\{0,3}["'],[ ]?(?=[bu]?["'])"""
)
_opening = re.compile(r"""[\[({]{0,2}[bu]?(\\{0,3})(["'])""")
_bare = re.compile(r"""[^\s&,;"'<>\])}\\]+""")
#: These take all of a line: several parts with spaces and semicolons between.
_line = re.compile(r"[^\r\n\"'\\]+")
_WHOLE_LINE = ("authorization", "cookie")


class Assignments:
    """Finds and redacts values that follow a key in a text.

    Args:
        hides: Says of a key and a value whether the value is secret.
        added: Further names of secrets.
        mark: What stands in their place.
    """

    def __init__(self, hides: Callable[[str, object], bool], added: Iterable[str], mark: str) -> None:
        own = "".join("|" + "[-_. ]?".join(map(re.escape, word)) for word in added)
        self._name = re.compile(_NAMES + own, re.IGNORECASE | re.ASCII)
        self._hides = hides
        self._mark = mark

    def redact(self, text: str) -> str:
        """``text`` with each such value replaced."""
        pieces: list[str] = []
        done = at = 0
        missing: set[str] = set()
        search = self._name.search
        while (name := search(text, at)) is not None:
            rest = _rest.match(text, name.end())
            at = rest.end() if rest is not None else name.end()
            separator = _separator.match(text, at)
            if separator is None or self._is_redacted(text, separator.end()):
                continue
            start, end = _value(
                text, text[_word_start(text, name.start(), done) : at], separator.end(), missing
            )
            shown = text[start:end]
            key = text[_word_start(text, name.start(), done) : at]
            if start == end or not self._hides(key, _number(shown)) or shown == self._mark:
                continue
            pieces += (text[done:start], self._mark)
            done = at = end
        if not pieces:
            return text
        pieces.append(text[done:])
        return "".join(pieces)

    def _is_redacted(self, text: str, start: int) -> bool:
        """Whether the value is nothing but the mark: a text may come by twice."""
        end = start + len(self._mark)
        return text.startswith(self._mark, start) and _bare.match(text, end) is None


def _word_start(text: str, start: int, floor: int) -> int:
    """Where the word begins in which a name was found; at most 40 characters before."""
    lowest = max(floor, start - 40)
    while start > lowest and (text[start - 1].isalnum() or text[start - 1] in "_-."):
        start -= 1
    return start


def _value(text: str, key: str, start: int, missing: set[str]) -> tuple[int, int]:
    """From where to where the value goes; ``missing`` holds the closings that do not come any more."""
    opening = _opening.match(text, start)
    if opening is not None:
        closing = opening[1] + opening[2]
        end = -1 if closing in missing else _closing(text, closing, opening.end())
        if end >= 0:
            return opening.end(), end
        missing.add(closing)
        start = opening.end()
    elif text[start : start + 1] in {"[", "(", "{"}:
        start += 1
    lowered = key.lower()
    whole = _line if any(word in lowered for word in _WHOLE_LINE) else _bare
    found = whole.match(text, start)
    return (start, start) if found is None else (start, found.end())


def _closing(text: str, closing: str, start: int) -> int:
    """Where a quoted value ends; a quote after a single backslash is part of it."""
    end = text.find(closing, start)
    while end > start and len(closing) == 1 and text[end - 1] == "\\" and text[end - 2 : end - 1] != "\\":
        end = text.find(closing, end + 1)
    return end


def _number(text: str) -> object:
    return 0 if text.isdecimal() else text
