"""Alert rules with one thing about them changed, to see whether a test of theirs notices."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tools.drift.expressions import binaries, parse

#: How far a bound is moved.
SHARE = 0.1
_MINUTE = 60
#: A number that something is compared with, as it is or multiplied; and a time ahead, in hours.
_BOUND = re.compile(r"(?P<before>==|>=|<=|>|<)\s*(?P<number>\d+(?:\.\d+)?)(?P<after>(?:\s*\*)?)(?![\w.])")
_AHEAD = re.compile(r"(?P<before>,\s*)(?P<number>\d+)(?P<after> \* 3600)")
#: A selector without a metric's name, by one label alone.
_BY_LABEL = re.compile(r'(?<![\w}])\{(?P<label>\w+)="(?P<value>\w+)"\}')
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}

Rule = Mapping[str, Any]


@dataclass(frozen=True)
class Mutant:
    """A changed rule.

    Attributes:
        change: What was changed.
        rule: The rule with that change.
    """

    change: str
    rule: Rule


def mutants(rule: Rule) -> Iterator[Mutant]:
    """One that never fires; with each bound and each duration moved both ways; without each condition."""
    yield Mutant("never fires", {**rule, "expr": "vector(0) > 1"})
    yield from _bounds(rule)
    yield from _conditions(rule)
    for key in ("for", "keep_firing_for"):
        seconds = _seconds(str(rule.get(key, "0s")))
        if rule.get(key):
            yield Mutant(f"{key} shorter", {**rule, key: f"{seconds - _MINUTE}s"})
        if rule.get(key) or key == "for":
            yield Mutant(f"{key} longer", {**rule, key: f"{seconds + _MINUTE}s"})


def _bounds(rule: Rule) -> Iterator[Mutant]:
    expression = str(rule["expr"])
    for number, found in enumerate([*_BOUND.finditer(expression), *_AHEAD.finditer(expression)]):
        for change, factor in (("looser", -SHARE), ("tighter", SHARE)):
            new = _moved(found, factor)
            if new:
                text = f"{expression[: found.start()]}{new}{found['after']}{expression[found.end() :]}"
                yield Mutant(f"bound {number}, {found[0].strip()}, {change}", {**rule, "expr": text})


def _conditions(rule: Rule) -> Iterator[Mutant]:
    """What is 0 or 1, there or not there, has no bound to move: it is no longer asked which."""
    expression = str(rule["expr"])
    either = re.sub(r"==\s*\d+", ">= 0", expression)
    if either != expression:
        yield Mutant("either state, looser", {**rule, "expr": either})
    any_label = _BY_LABEL.sub(r'{__name__=~"[a-z].+", \g<label>=~"\g<value>|"}', expression)
    if any_label != expression:
        yield Mutant("whatever the label, looser", {**rule, "expr": any_label})
    tree = parse(expression)
    for number, node in enumerate(binaries(tree)):
        operator = str(node.op)
        if operator in {"and", "unless"}:
            text = str(tree).replace(str(node), str(node.lhs))
            yield Mutant(
                f"condition {number}, without what is behind {operator}, looser", {**rule, "expr": text}
            )


def _moved(found: re.Match[str], factor: float) -> str:
    """The comparison with its bound moved; empty where that means nothing, as for what is 0 or 1."""
    before, bound = found["before"], float(found["number"])
    if before == "==" or (before == "<" and not bound):
        return ""
    if before == ">" and not bound:
        return ">= 0" if factor < 0 else "> 1e9"
    return f"{before} {bound * (1 + (-factor if before in {'<', '<='} else factor)):g}"


def _seconds(duration: str) -> int:
    return sum(int(number) * _UNITS[unit] for number, unit in re.findall(r"(\d+)([smhd])", duration))
