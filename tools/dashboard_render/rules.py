"""Puts the expression of a recording rule in place of its series, so that nobody has to wait for the rule."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tools.paths import REPOSITORY

_RULES = REPOSITORY / "collector" / "prometheus" / "rules"
_RECORDED = re.compile(r"\b([a-z]+:[a-z0-9_]+:[a-z0-9_]+)(\{[^}]*\})?")
#: A series of an expression: a name in front of a selector or of a range, or alone in brackets.
_SERIES = re.compile(r"\b(?!by\b|on\b)([a-z][a-z0-9_]*)(\{[^}]*\})?(?=\[)")
#: An expression without a result.
_NOTHING = "vector(0) > 0"
_MATCHER = re.compile(r'(\w+)(=~|!~|!=|=)"([^"]*)"')


@dataclass
class Rule:
    """One recording rule."""

    expr: str
    labels: dict[str, str] = field(default_factory=dict)


def recording_rules(folder: Path = _RULES) -> dict[str, list[Rule]]:
    """All recording rules, by the name that they record."""
    found: dict[str, list[Rule]] = {}
    for file in sorted(folder.glob("*.yml")):
        for group in yaml.safe_load(file.read_text(encoding="utf-8"))["groups"]:
            for rule in group["rules"]:
                if "record" in rule:
                    made = Rule(" ".join(rule["expr"].split()), rule.get("labels", {}))
                    found.setdefault(rule["record"], []).append(made)
    return found


def expand(expr: str, rules: dict[str, list[Rule]]) -> str:
    """The expression with all recorded series written out, their matchers put on what they are made from.

    Matchers are put on sources with a range, which all rules that dashboards use have.

    Raises:
        KeyError: A series that no rule records.
    """

    def put(found: re.Match[str]) -> str:
        chosen = _MATCHER.findall(found[2] or "")
        parts = [text for rule in rules[found[1]] if (text := _written_out(rule, chosen, rules))]
        return f"({' or '.join(parts) or _NOTHING})"

    return _RECORDED.sub(put, expr)


def _written_out(rule: Rule, matchers: list[tuple[str, str, str]], rules: dict[str, list[Rule]]) -> str:
    here: list[tuple[str, str, str]] = []
    for label, operator, value in matchers:
        if label not in rule.labels:
            here.append((label, operator, value))
        elif operator == "=" and rule.labels[label] != value:
            return ""
    text = _narrowed(rule.expr, here)
    text = expand(text, rules)
    for label, value in rule.labels.items():
        text = f'label_replace({text}, "{label}", "{value}", "", "")'
    return f"({text})"


def _narrowed(expr: str, matchers: list[tuple[str, str, str]]) -> str:
    more = ", ".join(f'{label}{operator}"{value}"' for label, operator, value in matchers)

    def put(found: re.Match[str]) -> str:
        own = (found[2] or "{}")[1:-1].strip()
        return f"{found[1]}{{{', '.join(part for part in (own, more) if part)}}}"

    return _SERIES.sub(put, _RECORDED.sub(put, expr))


def series_of(document: dict[str, Any]) -> set[str]:
    """The recorded series that a dashboard asks for."""
    return {
        found[0]
        for panel in document["panels"]
        for target in panel.get("targets", ())
        for found in _RECORDED.findall(target.get("expr", ""))
    }
