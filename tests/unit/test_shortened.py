"""Durations divided for drills: all of them, by exactly the factor, and nothing else."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml

from tests.support.shortened import shortened_config, shortened_duration, shortened_expression
from tools.paths import REPOSITORY

RULES = sorted((REPOSITORY / "collector" / "prometheus" / "rules").glob("*.yml"))


@pytest.mark.parametrize(
    ("text", "factor", "short"),
    [("5m", 40, "7s500ms"), ("1h30m", 60, "90s"), ("15s", 60, "250ms"), ("0s", 60, "0s"), ("1s", 1e6, "1ms")],
)
def test_a_duration_is_divided(text: str, factor: float, short: str) -> None:
    assert shortened_duration(text, factor) == short


def test_what_is_no_duration_is_refused() -> None:
    with pytest.raises(ValueError, match="five minutes"):
        shortened_duration("five minutes", 10)


def test_ranges_offsets_and_subqueries_are_divided_and_strings_are_not() -> None:
    promql = 'a{x="[5m] offset 1h"}[5m] offset 10m'
    assert shortened_expression(promql, 10) == 'a{x="[5m] offset 1h"}[30s] offset 60s'
    assert shortened_expression("max_over_time(a[1h:10m] offset -1d)", 60) == (
        "max_over_time(a[60s:10s] offset -1440s)"
    )


@pytest.mark.parametrize("path", RULES, ids=lambda path: path.stem)
def test_every_shipped_rule_keeps_its_shape(path: Path) -> None:
    """Divided by 10, each range and offset is a tenth, and the text without durations is the same."""
    shipped = yaml.safe_load(path.read_text(encoding="utf-8"))
    short = shortened_config(shipped, 10)
    for group, short_group in zip(shipped["groups"], short["groups"], strict=True):
        for rule, short_rule in zip(group["rules"], short_group["rules"], strict=True):
            assert [length / 10 for length in _lengths(rule["expr"])] == _lengths(short_rule["expr"])
            untouched = {"expr", "for", "keep_firing_for"}
            assert {k: v for k, v in rule.items() if k not in untouched} == {
                k: v for k, v in short_rule.items() if k not in untouched
            }
            for key in {"for", "keep_firing_for"} & set(rule):
                assert _parsed(short_rule[key]) * 10 == _parsed(rule[key])


def _parsed(text: str) -> timedelta:
    parsed: timedelta = promql_parser.parse_duration(text)
    return parsed


def _lengths(promql: str) -> list[timedelta]:
    found: list[timedelta] = []

    def visit(node: Any) -> bool:
        for name in ("range", "offset", "step"):
            length = getattr(node, name, None)
            if isinstance(length, timedelta):
                found.append(length)
        if isinstance(node, promql_parser.MatrixSelector) and node.vector_selector.offset is not None:
            found.append(node.vector_selector.offset)
        return True

    promql_parser.walk(promql_parser.parse(promql), pre_visit=visit)
    return found
