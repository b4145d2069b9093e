"""``python -m tools.drift.alerts_page``: writes docs/alerts.md from the rules and the inhibitions.

With ``--check`` it writes nothing, and gives 1 when the page is out of date.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from tools.docs import table
from tools.drift.alert_reasons import Reasons, alert_reasons
from tools.paths import REPOSITORY
from tools.progress import say

PAGE = REPOSITORY / "docs" / "alerts.md"

_CLASSES = {
    "infrastructure": ("Infrastructure", "The machines, and what the app depends on."),
    "application": ("Application", "What users of the app feel."),
    "business": ("Business", "What the app is for."),
    "security": ("Security", "What an attack looks like from inside."),
    "telemetry": ("Telemetry", "The monitoring itself: without it, silence looks like health."),
}

_TEXT = (Path(__file__).parent / "alerts.md.in").read_text(encoding="utf-8")


def page(root: Path = REPOSITORY) -> str:
    """The text of ``docs/alerts.md``."""
    alerts = list(_alerts(root))
    parts = []
    for name, (title, text) in _CLASSES.items():
        rows = [_row(rule) for rule in alerts if rule["labels"]["class"] == name]
        parts.append(
            f"## {title}\n\n{text}\n\n" + table(("Alert", "Severity", "It means", "For", "Keeps"), rows)
        )
    return _TEXT.format(
        count=len(alerts),
        classes=len(_CLASSES),
        tables="\n\n".join(parts),
        reasons=_reasons(root, alerts),
        inhibitions=_inhibitions(root),
    )


def _alerts(root: Path) -> Iterator[Mapping[str, Any]]:
    for path in _files(root):
        for group in yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]:
            yield from (rule for rule in group["rules"] if "alert" in rule)


def _files(root: Path) -> list[Path]:
    return sorted((root / "collector/prometheus/rules").glob("*.yml"))


def _row(rule: Mapping[str, Any]) -> tuple[str, str, str, str, str]:
    name = rule["alert"]
    return (
        f"[{name}](../collector/runbooks/{name}.md)",
        rule["labels"]["severity"],
        _plain(f"{rule['annotations']['summary']}. {rule['annotations']['description']}"),
        str(rule.get("for", "at once")),
        str(rule.get("keep_firing_for", "no longer")),
    )


def _plain(template: str) -> str:
    """An annotation for whoever has no alert at hand: values and labels by their names."""
    text = re.sub(r"\{\{ with .*?\{\{ end \}\}", "", template)
    text = re.sub(r"\{\{ \$value.*?\}\}", "*n*", text)
    text = re.sub(r"\{\{\s*\$labels\.(\w+)\s*\}\}", lambda found: f"*{_word(found[1])}*", text)
    return " ".join(text.split())


def _word(label: str) -> str:
    return {"job": "service"}.get(label, label.removeprefix("ada_").replace("_", " "))


def _inhibitions(root: Path) -> str:
    config = yaml.safe_load((root / "collector/alertmanager/alertmanager.yml").read_text(encoding="utf-8"))
    rows = []
    for rule in config["inhibit_rules"]:
        source, target = (_names(rule[f"{side}_matchers"]) for side in ("source", "target"))
        rows.append((source, target, ", ".join(rule.get("equal", ())) or "any"))
    return table(("While this fires", "nobody is told of", "with the same"), rows)


def _reasons(root: Path, alerts: Sequence[Mapping[str, Any]]) -> str:
    """Why each alert waits and stays, in the order of the classes."""
    found: dict[str, Reasons] = {}
    for path in _files(root):
        found |= alert_reasons(path.read_text(encoding="utf-8"))
    rows = []
    for name in _CLASSES:
        for rule in (rule for rule in alerts if rule["labels"]["class"] == name):
            why = found[rule["alert"]]
            rows.append(
                (
                    f"`{rule['alert']}`",
                    f"**{rule.get('for', 'at once')}** {why.wait}",
                    f"**{rule.get('keep_firing_for', 'no longer')}** {why.stay}",
                )
            )
    return table(("Alert", "For", "Keeps"), rows)


def _names(matchers: Sequence[str]) -> str:
    return ", ".join(re.sub(r'^alertname =~? "|"$', "", matcher).replace("|", ", ") for matcher in matchers)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the page, or check it; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.drift.alerts_page", description="Write docs/alerts.md."
    )
    parser.add_argument("--check", action="store_true", help="write nothing; fail if the page is out of date")
    options = parser.parse_args(arguments)
    text = page()
    if PAGE.is_file() and PAGE.read_text(encoding="utf-8") == text:
        say("docs/alerts.md is up to date")
        return 0
    if options.check:
        say("docs/alerts.md is out of date; run: python -m tools.drift.alerts_page")
        return 1
    PAGE.write_text(text, encoding="utf-8")
    say("wrote docs/alerts.md")
    return 0


if __name__ == "__main__":
    sys.exit(main())
