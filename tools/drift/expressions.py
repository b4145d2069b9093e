"""What a PromQL expression asks for, and which labels its result has; read with a real parser."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import promql_parser as promql

#: The labels of a metric; ``None`` if it is not known.
Labels = Callable[[str], "frozenset[str] | None"]

_SET_OPERATORS = frozenset({"and", "or", "unless"})
#: Functions that return what their argument has not: label_replace(v, dst, …), label_join(v, dst, …).
_ADDS_LABEL = frozenset({"label_replace", "label_join"})


@dataclass(frozen=True)
class Selector:
    """A selector.

    Attributes:
        metric: The metric; empty if only labels are given.
        labels: The labels that it matches.
        text: The selector by itself, as PromQL, without range and offset.
    """

    metric: str
    labels: tuple[str, ...]
    text: str


@dataclass(frozen=True)
class Grouping:
    """Labels that a part of an expression is grouped or matched by.

    Attributes:
        labels: As written behind ``by``, ``on`` and their like.
        inner: What the part has to have them: its labels, or ``None`` where they are not known.
    """

    labels: tuple[str, ...]
    inner: frozenset[str] | None


@cache
def parse(text: str) -> Any:
    """The syntax tree.

    Raises:
        ValueError: It is no PromQL; says where.
    """
    return promql.parse(text)


def selectors(tree: Any) -> list[Selector]:
    """All selectors of an expression."""
    return [_selector(node) for node in _nodes(tree) if isinstance(node, promql.VectorSelector)]


def binaries(tree: Any) -> list[promql.BinaryExpr]:
    """All operations of an expression that have two sides."""
    return [node for node in _nodes(tree) if isinstance(node, promql.BinaryExpr)]


def groupings(tree: Any, known: Labels) -> list[Grouping]:
    """All places of an expression where labels are named outside selectors."""
    found = []
    for node in _nodes(tree):
        if isinstance(node, promql.AggregateExpr) and node.modifier is not None:
            found.append(Grouping(tuple(node.modifier.labels), result_labels(node.expr, known)))
        elif isinstance(node, promql.BinaryExpr) and node.modifier is not None:
            matching = node.modifier.matching
            if matching is not None:
                both = (result_labels(node.lhs, known), result_labels(node.rhs, known))
                found += [Grouping(tuple(matching.labels), side) for side in both]
        elif isinstance(node, promql.Call) and node.func.name == "label_replace":
            source = _text(node.args[3])
            found.append(Grouping((source,), result_labels(node.args[0], known)))
    return found


def result_labels(node: Any, known: Labels) -> frozenset[str] | None:  # noqa: PLR0911 - one for each kind
    """The labels that the result can have, without ``__name__``; ``None`` where they are not known."""
    if isinstance(node, promql.VectorSelector):
        name = _name(node)
        return known(name) if name else None
    if isinstance(node, promql.MatrixSelector):
        return result_labels(node.vector_selector, known)
    if isinstance(node, promql.AggregateExpr):
        return _aggregated(node, known)
    if isinstance(node, promql.BinaryExpr):
        return _matched(node, known)
    if isinstance(node, promql.Call):
        return _called(node, known)
    if isinstance(node, (promql.ParenExpr, promql.UnaryExpr, promql.SubqueryExpr)):
        return result_labels(node.expr, known)
    return frozenset()


def _aggregated(node: Any, known: Labels) -> frozenset[str] | None:
    inner = result_labels(node.expr, known)
    operator = str(node.op)
    if operator in {"topk", "bottomk", "limitk", "limit_ratio"}:
        return inner
    extra = frozenset({_text(node.param)}) if operator == "count_values" else frozenset()
    if node.modifier is None:
        return extra
    named = frozenset(node.modifier.labels)
    if node.modifier.type == promql.AggModifierType.By:
        return (named if inner is None else named & inner) | extra
    return None if inner is None else (inner - named) | extra


def _matched(node: Any, known: Labels) -> frozenset[str] | None:  # noqa: PLR0911 - one for each kind
    left, right = result_labels(node.lhs, known), result_labels(node.rhs, known)
    operator = str(node.op).split()[0]
    if operator in _SET_OPERATORS:
        if operator != "or":
            return left
        return None if left is None or right is None else left | right
    if _is_scalar(node.lhs):
        return right
    if _is_scalar(node.rhs) or node.modifier is None or node.modifier.matching is None:
        return left
    named = frozenset(node.modifier.matching.labels)
    card = node.modifier.card
    if card == promql.VectorMatchCardinality.OneToOne:
        if node.modifier.matching.type == promql.LabelModifierType.Include:
            return named if left is None else named & left
        return None if left is None else left - named
    many = left if card == promql.VectorMatchCardinality.ManyToOne else right
    return None if many is None else many | frozenset(node.modifier.group_labels or ())


def _called(node: Any, known: Labels) -> frozenset[str] | None:
    name = node.func.name
    if name in _ADDS_LABEL:
        inner = result_labels(node.args[0], known)
        return None if inner is None else inner | {_text(node.args[1])}
    if name in {"absent", "absent_over_time"}:
        inside = [one for one in _nodes(node) if isinstance(one, promql.VectorSelector)]
        return frozenset(label for one in inside for label in _selector(one).labels)
    found: frozenset[str] = frozenset()
    for argument in node.args:
        labels = result_labels(argument, known)
        if labels is None:
            return None
        found |= labels
    return found - {"le"} if name == "histogram_quantile" else found


def _is_scalar(node: Any) -> bool:
    if isinstance(node, (promql.ParenExpr, promql.UnaryExpr)):
        return _is_scalar(node.expr)
    if isinstance(node, promql.BinaryExpr):
        return _is_scalar(node.lhs) and _is_scalar(node.rhs)
    if isinstance(node, promql.Call):
        return node.func.name in {"scalar", "time", "pi"}
    return isinstance(node, promql.NumberLiteral)


def _selector(node: Any) -> Selector:
    alternatives: Iterable[Any] = [*node.matchers.matchers]
    for several in node.matchers.or_matchers:
        alternatives = [*alternatives, *several]
    labels = tuple(dict.fromkeys(m.name for m in alternatives if m.name != "__name__"))
    return Selector(_name(node), labels, f"{node.name or ''}{node.matchers}")


def _name(node: Any) -> str:
    if node.name:
        return str(node.name)
    named = [m.value for m in node.matchers.matchers if m.name == "__name__" and m.op == promql.MatchOp.Equal]
    return str(named[0]) if named else ""


def _text(node: Any) -> str:
    return str(node.val) if isinstance(node, promql.StringLiteral) else ""


def _nodes(tree: Any) -> Iterator[Any]:
    """The nodes of a tree, each before what is in it; the selector within a range included."""
    yield tree
    for name in ("expr", "param", "lhs", "rhs", "vector_selector"):
        child = getattr(tree, name, None)
        if child is not None:
            yield from _nodes(child)
    for child in getattr(tree, "args", None) or ():
        yield from _nodes(child)
