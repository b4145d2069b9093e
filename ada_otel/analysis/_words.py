"""Cuts text into words as Elasticsearch's ``standard`` analyzer does, for searching local files.

After Unicode's word boundaries (UAX #29): letters, digits and underscores hold together; a dot, a colon or an
apostrophe holds between letters, a dot or a comma between digits; each ideograph is a word of its own.
"""

from __future__ import annotations

import re

#: Elasticsearch cuts longer words.
_LONGEST = 255
# Marks and joiners that belong to the letter before them, of the scripts whose marks are not in Python's \w.
_MARKS = (
    "\u0300-\u036f\u0483-\u0489\u0591-\u05bd\u0610-\u061a\u064b-\u065f"
    "\u0900-\u0903\u093a-\u094f\u0e31\u0e34-\u0e4e\u200d\ufe0f"
)
_IDEOGRAPH = "\u3040-\u309f\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_EMOJI = "\U0001f300-\U0001faff\u2600-\u27bf"
_LETTER = rf"[^\W\d_{_IDEOGRAPH}]"
_WORD = re.compile(
    rf"[{_IDEOGRAPH}]|[{_EMOJI}][{_MARKS}]*"
    rf"|(?:[^\W{_IDEOGRAPH}][{_MARKS}]*"
    rf"|(?<={_LETTER})[.:'\u2019\u2018\u00b7\u2027](?={_LETTER})|(?<=\d)[.,;'\u2019\u2018](?=\d))+"
)
_PLAIN = re.compile(r"(?:[a-z0-9_]|(?<=[a-z])[.:'](?=[a-z])|(?<=[0-9])[.,;'](?=[0-9]))+")


def words(text: str) -> list[str]:
    """The words of ``text``, in lower case, in their order."""
    text = text.lower()
    found = _PLAIN.findall(text) if text.isascii() else _WORD.findall(text)
    return [
        word[start : start + _LONGEST]
        for word in found
        if word.strip("_")
        for start in range(0, len(word), _LONGEST)
    ]
