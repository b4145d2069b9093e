"""The page of alerts is made of the rules, and each alert has its reasons there."""

from __future__ import annotations

import re
import shutil
from collections import Counter
from pathlib import Path

import pytest
import yaml

from tools.drift import alerts_page
from tools.drift.alert_reasons import alert_reasons
from tools.paths import REPOSITORY

RULES = sorted((REPOSITORY / "collector/prometheus/rules").glob("*.yml"))
#: What an alert that silences others must outlast: a rate over 5 minutes, and 5 minutes of keep_firing_for.
_OUTLASTS_MINUTES = 10


def test_the_page_of_alerts_is_up_to_date(capsys: pytest.CaptureFixture[str]) -> None:
    assert alerts_page.main(["--check"]) == 0, capsys.readouterr().err


def test_the_page_of_alerts_has_every_alert() -> None:
    text = alerts_page.page()
    for path in RULES:
        for name in re.findall(r"- alert: (\w+)", path.read_text("utf-8")):
            assert text.count(f"[{name}](../collector/runbooks/{name}.md)") == 1
    assert "{{" not in text


def test_every_alert_says_why_it_waits_and_stays_and_the_page_shows_it() -> None:
    found = {name: why for path in RULES for name, why in alert_reasons(path.read_text("utf-8")).items()}
    named = re.findall(r"- alert: (\w+)", "".join(path.read_text("utf-8") for path in RULES))
    assert sorted(found) == sorted(named)
    given = [text for why in found.values() for text in (why.wait, why.stay)]
    assert [text for text, times in Counter(given).items() if times > 1 or len(text) < 20] == []
    page = alerts_page.page()
    assert [text for text in given if text not in page] == []


def test_what_an_alert_says_of_its_wait_is_so() -> None:
    said = {}
    for path in RULES:
        for group in yaml.safe_load(path.read_text("utf-8"))["groups"]:
            for rule in (rule for rule in group["rules"] if "alert" in rule):
                for number in re.findall(r"\bfor (\d+|a) minutes?\b", rule["annotations"]["description"]):
                    said[rule["alert"]] = (f"{number.replace('a', '1')}m", rule.get("for"))
    assert len(said) >= 15
    assert {name: both for name, both in said.items() if both[0] != both[1]} == {}


_RULE = """
      - alert: TooMany
        expr: |
          a > 1
        # Waits: one burst is over
        # by then.
        for: 5m
        # Stays: it swings.
        keep_firing_for: 10m
        labels: {}
"""


def test_a_reason_goes_over_lines() -> None:
    (why,) = alert_reasons(_RULE.replace("labels: {}", "labels:")).values()
    assert (why.wait, why.stay) == ("one burst is over by then.", "it swings.")


@pytest.mark.parametrize(
    "without",
    [
        "        # Waits: one burst is over\n",
        "        # Stays: it swings.\n",
        "        for: 5m\n",
        "keep_firing_for: 10m",
    ],
)
def test_an_alert_without_a_reason_or_a_reason_without_its_value_is_refused(without: str) -> None:
    rule = _RULE.replace("labels: {}", "labels:")
    assert rule.count(without) == 1
    with pytest.raises(ValueError, match="TooMany"):
        alert_reasons(rule.replace(without, ""))


def test_the_page_is_not_made_without_a_reason(tmp_path: Path) -> None:
    for folder in ("prometheus", "alertmanager"):
        shutil.copytree(REPOSITORY / "collector" / folder, tmp_path / "collector" / folder)
    path = tmp_path / "collector/prometheus/rules/security.yml"
    text, times = re.subn(r"# No wait: 30 within", "# 30 within", path.read_text("utf-8"))
    assert times == 1
    path.write_text(text, "utf-8")
    with pytest.raises(ValueError, match="SignInFailures"):
        alerts_page.page(tmp_path)


def test_what_is_gathered_before_it_is_told_still_fires_then() -> None:
    """Alertmanager sends nothing of a group whose alerts are all over before its first message."""
    config = yaml.safe_load((REPOSITORY / "collector/alertmanager/alertmanager.yml").read_text("utf-8"))
    (gathered,) = (
        route["group_wait"]
        for route in config["route"]["routes"]
        if route["matchers"] == ['severity = "info"']
    )
    info = [
        rule
        for path in RULES
        for group in yaml.safe_load(path.read_text("utf-8"))["groups"]
        for rule in group["rules"]
        if rule.get("labels", {}).get("severity") == "info"
    ]
    assert [rule["alert"] for rule in info] == ["AppRaisedAlertMedium"]
    for rule in info:
        # The count behind it holds for nearly 5 minutes more.
        assert int(rule["keep_firing_for"].removesuffix("m")) >= int(gathered.removesuffix("m")), rule[
            "alert"
        ]


@pytest.mark.parametrize("source", ["DependencyUnreachable", "ServiceSilent", "OtelCollectorDown"])
def test_what_silences_others_outlasts_them(source: str) -> None:
    """Otherwise they ring when the cause has been mended: their rates see it for 5 minutes more."""
    (rule,) = (
        rule
        for path in RULES
        for group in yaml.safe_load(path.read_text("utf-8"))["groups"]
        for rule in group["rules"]
        if rule.get("alert") == source
    )
    assert int(rule["keep_firing_for"].removesuffix("m")) > _OUTLASTS_MINUTES
