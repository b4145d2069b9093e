"""A user's own metrics get panels; a mistake in the file is named with what would be right."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from ada_otel import cli

_GOOD: dict[str, Any] = {
    "title": "Shop",
    "metrics": [
        {
            "metric": "shop.orders",
            "kind": "counter",
            "unit": "{order}",
            "meaning": "Orders.",
            "attributes": ["shop.region"],
        },
        {
            "metric": "shop.basket.size",
            "kind": "histogram",
            "unit": "{item}",
            "meaning": "Items.",
            "thresholds": [10, 50],
        },
        {"metric": "shop.stock", "kind": "gauge", "unit": "1", "meaning": "Stock.", "aggregate": "min"},
    ],
}


def _add(tmp_path: Path, content: Any, name: str = "shop.yaml") -> tuple[int, Path]:
    file = tmp_path / name
    file.write_text(content if isinstance(content, str) else yaml.safe_dump(content), encoding="utf-8")
    return cli.main(["dashboards", "add", str(file), "--out", str(tmp_path / "out")]), tmp_path / "out"


def test_each_kind_gets_its_panels(tmp_path: Path) -> None:
    code, out = _add(tmp_path, _GOOD)
    assert code == 0
    document = json.loads((out / "ada-own-shop.json").read_text())
    exprs = {p["id"]: [t["expr"] for t in p["targets"]] for p in document["panels"] if p["type"] != "row"}
    scope = 'job=~"$service", deployment_environment_name=~"$environment", instance=~"$instance"'
    assert exprs[10] == [f"sum by (shop_region) (rate(shop_orders_total{{{scope}}}[$__rate_interval]))"]
    assert exprs[12][1].startswith("histogram_quantile(0.95, sum by (le) (rate(shop_basket_size_bucket{")
    assert exprs[13] == [f"sum(rate(shop_basket_size_count{{{scope}}}[$__rate_interval]))"]
    assert exprs[14] == [f"min(shop_stock_ratio{{{scope}}})"]
    steps = next(p for p in document["panels"] if p["id"] == 12)["fieldConfig"]["defaults"]["thresholds"][
        "steps"
    ]
    assert [step["color"] for step in steps] == ["green", "orange", "red"]
    assert {"prom", "service", "instance"} <= {v["name"] for v in document["templating"]["list"]}


def test_a_python_file_can_hand_over_rows_of_the_catalogue(tmp_path: Path) -> None:
    code, out = _add(
        tmp_path,
        "from ada_otel.catalogue import Metric\nTITLE = 'Mine'\nUID = 'mine'\n"
        "METRICS = [Metric('my.jobs', 'counter', '{job}', 'Jobs.', 'own')]\n",
        "mine.py",
    )
    assert code == 0
    assert "my_jobs_total" in (out / "mine.json").read_text()


_ROW: dict[str, Any] = _GOOD["metrics"][0]


def _with(**changes: Any) -> dict[str, Any]:
    """The good file with one entry, which is changed."""
    return {**_GOOD, "metrics": [{**_ROW, **changes}]}


@pytest.mark.parametrize(
    ("content", "name", "said"),
    [
        ({**_GOOD, "titel": "x"}, "f.yaml", "unknown key 'titel'; known are title, uid"),
        ({"metrics": [_ROW]}, "f.yaml", "title is None; write a few words"),
        ({**_GOOD, "uid": "a b"}, "f.yaml", "uid is 'a b'; use up to 40 letters"),
        ({**_GOOD, "uid": "ada-error-analysis"}, "f.yaml", "is that of a dashboard of ada-otel"),
        ({**_GOOD, "metrics": []}, "f.yaml", "write a list with at least one metric"),
        ({**_GOOD, "metrics": ["a.b"]}, "f.yaml", "metrics[0]: it is 'a.b'; write keys: metric"),
        (_with(king=1), "f.yaml", "metrics[0]: unknown key 'king'; known are metric"),
        (_with(metric=7), "f.yaml", "metrics[0]: metric is 7; write its"),
        ({**_GOOD, "metrics": [_ROW, _ROW]}, "f.yaml", "shop.orders is listed 2 times; list it once"),
        (_with(kind="count"), "f.yaml", "kind is 'count'; it is one of counter,"),
        (_with(unit=None), "f.yaml", "(shop.orders): unit is None; write for instance s,"),
        (_with(meaning=""), "f.yaml", "meaning is ''; write for instance"),
        (_with(title=3), "f.yaml", "title is 3; write a few words"),
        (_with(attributes="x"), "f.yaml", "attributes is 'x'; write a list of names"),
        (_with(aggregate="max"), "f.yaml", "aggregate is for gauges"),
        (_with(kind="gauge", aggregate="most"), "f.yaml", "aggregate is 'most'; it is one of max, min"),
        (_with(thresholds=[5, 1]), "f.yaml", "one or two rising numbers"),
        (_with(thresholds=["5"]), "f.yaml", "one or two rising numbers"),
        ("a: [", "f.yaml", "it cannot be used: ParserError"),
        ("- a", "f.yaml", "it holds list; write keys: title"),
        ("1 / 0", "f.py", "it cannot be used: ZeroDivisionError"),
        ("x", "f.toml", "the name ends in '.toml'; use .yaml, .yml or .py"),
    ],
)
def test_a_mistake_is_named(
    content: Any, name: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out = _add(tmp_path, content, name)
    error = capsys.readouterr().err
    assert code == 2
    assert error.startswith(f"ada-otel dashboards: {tmp_path / name}: ")
    assert said in error
    assert not out.exists()


def test_a_file_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["dashboards", "add", str(tmp_path / "no.yaml"), "--out", str(tmp_path)]) == 2
    assert "it cannot be read: No such file or directory" in capsys.readouterr().err
