"""Compares what is used with what exists, and names each place that is wrong."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from ada_otel import catalogue
from ada_otel.catalogue import Metric, prometheus_series
from tools.drift import commands
from tools.drift.documents import lookups, wrong
from tools.drift.expressions import groupings, parse, result_labels, selectors
from tools.drift.known import Names, names
from tools.drift.sources import Expression, Rule, Sources, load_yaml
from tools.drift.unused import UNUSED

_ALERTMANAGER = "collector/alertmanager"
#: Labels of a template: of a rule (``$labels.x``), and of Alertmanager's data (``.CommonLabels.x``).
_IN_RULE = re.compile(r"\$labels\.(\w+)")
_IN_TEMPLATE = re.compile(r"\.(?:CommonLabels|GroupLabels|Labels)\.(\w+)")
_MATCHER = re.compile(r"^\s*(\w+)\s*(=~|!~|!=|=)\s*\"(.*)\"\s*$")
_ALWAYS = frozenset({"alertname", "severity", "class", "service"})


@dataclass(frozen=True, order=True)
class Problem:
    """One name that does not exist, at one place.

    Attributes:
        path: The file, from the root of the repository.
        line: The line.
        name: The name.
        text: What is wrong with it.
    """

    path: str
    line: int
    name: str
    text: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.text}"


@dataclass(frozen=True)
class Findings:
    """What the gate found.

    Attributes:
        problems: Wrong names, by place.
        unused: Metrics of the catalogue that nothing uses, and that are not listed as such.
        used_after_all: Metrics that are listed as unused, and are used.
        checked: How many expressions, and fields of documents, were read.
    """

    problems: tuple[Problem, ...]
    unused: tuple[str, ...]
    used_after_all: tuple[str, ...]
    checked: int


def check(
    sources: Sources,
    metrics: Iterable[Metric] = catalogue.METRICS,
    attributes: frozenset[str] | None = None,
) -> Findings:
    """Check all that a repository's files use.

    Args:
        sources: What they use, from :func:`tools.drift.sources.read`.
        metrics: The catalogue.
        attributes: Of log records and spans; by default, those that the package's code names.
    """
    rows = list(metrics)
    root, all_rules, others = sources.root, sources.rules, sources.others
    known = names(rows, all_rules)
    found: set[Problem] = set()
    used: set[str] = set()
    for expression in [*(rule.expression for rule in all_rules), *others]:
        problems, metrics_used = _in_expression(expression, known, root)
        found |= problems
        used |= metrics_used
    for rule in all_rules:
        found |= _in_templates(rule, known)
    found |= _in_alertmanager(root, all_rules, known)
    asked = [*lookups(root), *commands.lookups(root)]
    found |= {Problem(at.path, at.line, at.field, text) for at, text in wrong(root, asked, attributes)}
    unused = {row.name for row in rows if not used & {*prometheus_series(row), *_base(row)}}
    return Findings(
        tuple(sorted(found)),
        tuple(sorted(unused - set(UNUSED))),
        tuple(sorted(set(UNUSED) - unused)),
        len(all_rules) + len(others) + len(asked),
    )


def _base(row: Metric) -> set[str]:
    return {catalogue.prometheus_name(row)}


def _in_expression(expression: Expression, known: Names, root: Path) -> tuple[set[Problem], set[str]]:
    if not expression.text and expression.label:
        return _label_alone(expression, known, root), set()
    try:
        tree = parse(expression.text)
    except ValueError as error:
        return {Problem(expression.path, expression.line, "", f"this is no PromQL: {error}")}, set()
    found: set[Problem] = set()
    used: set[str] = set()

    def wrong(name: str, text: str) -> None:
        found.update(Problem(expression.path, line, name, text) for line in _lines(expression, name, root))

    for selector in selectors(tree):
        labels = known.labels(selector.metric) if selector.metric else known.all_labels()
        if labels is None:
            if selector.metric not in known.bases:
                wrong(selector.metric, _no_such(f"metric {selector.metric}", known.nearest(selector.metric)))
            else:
                used.add(selector.metric)
            continue
        used.add(selector.metric)
        for label in {*selector.labels, *([expression.label] if expression.label else [])} - labels:
            what = f"label {label} on {selector.metric or 'any metric'}"
            wrong(label, _no_such(what, known.nearest_label(label, labels)))
    for grouping in groupings(tree, known.labels):
        # A part whose metric is not known has been named already.
        inner = known.all_labels() if grouping.inner is None else grouping.inner
        for label in set(grouping.labels) - inner - {"__name__"}:
            nearest = known.nearest_label(label, inner)
            wrong(label, _no_such(f"label {label} on what is grouped by it", nearest))
    return found, used


def _label_alone(expression: Expression, known: Names, root: Path) -> set[Problem]:
    label = expression.label
    if label in known.all_labels():
        return set()
    text = _no_such(f"label {label} on any metric", known.nearest_label(label, known.all_labels()))
    return {Problem(expression.path, line, label, text) for line in _lines(expression, label, root)}


def _in_templates(rule: Rule, known: Names) -> set[Problem]:
    labels = result_labels(parse(rule.expression.text), known.labels)
    if labels is None:
        return set()
    labels |= frozenset(rule.labels)
    return {
        Problem(
            rule.expression.path,
            line,
            label,
            _no_such(f"label {label} on the result of {rule.alert}", known.nearest_label(label, labels)),
        )
        for text, line in rule.texts
        for label in _IN_RULE.findall(text)
        if label not in labels
    }


def _in_alertmanager(root: Path, all_rules: Iterable[Rule], known: Names) -> set[Problem]:
    """Names in Alertmanager's routes, inhibitions and templates: of alerts, and of their labels."""
    alerts: dict[str, frozenset[str]] = {}
    for rule in all_rules:
        if rule.alert:
            labels = result_labels(parse(rule.expression.text), known.labels) or known.all_labels()
            alerts[rule.alert] = alerts.get(rule.alert, frozenset()) | labels | frozenset(rule.labels)
    labels = frozenset().union(_ALWAYS, *alerts.values())
    found: set[Problem] = set()

    def wrong(path: Path, line: int, name: str, what: str, among: Iterable[str]) -> None:
        text = _no_such(f"{what} {name}", known.nearest_label(name, among))
        found.add(Problem(path.relative_to(root).as_posix(), line, name, text))

    config = root / _ALERTMANAGER / "alertmanager.yml"
    for line, label, named in _matched(load_yaml(config)):
        if label not in labels:
            wrong(config, line, label, "label of an alert", labels)
        for alert in set(named) - set(alerts):
            wrong(config, line, alert, "alert", alerts)
    for path in (config, *sorted((root / _ALERTMANAGER / "templates").glob("*.tmpl"))):
        for line, text in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            for label in set(_IN_TEMPLATE.findall(text)) - labels:
                wrong(path, line, label, "label of an alert", labels)
    return found


def _matched(config: Any) -> Iterable[tuple[int, str, tuple[str, ...]]]:
    """Of Alertmanager's configuration: line and name of each label, and alerts that it is matched with."""
    for key, text in _strings(config):
        if key in {"group_by", "equal"}:
            yield text.line, str(text), ()
        elif key in {"matchers", "source_matchers", "target_matchers"}:
            matcher = _MATCHER.match(text)
            if matcher is not None:
                alerts = tuple(matcher[3].split("|")) if matcher[1] == "alertname" else ()
                yield text.line, matcher[1], alerts


def _strings(node: Any, key: str = "") -> Iterable[tuple[str, Any]]:
    """The strings of a YAML document, each with the key that it stands under."""
    if isinstance(node, Mapping):
        for name, value in node.items():
            yield from _strings(value, str(name))
    elif isinstance(node, list):
        for item in node:
            yield from _strings(item, key)
    elif isinstance(node, str):
        yield key, node


def _lines(expression: Expression, name: str, root: Path) -> list[int]:
    """The lines of an expression that have a name in them; its first line if none has."""
    lines = _text(root / expression.path).splitlines()
    word = re.compile(rf"(?<![\w:]){re.escape(name)}(?![\w:])")
    span = range(expression.line, expression.last_line + 1)
    return [n for n in span if n <= len(lines) and word.search(lines[n - 1])] or [expression.line]


@lru_cache(maxsize=256)
def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _no_such(what: str, nearest: str) -> str:
    return f"no {what}" + (f"; nearest: {nearest}" if nearest else "")
