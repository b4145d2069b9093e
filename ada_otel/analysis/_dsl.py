"""From the query tree to Elasticsearch's query DSL."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from ada_otel.analysis import _fields, levels
from ada_otel.analysis.errors import QueryError
from ada_otel.analysis.query import And, Everything, Leaf, Node, Not, Or, Raw, Span
from ada_otel.analysis.selection import Selection
from ada_otel.analysis.times import period

_Query = dict[str, Any]


def of_selection(selection: Selection, now: datetime) -> _Query:
    """The query for a selection, with its window."""
    first, after = selection.window()
    bounds = {name: at for name, at in (("gte", first), ("lt", after)) if at is not None}
    filters = [of_node(selection.tree(), now)]
    if bounds:
        filters.append(_range(_fields.TIME, bounds))
    return {"bool": {"filter": filters}}


def of_node(node: Node, now: datetime) -> _Query:
    """The query for one node of the tree.

    Raises:
        QueryError: A value does not fit its field.
    """
    if isinstance(node, Everything):
        return {"match_all": {}}
    if isinstance(node, (And, Or, Not)):
        return _joined(node, now)
    if isinstance(node, Span):
        return _span(node, now)
    if isinstance(node, Raw):
        return _raw(node)
    return _anywhere(node) if node.field is None else _in_field(node, _fields.path(node.field), now)


def _joined(node: And | Or | Not, now: datetime) -> _Query:
    if isinstance(node, Not):
        return {"bool": {"must_not": [of_node(node.node, now)]}}
    parts = [of_node(part, now) for part in node.nodes]
    return {"bool": {"filter": parts}} if isinstance(node, And) else _any(parts)


def _any(queries: list[_Query]) -> _Query:
    return {"bool": {"should": queries, "minimum_should_match": 1}}


def _range(path: str, bounds: dict[str, Any]) -> _Query:
    # The format is for dates alone; naming it keeps a number from being read as a year.
    return {"range": {path: {**bounds, "format": "epoch_millis"} if path == _fields.TIME else bounds}}


def _wild(path: str, pattern: str) -> _Query:
    return {"wildcard": {path: {"value": pattern, "case_insensitive": True}}}


def _same(path: str, text: str) -> _Query:
    return {"term": {path: {"value": text, "case_insensitive": True}}}


def _anywhere(leaf: Leaf) -> _Query:
    if leaf.pattern:
        whole = [_fields.exact("message"), _fields.exact("exception.message"), _fields.EXCEPTION_TYPE]
        return _any(
            [_wild(path, leaf.text.lower()) for path in _fields.TEXTS]
            + [_wild(path, leaf.text) for path in whole]
        )
    kind = {"type": "phrase"} if leaf.phrase else {"type": "best_fields", "operator": "and"}
    return _any(
        [
            {"multi_match": {"query": leaf.text, "fields": list(_fields.TEXTS), "lenient": True, **kind}},
            _same(_fields.EXCEPTION_TYPE, leaf.text),
            # The class alone finds it in any module.
            _wild(_fields.EXCEPTION_TYPE, "*." + escape(leaf.text)),
            *({"term": {path: leaf.text}} for path in _fields.IDENTIFIERS),
        ]
    )


def _in_field(leaf: Leaf, path: str, now: datetime) -> _Query:
    special = _special_field(leaf, path, now)
    if special is not None:
        return special
    if leaf.pattern:
        if path not in _fields.TEXTS:
            return _wild(path, leaf.text)
        return _any([_wild(path, leaf.text.lower()), _wild(f"{path}.keyword", leaf.text)])
    if path in _fields.TEXTS and leaf.phrase:
        return {"match_phrase": {path: leaf.text}}
    # Lenient: a word in a field of numbers finds nothing, and is no error.
    return {"match": {path: {"query": leaf.text, "operator": "and", "lenient": True}}}


def _special_field(leaf: Leaf, path: str, now: datetime) -> _Query | None:
    """The query for existence, time, level and module; ``None`` for other fields."""
    if leaf.pattern and set(leaf.text) == {"*"}:
        return {"exists": {"field": path}}
    if path == _fields.TIME:
        if leaf.pattern:
            raise QueryError(f"query: {leaf.text!r} is no time; a range is written timestamp:[now-2h TO now]")
        first, last = period(leaf.text, now)
        return _range(path, {"gte": first, "lte": last})
    if path == _fields.LEVEL and not leaf.pattern:
        return {"terms": {path: levels.spellings(leaf.text)}}
    if path == _fields.MODULE:
        name = leaf.text if leaf.pattern else escape(leaf.text)
        return _any(
            [{"wildcard": {path: {"value": name}}}, {"wildcard": {_fields.FILE: {"value": f"*/{name}.py"}}}]
        )
    return None


def _span(span: Span, now: datetime) -> _Query:
    path = _fields.path(span.field)
    if path == _fields.TIME:
        return _range(path, time_bounds(span, now))
    if path == _fields.LEVEL:
        return {"terms": {path: [word for name in level_span(span) for word in levels.spellings(name)]}}
    if path in _fields.TEXTS:
        raise QueryError(
            f"query: {span.field} is text and has no order; search for words in it, {span.field}:word"
        )
    bounds: dict[str, Any] = {}
    if span.low is not None:
        bounds["gte" if span.with_low else "gt"] = span.low
    if span.high is not None:
        bounds["lte" if span.with_high else "lt"] = span.high
    return _range(path, bounds) if bounds else {"exists": {"field": path}}


def time_bounds(span: Span, now: datetime) -> dict[str, int]:
    """The bounds in milliseconds. A day that is included counts as a whole, and so does one that is not."""
    bounds: dict[str, int] = {}
    if span.low is not None:
        first, last = period(span.low, now)
        bounds.update({"gte": first} if span.with_low else {"gt": last})
    if span.high is not None:
        first, last = period(span.high, now)
        bounds.update({"lte": last} if span.with_high else {"lt": first})
    return bounds


def level_span(span: Span) -> list[str]:
    """The levels of a range such as ``level:>=WARNING``.

    Raises:
        QueryError: An end is no level.
    """
    low = levels.at_least(span.low) if span.low is not None else list(levels.LEVELS)
    above = levels.at_least(span.high)[1:] if span.high is not None else []
    skipped = {
        levels.level_name(end)
        for end, kept in ((span.low, span.with_low), (span.high, span.with_high))
        if end is not None and not kept
    }
    return [name for name in low if name not in above and name not in skipped]


def _raw(raw: Raw) -> _Query:
    path = None if raw.field is None else _fields.path(raw.field)
    if path in {_fields.TIME, _fields.LEVEL}:
        raise QueryError(f"query: {raw.text!r} does not fit the field {raw.field}; write {raw.field}:value")
    fields = [*_fields.TEXTS, _fields.EXCEPTION_TYPE] if path is None else [path]
    return {"query_string": {"query": raw.text, "fields": fields, "default_operator": "AND"}}


def escape(text: str) -> str:
    """``text`` as a wildcard pattern that matches it alone."""
    return "".join(f"\\{sign}" if sign in "\\*?" else sign for sign in text)
