"""The shipped tests of the rules, each with the rules that it asks for and no others.

promtool evaluates every rule of a test's files at every step, which is nearly all of its time: a test of one
alert needs that alert, and what is recorded for it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tools.paths import COLLECTOR

RULES = COLLECTOR / "prometheus" / "rules"
TESTS = COLLECTOR / "prometheus" / "tests"

Group = Mapping[str, Any]
_ONE_ALERT = re.compile(r'\bALERTS\{alertname="(\w+)"')


@cache
def rules_of(name: str) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """The rules of a file, each with its group."""
    groups = yaml.safe_load((RULES / f"{name}.yml").read_text("utf-8"))["groups"]
    return [(group, rule) for group in groups for rule in group["rules"]]


def recorded(files: Sequence[str], expression: str, alerts: Sequence[str] = ()) -> list[dict[str, Any]]:
    """The groups with the recording rules that an expression and ``alerts`` need, and with those alerts."""
    rules = [pair for name in files for pair in rules_of(name)]
    named = [rule for _, rule in rules if rule.get("alert") in alerts]
    first = needed = " ".join([expression, *(rule["expr"] for rule in named)])
    while True:
        found = [
            (group, rule)
            for group, rule in rules
            if rule in named or ("record" in rule and rule["record"] in needed)
        ]
        text = " ".join([first, *(rule["expr"] for _, rule in found)])
        if text == needed:
            break
        needed = text
    groups: dict[str, dict[str, Any]] = {group["name"]: {**group, "rules": []} for group, _ in found}
    for group, rule in found:
        groups[group["name"]]["rules"].append(rule)
    return list(groups.values())


def write_each_with_its_rules(shipped: Path, folder: Path) -> list[Path]:
    """Write the tests of a file to a new folder, together where they ask for the same; gives the files."""
    content = yaml.safe_load(shipped.read_text("utf-8"))
    files = [Path(file).stem for file in content["rule_files"]]
    folder.mkdir()
    asked: dict[str, list[Group]] = {}
    for test in content["tests"]:
        asked.setdefault(yaml.safe_dump({"groups": _asked(files, test)}), []).append(test)
    written = []
    for number, (rules, tests) in enumerate(asked.items()):
        (folder / f"{number}_rules.yml").write_text(rules, encoding="utf-8")
        path = folder / f"{number}_test.yml"
        text = yaml.safe_dump({**content, "rule_files": [f"{number}_rules.yml"], "tests": tests})
        path.write_text(text, encoding="utf-8")
        written.append(path)
    assert sum(len(tests) for tests in asked.values()) == len(content["tests"])
    return written


def _asked(files: Sequence[str], test: Group) -> list[dict[str, Any]]:
    expressions = [one["expr"] for one in test.get("promql_expr_test", ())]
    alerts = [one["alertname"] for one in test.get("alert_rule_test", ())]
    alerts += [name for expression in expressions for name in _ONE_ALERT.findall(expression)]
    if any("ALERTS" in _ONE_ALERT.sub("", expression) for expression in expressions):  # of all at once
        alerts = [rule["alert"] for name in files for _, rule in rules_of(name) if "alert" in rule]
    return recorded(files, " ".join(expressions), alerts)
