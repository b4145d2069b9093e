"""Where PromQL stands in this repository: rules, their tests, dashboards, runbooks, pages, the analysis."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tools.drift.expressions import parse

_RULES = "collector/prometheus/rules"
_TESTS = "collector/prometheus/tests"
_DASHBOARDS = "collector/grafana/dashboards"
#: Pages with PromQL in them. docs/metrics.md and docs/alerts.md are made from what is checked here.
_PAGES = ("collector/runbooks/*.md", "collector/*.md", "docs/*.md", "README.md", "examples/ada/README.md")
_MADE = frozenset({"docs/metrics.md", "docs/alerts.md"})

#: Grafana's variables, replaced before parsing: of time in a range, of anything else within a string.
_INTERVAL = re.compile(r"\$\{?__(?:rate_interval|interval|range)(?:_s|_ms)?\}?")
_VARIABLE = re.compile(r"\$\{\w+(?::\w+)?\}|\$\w+|\[\[\w+\]\]")
_LABEL_VALUES = re.compile(r"label_values\((?:(?P<selector>.+),)?\s*(?P<label>\w+)\s*\)\s*$", re.DOTALL)
_WRAPPED = re.compile(r"(?:query_result|metrics)\((?P<inside>.+)\)\s*$", re.DOTALL)
#: A name that stands alone in prose is a metric's if it ends or is built like one.
_METRIC_LIKE = re.compile(r"[a-z]\w*_\w+_(?:total|seconds|bytes|ratio|bucket|count|sum)|\w+:\w+:\w+")
_INSIDE = re.compile(r"[({\[]")


@dataclass(frozen=True)
class Expression:
    """PromQL and its place.

    Attributes:
        text: The expression, with Grafana's variables replaced.
        path: The file, from the root of the repository.
        line: Where it begins.
        last_line: Where it ends.
        label: A label whose values are asked for (``label_values(…, label)``), if any.
    """

    text: str
    path: str
    line: int
    last_line: int
    label: str = ""


@dataclass(frozen=True)
class Code:
    """Code in a page, and its place.

    Attributes:
        text: A block, a line of one, or a span.
        path: The file, from the root of the repository.
        line: Where it begins.
        last_line: Where it ends.
    """

    text: str
    path: str
    line: int
    last_line: int


@dataclass(frozen=True)
class Rule:
    """A recording or alerting rule.

    Attributes:
        expression: What it evaluates.
        record: The series that it records; empty for an alert.
        alert: The alert's name; empty for a recording rule.
        labels: The labels that it adds.
        texts: Templates with ``$labels``: of labels and annotations, with their lines.
    """

    expression: Expression
    record: str
    alert: str
    labels: tuple[str, ...]
    texts: tuple[tuple[str, int], ...]


class _Text(str):  # noqa: SLOT000 - a str has no room for slots of its own
    """A string of a YAML file that knows its lines."""

    line: int
    last_line: int


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """The quick loader where PyYAML was built with it."""


def _located(loader: Any, node: yaml.ScalarNode) -> _Text:
    text = _Text(loader.construct_scalar(node))
    # A block scalar begins behind its `|`; a plain one where it stands.
    text.line = node.start_mark.line + (2 if node.style in {"|", ">"} else 1)
    text.last_line = max(text.line, node.end_mark.line + (0 if node.style in {"|", ">"} else 1))
    return text


_Loader.add_constructor("tag:yaml.org,2002:str", _located)


def load_yaml(path: Path) -> Any:
    """A YAML file whose strings have ``line`` and ``last_line``."""
    return yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)  # noqa: S506 - a SafeLoader


def rules(root: Path) -> list[Rule]:
    """All rules, in the order of the files."""
    found = []
    for path in sorted((root / _RULES).glob("*.yml")):
        for group in load_yaml(path)["groups"]:
            for rule in group["rules"]:
                texts = [*rule.get("labels", {}).values(), *rule.get("annotations", {}).values()]
                found.append(
                    Rule(
                        expression=_of_yaml(rule["expr"], path, root),
                        record=str(rule.get("record", "")),
                        alert=str(rule.get("alert", "")),
                        labels=tuple(str(label) for label in rule.get("labels", {})),
                        texts=tuple((str(text), text.line) for text in texts),
                    )
                )
    return found


@dataclass(frozen=True)
class Sources:
    """All that is checked.

    Attributes:
        root: The root of the repository.
        rules: The rules.
        others: All other PromQL.
    """

    root: Path
    rules: tuple[Rule, ...]
    others: tuple[Expression, ...]


def read(root: Path) -> Sources:
    """Read a repository's files."""
    return Sources(root, tuple(rules(root)), tuple(_others(root)))


def _others(root: Path) -> list[Expression]:
    return [*_of_tests(root), *_of_dashboards(root), *_of_pages(root), *_of_analysis(root)]


def _of_yaml(text: _Text, path: Path, root: Path) -> Expression:
    return Expression(str(text), _relative(path, root), text.line, text.last_line)


def _of_tests(root: Path) -> Iterator[Expression]:
    for path in sorted((root / _TESTS).glob("*.yml")):
        for test in load_yaml(path)["tests"]:
            for series in test.get("input_series", ()):
                yield _of_yaml(series["series"], path, root)
            for check in test.get("promql_expr_test", ()):
                yield _of_yaml(check["expr"], path, root)
                for sample in check.get("exp_samples") or ():
                    if sample["labels"].strip() not in {"", "{}"}:
                        yield _of_yaml(sample["labels"], path, root)


def _of_dashboards(root: Path) -> Iterator[Expression]:
    for path in sorted((root / _DASHBOARDS).glob("*.json")):
        lines = path.read_text(encoding="utf-8").splitlines()
        places = _values(lines)
        for text in dict.fromkeys(_queries(json.loads("\n".join(lines)))):
            written = json.dumps(text, ensure_ascii=False)
            line = places.get(written) or next((n for n, one in enumerate(lines, 1) if written in one), 1)
            expression, label = _without_variables(text)
            yield Expression(expression, _relative(path, root), line, line, label)


def _values(lines: list[str]) -> dict[str, int]:
    """The lines of strings in JSON that is written with one value to a line, by the string as written."""
    found: dict[str, int] = {}
    for number, line in enumerate(lines, 1):
        found.setdefault(line.strip().rstrip(",").partition(": ")[2], number)
    return found


def _queries(node: Any, kind: str = "") -> Iterator[str]:
    """The PromQL of a dashboard: of targets, annotations and variables whose data source is Prometheus."""
    if isinstance(node, list):
        for item in node:
            yield from _queries(item, kind)
    elif isinstance(node, dict):
        source = node.get("datasource")
        if isinstance(source, dict) and source.get("type"):
            kind = str(source["type"])
        if kind == "prometheus":
            for key in ("expr", "definition", "query"):
                text = node.get(key)
                if isinstance(text, str) and text:
                    yield text
        for value in node.values():
            yield from _queries(value, kind)


def _without_variables(text: str) -> tuple[str, str]:
    label = ""
    values = _LABEL_VALUES.match(text.strip())
    wrapped = _WRAPPED.match(text.strip())
    if values:
        text, label = values["selector"] or "", values["label"]
    elif wrapped:
        text = wrapped["inside"]
    text = _INTERVAL.sub("5m", text)
    return _VARIABLE.sub("1", text), label


def _of_pages(root: Path) -> Iterator[Expression]:
    for code in code_of_pages(root):
        if is_promql(code.text):
            yield Expression(code.text, code.path, code.line, code.last_line)


def code_of_pages(root: Path) -> Iterator[Code]:
    """The code in all pages, but for those that are made of what is checked here."""
    for pattern in _PAGES:
        for path in sorted(root.glob(pattern)):
            name = _relative(path, root)
            if name not in _MADE:
                for text, line, last in _code(path.read_text(encoding="utf-8").splitlines()):
                    yield Code(text, name, line, last)


def _code(lines: list[str]) -> Iterator[tuple[str, int, int]]:
    """Code of a Markdown page, with its lines: blocks as a whole and line by line, and spans."""
    block: list[str] = []
    fenced = False
    for number, line in enumerate([*lines, ""], 1):
        fence = line.lstrip().startswith("```")
        if (fenced and not fence) or (not fenced and line.startswith("    ") and line.strip()):
            block.append(line.strip())
            continue
        if block:
            first = number - len(block)
            if is_promql("\n".join(block)):
                yield "\n".join(block), first, number - 1
            else:
                yield from ((one, first + n, first + n) for n, one in enumerate(block))
            block = []
        fenced = fenced != fence
        for span in re.findall(r"`([^`]+)`", line):
            yield span, number, number


def is_promql(text: str) -> bool:
    """Whether code in a page is PromQL: it parses, and what it asks for is written like a metric."""
    try:
        parse(text)
    except ValueError:
        return False
    words = re.findall(r"[A-Za-z_:][\w:]*", text)
    if not _INSIDE.search(text):
        return len(words) == 1 and _METRIC_LIKE.fullmatch(words[0]) is not None
    return any("_" in word or ":" in word for word in words)


def _of_analysis(root: Path) -> Iterator[Expression]:
    """What :mod:`ada_otel.analysis.prometheus` asks, taken down while it asks."""
    from ada_otel.analysis.prometheus import Prometheus

    asked: list[str] = []

    class _Asked(Prometheus):
        def value(self, promql: str, at: float) -> float | None:
            asked.append(promql)
            # Only a count has requests behind it; without an answer the next query of a figure is tried.
            return 1.0 if "increase(" in promql else None

    listener = _Asked("http://127.0.0.1:9090", service="ada")
    listener.gauges(0.0)
    listener.response_time(0.0, 60.0)
    path = root / "ada_otel/analysis/prometheus.py"
    last = len(path.read_text(encoding="utf-8").splitlines())
    for text in asked:
        yield Expression(text, _relative(path, root), 1, last)


def _relative(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix()
