"""The tests of the alerts notice: a bound moved by a tenth, a duration by a minute, makes one of them fail.

``promtool test rules`` runs the shipped tests with changed rules in the place of the shipped one. So each
alert is proven to fire, not to fire just under its bound, to end, and to be silent without data.
ADA_DRILL_LONG=1 changes the alerts with windows of hours and days too, whose tests take a minute of CPU.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.drills.report import LONG
from tests.support.mutants import Mutant, mutants
from tests.support.rule_tests import RULES, TESTS, recorded, rules_of
from tests.support.servers import or_skip
from tools.drift.expressions import parse, selectors
from tools.stack.servers.prometheus import promtool

pytestmark = pytest.mark.integration

#: Changes that no test can see, and why.
UNSEEN = {
    (
        "SloErrorBudgetBurnSlow",
        "> 3",
    ): "even traffic that spends 3 in a day spends 1 in three: the pair below it",
}
#: What fires without data, as it must.
WITHOUT_DATA = {"Watchdog", "OtelCollectorDown"}
SLOW = {"SessionAnomaly", "CostBurnHigh", "RevenueDrop", "SloErrorBudgetBurnFast", "SloErrorBudgetBurnSlow"}


ALERTS: list[tuple[str, dict[str, Any]]] = [
    (path.stem, rule)
    for path in sorted(RULES.glob("*.yml"))
    for _, rule in rules_of(path.stem)
    if "alert" in rule
]
#: Those whose changes the form that runs has the time for.
CHANGED = [(stem, rule) for stem, rule in ALERTS if LONG or rule["alert"] not in SLOW]


def _named(rule: dict[str, Any]) -> dict[str, Mutant]:
    """The changed rules of an alert, by a name of their own."""
    changed = [*mutants(rule)]
    if rule["alert"] not in WITHOUT_DATA:
        (asked, *_) = [one.text for one in selectors(parse(rule["expr"]))]
        expression = f"({rule['expr']}) or absent({asked})"
        changed.append(Mutant("fires without data", {**rule, "expr": expression}))
    names = [f"{rule['alert']}__{number}" for number in range(len(changed))]
    return {
        name: replace(mutant, rule={**mutant.rule, "alert": name})
        for name, mutant in zip(names, changed, strict=True)
    }


def _asked(test: Mapping[str, Any], alert: str, names: Mapping[str, Mutant]) -> Iterator[dict[str, Any]]:
    """A shipped test, asked of each changed rule."""
    if test.get("alertname") == alert:
        yield from ({**test, "alertname": name} for name in names)
    elif f'alertname="{alert}"' in test.get("expr", ""):
        for name in names:
            yield {**test, "expr": test["expr"].replace(f'"{alert}"', f'"{name}"')}
    elif "alertname!~" in test.get("expr", ""):  # of all alerts at once
        yield {**test, "expr": re.sub(r'alertname!~"([^"]*)"', r'alertname!~"(\1)__.*"', test["expr"])}


@pytest.mark.parametrize(("stem", "rule"), CHANGED, ids=[rule["alert"] for _, rule in CHANGED])
def test_a_changed_rule_is_noticed(stem: str, rule: dict[str, Any], tmp_path: Path) -> None:
    names = _named(rule)
    shipped = yaml.safe_load((TESTS / f"{stem}_test.yml").read_text("utf-8"))
    needed = recorded([Path(file).stem for file in shipped["rule_files"]], rule["expr"])
    changed = {"name": "changed", "rules": [mutant.rule for mutant in names.values()]}
    (tmp_path / "rules.yml").write_text(yaml.safe_dump({"groups": [*needed, changed]}), encoding="utf-8")
    tests = []
    for group in shipped["tests"]:
        asked = {
            key: [new for test in group.get(key, ()) for new in _asked(test, rule["alert"], names)]
            for key in ("promql_expr_test", "alert_rule_test")
        }
        if any(asked.values()):
            tests.append({**group, **asked})
    order = [group["name"] for group in [*needed, changed]]
    test = {**shipped, "rule_files": ["rules.yml"], "group_eval_order": order, "tests": tests}
    (tmp_path / "test.yml").write_text(yaml.safe_dump(test), encoding="utf-8")
    command = [str(or_skip(promtool)), "test", "rules", "test.yml"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=280, check=False)
    said = result.stdout + result.stderr
    assert "FAILED" in said, said[:2000]
    noticed = set(re.findall(r"\b\w+__\d+\b", said))
    unseen = [mutant.change for name, mutant in names.items() if name not in noticed]
    excused = [part for alert, part in UNSEEN if alert == rule["alert"]]
    assert [change for change in unseen if not any(part in change for part in excused)] == []


def test_every_alert_is_changed_in_each_of_the_four_ways() -> None:
    unbounded = set()
    for _, rule in ALERTS:
        changes = [mutant.change for mutant in _named(rule).values()]
        assert changes[0] == "never fires"
        if rule["alert"] not in WITHOUT_DATA:
            assert {"fires without data", "keep_firing_for longer", "for longer"} <= set(changes), rule
        if not any("looser" in change for change in changes):
            unbounded.add(rule["alert"])
    assert unbounded == {"Watchdog"}  # it fires always


def test_what_is_only_there_or_not_is_silent_when_it_ends_just_before_its_time() -> None:
    """Such an alert has no bound, so what is just under it is to last for one evaluation too little."""
    on_and_off = set()
    for stem, rule in ALERTS:
        if "for" not in rule or not _is_there_or_not(rule):
            continue
        shipped = yaml.safe_load((TESTS / f"{stem}_test.yml").read_text("utf-8"))
        assert shipped["evaluation_interval"] == "1m"
        on_and_off.add(rule["alert"])
        assert any(_ends_too_early(rule, group) for group in shipped["tests"]), rule["alert"]
    assert on_and_off == {
        "DependencyUnreachable", "HealthCheckFailing", "MetricCardinalityOverflow", "OtelCollectorDown",
        "ProbeFailing", "PrometheusNotConnectedToAlertmanager", "ServiceSilent",
    }  # fmt: skip


def _is_there_or_not(rule: dict[str, Any]) -> bool:
    """Whether a rule has no bound, but for one in a condition behind it."""
    bare = [mutant.rule for mutant in mutants(rule) if "without what is behind and" in mutant.change]
    return any(not any(mutant.change.startswith("bound") for mutant in mutants(one)) for one in (rule, *bare))


def _ends_too_early(rule: dict[str, Any], group: Mapping[str, Any]) -> bool:
    """Whether a test lets an alert wait for all but the last minute of its ``for``, and then not fire."""
    expected = {
        (state, int(test["eval_time"].removesuffix("m"))): bool(test["exp_samples"])
        for test in group.get("promql_expr_test", ())
        for state in ("pending", "firing")
        if f'alertname="{rule["alert"]}", alertstate="{state}"' in test["expr"]
    }
    waited = [minute for (state, minute), there in expected.items() if state == "pending" and there]
    if not waited or any(there for (state, _), there in expected.items() if state == "firing"):
        return False
    end = max(waited) + 1
    return expected.get(("pending", end)) is False and expected.get(("firing", end)) is False
