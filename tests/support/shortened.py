"""The configuration of Prometheus and Alertmanager with all its durations divided by one factor, for drills.

What is proven with it is that a fault travels to a notification; that the shipped durations are right is
proven by ``promtool test rules``.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import promql_parser
import yaml

_UNITS_MS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
_DURATION = r"(?:\d+(?:ms|[smhdw]))+"
#: In PromQL: a string, which is left alone, or a duration as it stands in a range or behind ``offset``.
_IN_PROMQL = re.compile(
    rf"(?P<string>\"[^\"]*\"|'[^']*')|(?P<before>\[|:|\boffset\s+-?)(?P<duration>{_DURATION})(?=[\]:\s)]|$)"
)
#: Keys of the two configurations that hold a duration.
_KEYS = frozenset(
    {
        "evaluation_interval",
        "for",
        "group_interval",
        "group_wait",
        "interval",
        "keep_firing_for",
        "repeat_interval",
        "resolve_timeout",
        "scrape_interval",
    }
)


def shortened_duration(text: str, factor: float) -> str:
    """``text`` divided by ``factor``: ``5m`` by 40 is ``7s500ms``; never less than a millisecond, but for 0.

    Raises:
        ValueError: It is no duration of Prometheus.
    """
    if not re.fullmatch(_DURATION, text):
        raise ValueError(f"{text!r} is no duration")
    milliseconds = sum(int(n) * _UNITS_MS[unit] for n, unit in re.findall(r"(\d+)(ms|[smhdw])", text))
    seconds, rest = divmod(max(1, round(milliseconds / factor)) if milliseconds else 0, 1000)
    return (f"{seconds}s" if seconds or not rest else "") + (f"{rest}ms" if rest else "")


def shortened_expression(promql: str, factor: float) -> str:
    """``promql`` with its ranges and offsets divided by ``factor``.

    Numbers of seconds among the arguments of functions stay as they are.

    Raises:
        ValueError: It is no PromQL, before or after.
    """

    def shorten(found: re.Match[str]) -> str:
        if found["string"]:
            return found["string"]
        return found["before"] + shortened_duration(found["duration"], factor)

    promql_parser.parse(promql)
    short = _IN_PROMQL.sub(shorten, promql)
    promql_parser.parse(short)
    return short


def shortened_config(node: Any, factor: float) -> Any:
    """A configuration, as YAML gives it, with the durations of its settings and expressions divided.

    Raises:
        ValueError: A duration or an expression in it cannot be read.
    """
    if isinstance(node, list):
        return [shortened_config(item, factor) for item in node]
    if not isinstance(node, dict):
        return node
    changed = {}
    for key, value in node.items():
        if key in _KEYS and isinstance(value, str):
            changed[key] = shortened_duration(value, factor)
        elif key == "expr" and isinstance(value, str):
            changed[key] = shortened_expression(value, factor)
        else:
            changed[key] = shortened_config(value, factor)
    return changed


def shortened_rules(source: Path, target: Path, factor: float) -> None:
    """Write the rule files of folder ``source`` to ``target``, with all durations divided by ``factor``."""
    target.mkdir(parents=True, exist_ok=True)
    for path in sorted(source.glob("*.yml")):
        rules = shortened_config(yaml.safe_load(path.read_text(encoding="utf-8")), factor)
        # A group without an interval has the global one, which is divided where it stands.
        (target / path.name).write_text(yaml.safe_dump(rules, sort_keys=False), encoding="utf-8")
