"""From the query tree to a test of one log line, for local files: the same answers as Elasticsearch's."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

from ada_otel.analysis import _fields, levels
from ada_otel.analysis._dsl import escape, level_span, time_bounds
from ada_otel.analysis._words import words
from ada_otel.analysis.errors import QueryError
from ada_otel.analysis.model import LogEntry
from ada_otel.analysis.query import And, Everything, Leaf, Node, Not, Or, Raw, Span
from ada_otel.analysis.selection import Selection
from ada_otel.analysis.times import milliseconds, period

_Test = Callable[[LogEntry], bool]


def of_selection(selection: Selection, now: datetime) -> _Test:
    """The test for a selection, with its window."""
    first, after = selection.window()
    test = of_node(selection.tree(), now)

    def selected(entry: LogEntry) -> bool:
        at = milliseconds(entry.timestamp)
        return (first is None or at >= first) and (after is None or at < after) and test(entry)

    return selected


def of_node(node: Node, now: datetime) -> _Test:
    """The test for one node of the tree.

    Raises:
        QueryError: A value does not fit its field, or only Elasticsearch can evaluate the node.
    """
    if isinstance(node, Everything):
        return lambda _entry: True
    if isinstance(node, (And, Or)):
        tests = [of_node(part, now) for part in node.nodes]
        if isinstance(node, And):
            return lambda entry: all(test(entry) for test in tests)
        return lambda entry: any(test(entry) for test in tests)
    if isinstance(node, Not):
        test = of_node(node.node, now)
        return lambda entry: not test(entry)
    if isinstance(node, Span):
        return _span(node, now)
    if isinstance(node, Raw):
        raise QueryError(
            f'query: {node.text!r} needs Elasticsearch; write words, "phrases", or patterns with * and ?'
        )
    return _anywhere(node) if node.field is None else _in_field(node, _fields.path(node.field), now)


def _anywhere(leaf: Leaf) -> _Test:
    if leaf.pattern:
        in_texts = [_pattern_in_text(path, leaf.text) for path in _fields.TEXTS]
        in_type = _pattern_in_value(_fields.EXCEPTION_TYPE, leaf.text)
        return lambda entry: any(test(entry) for test in (*in_texts, in_type))
    in_texts = [_in_text(path, leaf.text, leaf.phrase) for path in _fields.TEXTS]
    exactly, in_module = _wild(escape(leaf.text)), _wild("*." + escape(leaf.text))

    def test(entry: LogEntry) -> bool:
        if any(one(entry) for one in in_texts):
            return True
        name = entry.get(_fields.EXCEPTION_TYPE)
        if name is not None and (exactly.fullmatch(str(name)) or in_module.fullmatch(str(name))):
            return True
        return any(_equal(entry.get(path), leaf.text) for path in _fields.IDENTIFIERS)

    return test


def _in_field(leaf: Leaf, path: str, now: datetime) -> _Test:
    if leaf.pattern and set(leaf.text) == {"*"}:
        return lambda entry: entry.get(path) is not None
    if path == _fields.TIME:
        if leaf.pattern:
            raise QueryError(f"query: {leaf.text!r} is no time; a range is written timestamp:[now-2h TO now]")
        first, last = period(leaf.text, now)
        return lambda entry: first <= milliseconds(entry.timestamp) <= last
    if path == _fields.LEVEL and not leaf.pattern:
        level = levels.level_name(leaf.text)
        return lambda entry: entry.level == level
    if leaf.pattern:
        return (_pattern_in_text if path in _fields.TEXTS else _pattern_in_value)(path, leaf.text)
    if path in _fields.TEXTS:
        return _in_text(path, leaf.text, leaf.phrase)
    return lambda entry: _equal(entry.get(path), leaf.text)


def _in_text(path: str, text: str, phrase: bool) -> _Test:
    wanted = words(text)

    def test(entry: LogEntry) -> bool:
        value = entry.get(path)
        if value is None or not wanted:
            return False
        content = str(value)
        lowered = content.lower()
        # Cutting into words is the costly part, and rarely needed.
        if not all(word in lowered for word in wanted):
            return False
        found = words(content)
        if not phrase:
            return set(wanted) <= set(found)
        return any(found[at : at + len(wanted)] == wanted for at in range(len(found) - len(wanted) + 1))

    return test


def _pattern_in_text(path: str, text: str) -> _Test:
    of_word, whole = _wild(text.lower()), _wild(text)

    def test(entry: LogEntry) -> bool:
        value = entry.get(path)
        if value is None:
            return False
        content = str(value)
        if (
            path != _fields.EXCEPTION_STACK
            and len(content) <= _fields.LONGEST_KEYWORD
            and whole.fullmatch(content)
        ):
            return True
        return any(of_word.fullmatch(word) for word in words(content))

    return test


def _pattern_in_value(path: str, text: str) -> _Test:
    pattern = _wild(text)

    def test(entry: LogEntry) -> bool:
        value = entry.get(path)
        # Numbers have no text in Elasticsearch, and so no pattern finds them.
        return any(isinstance(one, str) and bool(pattern.fullmatch(one)) for one in _each(value))

    return test


def _span(span: Span, now: datetime) -> _Test:
    path = _fields.path(span.field)
    if path == _fields.TIME:
        bounds = time_bounds(span, now)
        low = bounds.get("gte", bounds["gt"] + 1 if "gt" in bounds else None)
        high = bounds.get("lte", bounds["lt"] - 1 if "lt" in bounds else None)
        return lambda entry: (
            (low is None or milliseconds(entry.timestamp) >= low)
            and (high is None or milliseconds(entry.timestamp) <= high)
        )
    if path == _fields.LEVEL:
        named = frozenset(level_span(span))
        return lambda entry: entry.level in named
    if path in _fields.TEXTS:
        raise QueryError(
            f"query: {span.field} is text and has no order; search for words in it, {span.field}:word"
        )
    return lambda entry: any(_within(one, span) for one in _each(entry.get(path)))


def _within(value: Any, span: Span) -> bool:
    if span.low is not None:
        order = _compare(value, span.low)
        if order is None or order < 0 or (order == 0 and not span.with_low):
            return False
    if span.high is not None:
        order = _compare(value, span.high)
        if order is None or order > 0 or (order == 0 and not span.with_high):
            return False
    return True


def _compare(value: Any, bound: str) -> int | None:
    if isinstance(value, str):
        return (value > bound) - (value < bound)
    number = _number(bound)
    if number is None:
        raise QueryError(f"query: {bound!r} is no number, and the field has numbers")
    return 1 if value > number else -1 if value < number else 0


def _equal(value: Any, text: str) -> bool:
    return any(_same(one, text) for one in _each(value))


def _same(value: Any, text: str) -> bool:
    if isinstance(value, bool):
        return text == str(value).lower()
    if isinstance(value, (int, float)):
        return _number(text) == value
    return str(value) == text


def _number(text: str) -> float | None:
    try:
        return int(text)
    except ValueError:
        try:
            return float(text)
        except ValueError:
            return None


def _each(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _wild(pattern: str) -> re.Pattern[str]:
    """A regular expression for a pattern with ``*``, ``?`` and backslashes; ASCII matches in any case."""
    parts: list[str] = []
    for match in re.finditer(r"\\(.)|(\*)|(\?)|(.)", pattern, re.DOTALL):
        escaped, many, one, plain = match.groups()
        parts.append(".*" if many else "." if one else re.escape(escaped or plain))
    # Several stars in a row are one; two would try each way to share the text between them.
    return re.compile(re.sub(r"(?:\.\*)+", ".*", "".join(parts)), re.IGNORECASE | re.DOTALL | re.ASCII)
