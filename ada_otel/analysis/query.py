"""The query language: Lucene's, as in Kibana's search bar, parsed into a tree.

One parser serves Elasticsearch and local files, so that a query means the same in both. Words that stand side
by side must all be found. ``NOT`` binds stronger than ``AND``, and that stronger than ``OR``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TypeAlias

from ada_otel.analysis.errors import QueryError

__all__ = ["And", "Everything", "Leaf", "Node", "Not", "Or", "Raw", "Span", "parse"]


@dataclass(frozen=True)
class Everything:
    """Matches each line."""


@dataclass(frozen=True)
class Leaf:
    """A word or a phrase.

    Attributes:
        field: Where to look; ``None`` for the default fields.
        text: What to look for, without quotes and escapes. In a pattern, ``*`` and ``?`` are wild, the rest
            is escaped by a backslash where it needs to be.
        phrase: It stood in quotes.
        pattern: It has wildcards.
    """

    field: str | None
    text: str
    phrase: bool = False
    pattern: bool = False


@dataclass(frozen=True)
class Span:
    """A range of values; an end that is ``None`` is open."""

    field: str
    low: str | None
    high: str | None
    with_low: bool = True
    with_high: bool = True


@dataclass(frozen=True)
class Raw:
    """What only Elasticsearch evaluates: a regular expression, a fuzzy word, or a phrase with gaps."""

    field: str | None
    text: str


@dataclass(frozen=True)
class Not:
    """Matches what ``node`` does not."""

    node: Node


@dataclass(frozen=True)
class And:
    """Matches what all of ``nodes`` match."""

    nodes: tuple[Node, ...]


@dataclass(frozen=True)
class Or:
    """Matches what any of ``nodes`` matches."""

    nodes: tuple[Node, ...]


Node: TypeAlias = "Everything | Leaf | Span | Raw | Not | And | Or"

_SPACE = re.compile(r"\s*")
# A digit begins no field, so that 127.0.0.1:80 is a word; "//" follows none, so that an address is one.
_FIELD = re.compile(r"((?:[^\s\d:()\[\]{}\"/\\+\-!^~&|<>]|\\.)(?:[^\s:()\[\]{}\"/\\^~]|\\.)*):(?!//)")
_WORD = re.compile(r"(?:[^\s()\[\]{}\"^~\\:]|\\.|:)+")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_REGEX = re.compile(r"/((?:[^/\\]|\\.)*)/(?=[\s)]|$)")
_RANGE = re.compile(
    r'([\[{])\s*("(?:[^"\\]|\\.)*"|[^\s\]}"]+)\s+TO\s+("(?:[^"\\]|\\.)*"|[^\s\]}"]+)\s*([\]}])', re.DOTALL
)
_COMPARE = re.compile(r'(>=|<=|>|<)\s*("(?:[^"\\]|\\.)*"|[^\s()]+)')
_FUZZY = re.compile(r"~\d*(?:\.\d+)?")
_BOOST = re.compile(r"\^\d+(?:\.\d+)?")
_AND = re.compile(r"AND(?=[\s(]|$)|&&")
_OR = re.compile(r"OR(?=[\s(]|$)|\|\|")
_NOT = re.compile(r"NOT(?=[\s(]|$)|!|-(?=\S)")
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
#: Deeper nesting is no query that somebody wrote.
_DEEPEST = 50
_LONGEST = 10_000


def parse(text: str) -> Node:
    """Parse a query.

    Args:
        text: The query; empty, or ``*``, matches each line.

    Raises:
        QueryError: It is wrong; the message has the column and what was expected.
    """
    if len(text) > _LONGEST:
        raise QueryError(f"query: {len(text)} characters are too many; the most is {_LONGEST}")
    parser = _Parser(text)
    if parser.at_end():
        return Everything()
    node = parser.either(None, 0)
    if not parser.at_end():
        parser.fail("this ')' closes nothing" if parser.peek() == ")" else "nothing was expected here")
    return node


class _Parser:
    """Recursive descent over the text; ``_at`` is the position."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def fail(self, problem: str) -> None:
        raise QueryError(
            f"query, column {self._at + 1}: {problem}; put quotes around text with signs in it: "
            f"{self._text[:200]!r}"
        )

    def at_end(self) -> bool:
        self._skip()
        return self._at >= len(self._text)

    def peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _skip(self) -> None:
        match = _SPACE.match(self._text, self._at)
        self._at = match.end() if match else self._at

    def _take(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        match = pattern.match(self._text, self._at)
        if match:
            self._at = match.end()
        return match

    def either(self, field: str | None, depth: int) -> Node:
        if depth > _DEEPEST:
            self.fail("brackets are nested too deeply")
        found = [self._all(field, depth)]
        while not self.at_end() and self._take(_OR):
            found.append(self._all(field, depth))
        return found[0] if len(found) == 1 else Or(tuple(found))

    def _all(self, field: str | None, depth: int) -> Node:
        found = [self._one(field, depth)]
        while not self.at_end() and self.peek() != ")" and not _OR.match(self._text, self._at):
            self._take(_AND)
            found.append(self._one(field, depth))
        return found[0] if len(found) == 1 else And(tuple(found))

    def _one(self, field: str | None, depth: int) -> Node:
        turned = False
        while not self.at_end() and self._take(_NOT):
            turned = not turned
        if self.at_end():
            self.fail("a word was expected at the end")
        if self.peek() == "+":
            self._at += 1
        node = self._clause(field, depth)
        self._take(_BOOST)
        return Not(node) if turned else node

    def _clause(self, field: str | None, depth: int) -> Node:
        if field is None and (match := self._take(_FIELD)):
            field = _unescape(match[1])
            self._skip()
            if self._at >= len(self._text):
                self.fail(f"a value was expected after {field!r} and the colon")
        if self.peek() == "(":
            self._at += 1
            node = self.either(field, depth + 1)
            self._skip()
            if self.peek() != ")":
                self.fail("a ')' is missing")
            self._at += 1
            return node
        if field is not None and (match := self._take(_RANGE)):
            return Span(field, _bound(match[2]), _bound(match[3]), match[1] == "[", match[4] == "]")
        if field is not None and (match := self._take(_COMPARE)):
            sign, value = match[1], _bound(match[2])
            if sign.startswith(">"):
                return Span(field, value, None, with_low=sign == ">=")
            return Span(field, None, value, with_high=sign == "<=")
        return self._value(field)

    def _value(self, field: str | None) -> Node:
        if match := self._take(_REGEX):
            return Raw(field, match[0])
        if match := self._take(_QUOTED):
            if gaps := self._take(_FUZZY):
                return Raw(field, match[0] + gaps[0])
            return Leaf(field, _unescape(match[1]), phrase=True)
        if _AND.match(self._text, self._at) or _OR.match(self._text, self._at):
            self.fail("a word was expected here")
        match = self._take(_WORD)
        if match is None:
            self.fail(
                'the closing " is missing' if self.peek() == '"' else f"{self.peek()!r} was not expected here"
            )
        word = match[0] if match else ""
        if fuzzy := self._take(_FUZZY):
            return Raw(field, word + fuzzy[0])
        return _word(field, word)


def _word(field: str | None, word: str) -> Node:
    if field == "_exists_":
        return Leaf(_unescape(word), "*", pattern=True)
    if field in {None, "*"} and word == "*":
        return Everything()
    if re.search(r"(?<!\\)(?:\\\\)*[*?]", word):
        kept = _ESCAPE.sub(lambda match: match[0] if match[1] in "*?\\" else match[1], word)
        return Leaf(field, kept, pattern=True)
    return Leaf(field, _unescape(word))


def _bound(text: str) -> str | None:
    if text == "*":
        return None
    return _unescape(text[1:-1] if text.startswith('"') else text)


def _unescape(text: str) -> str:
    return _ESCAPE.sub(r"\1", text)
