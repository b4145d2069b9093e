"""The committed dashboards: what the code gives, in good order, and true to catalogue, rules and alerts."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from grafana_foundation_sdk.cog import plugins
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard as types

from ada_otel import cli
from ada_otel.catalogue import METRICS, prometheus_series
from ada_otel.dashboards import DASHBOARDS
from ada_otel.dashboards._bounds import ALERTS
from ada_otel.dashboards._model import Dashboard, Panel, Query, Row
from ada_otel.dashboards._render import render
from tools.dashboard_render.rules import recording_rules, series_of
from tools.paths import REPOSITORY

_FOLDER = REPOSITORY / "collector" / "grafana" / "dashboards"
_RULES = REPOSITORY / "collector" / "prometheus" / "rules"
_DOCUMENTS = {uid.uid: json.loads(render(uid)) for uid in DASHBOARDS}
#: Panels that show what belongs to no service or no worker, with the reason.
_NO_SERVICE = {
    ("ada-system-overview", number): reason
    for numbers, reason in {
        (20,): "all firing alerts, of hosts too",
        (30, 31, 32, 33, 34, 35, 36, 37, 38): "hosts, chosen by the variable host",
        (55, 56): "Redis itself, by the collector's receiver",
        (60, 61, 62, 63, 64, 67): "the collector, chosen by job",
    }.items()
    for number in numbers
}
#: Series that come from elsewhere: the collector's own, its Redis receiver's, Prometheus's.
_FOREIGN = re.compile(r"otelcol_\w+|redis_\w+|up|ALERTS")

each = pytest.mark.parametrize("document", _DOCUMENTS.values(), ids=_DOCUMENTS)


def _panels(document: dict[str, Any]) -> list[dict[str, Any]]:
    return [panel for panel in document["panels"] if panel["type"] != "row"]


def _exprs(document: dict[str, Any]) -> list[tuple[int, str]]:
    targets = [(p["id"], t["expr"]) for p in _panels(document) for t in p["targets"] if "expr" in t]
    # Prometheus 3 may keep the dots of the collector's own names.
    return [(number, expr.replace("[._]", "_")) for number, expr in targets]


def test_the_committed_files_are_what_the_code_gives(tmp_path: Path) -> None:
    assert cli.main(["dashboards", "build", "--out", str(tmp_path)]) == 0
    made = {file.name: file.read_text(encoding="utf-8") for file in tmp_path.iterdir()}
    kept = {file.name: file.read_text(encoding="utf-8") for file in _FOLDER.glob("*.json")}
    assert made == kept, "run: ada-otel dashboards build --out collector/grafana/dashboards"


def test_every_dashboard_that_an_alert_links_to_exists_and_has_its_variables() -> None:
    seen = set()
    for file in _RULES.glob("*.yml"):
        for uid, query in re.findall(r"/d/([\w-]+)(?:\?([^']*))?'", file.read_text(encoding="utf-8")):
            names = {variable["name"] for variable in _DOCUMENTS[uid]["templating"]["list"]}
            assert set(re.findall(r"var-(\w+)=", query)) <= names, (file.name, uid, query)
            seen.add(uid)
    assert seen == set(_DOCUMENTS)


@each
def test_the_sdk_reads_back_what_it_wrote(document: dict[str, Any]) -> None:
    plugins.register_default_plugins()
    again = json.loads(JSONEncoder(sort_keys=True).encode(types.Dashboard.from_json(document)))
    for name in ("uid", "title", "panels", "templating", "links", "refresh", "editable", "schemaVersion"):
        assert again[name] == document[name], name


@each
def test_the_head_is_as_the_linter_wants_it(document: dict[str, Any]) -> None:
    assert document["editable"] is False
    assert document["refresh"] == "30s"
    assert document["schemaVersion"] >= 39
    (link,) = document["links"]
    assert link["keepTime"] is True
    assert link["includeVars"] is True
    assert set(link["tags"]) <= set(document["tags"])
    variables = {variable["name"]: variable for variable in document["templating"]["list"]}
    assert {"prom", "es", "service", "environment", "instance"} <= set(variables)
    assert variables["prom"]["query"] == "prometheus"
    assert variables["es"]["query"] == "elasticsearch"
    for name in ("service", "environment", "instance", "host"):
        if name in variables:
            variable = variables[name]
            assert variable["datasource"]["uid"] == "${prom}"
            assert variable["refresh"] == 2, "on a change of the time range"
            assert variable["multi"] is True
            assert variable["includeAll"] is True
            assert variable["allValue"] in {".+", ".*"}
    assert [entry["name"] for entry in document["annotations"]["list"]] == ["Deploys", "Firing alerts"]


@each
def test_panels_have_all_that_a_reader_needs(document: dict[str, Any]) -> None:
    ids = [panel["id"] for panel in document["panels"]]
    assert len(set(ids)) == len(ids)
    assert document["panels"][1]["title"] == "Requests per second", "RED comes first"
    for panel in _panels(document):
        assert panel["title"], panel["id"]
        assert len(panel["description"]) > 3, panel["title"]
        assert panel["datasource"]["uid"] in {"${prom}", "${es}"}
        assert panel["targets"], panel["title"]
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])
        if panel["type"] != "logs":
            assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
            assert panel["fieldConfig"]["defaults"]["thresholds"]["steps"], panel["title"]


@each
def test_panels_do_not_overlap_and_fill_the_width(document: dict[str, Any]) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in document["panels"]:
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24, panel["title"]
        taken |= cells


@each
def test_rates_are_over_the_interval_that_grafana_chooses(document: dict[str, Any]) -> None:
    for number, expr in _exprs(document):
        for call, window in re.findall(r"\b(rate|increase)\([^\[]*\[([^\]]+)\]", expr):
            assert window == ("$__rate_interval" if call == "rate" else "$__range"), (number, expr)


@each
def test_targets_are_narrowed_to_service_and_worker(document: dict[str, Any]) -> None:
    for number, expr in _exprs(document):
        if (document["uid"], number) in _NO_SERVICE:
            continue
        for name, matchers in re.findall(r"([a-zA-Z_:][\w:]*)\{([^}]*)\}", expr):
            assert "job=~" in matchers, (number, name)
            host_wide = name.startswith(("ada_dependency_", "ada_probe_"))
            assert "instance=~" in matchers or ":" in name or host_wide, (number, name)


@each
def test_every_series_is_in_the_catalogue_or_recorded(document: dict[str, Any]) -> None:
    ours = {name for row in METRICS for name in prometheus_series(row)}
    for number, expr in _exprs(document):
        names = re.findall(r"([a-zA-Z_][a-zA-Z0-9_:]*)(?=\{|\[)", expr)
        for name in [*names, *re.findall(r'__name__=~"(\w+)"', expr)]:
            assert name in ours or ":" in name or _FOREIGN.fullmatch(name), (number, name)
    assert series_of(document) <= set(recording_rules())


def test_what_one_worker_reports_for_all_is_never_added_up() -> None:
    for document in _DOCUMENTS.values():
        for number, expr in _exprs(document):
            if re.search(r"ada_(sessions|users)_active\{", expr):
                assert expr.startswith("max"), (number, expr)


def test_bounds_are_those_of_the_alerts() -> None:
    exprs = {
        rule["alert"]: rule["expr"]
        for file in _RULES.glob("*.yml")
        for group in yaml.safe_load(file.read_text(encoding="utf-8"))["groups"]
        for rule in group["rules"]
        if "alert" in rule
    }
    for alert, value in ALERTS.items():
        numbers = {float(number) for number in re.findall(r"[<>]=?\s*(\d+(?:\.\d+)?)", exprs[alert])}
        assert value in numbers, alert


def test_latencies_lead_to_traces_and_lines_to_their_trace() -> None:
    shown = _DOCUMENTS["ada-application-performance"]
    (latency,) = (panel for panel in _panels(shown) if panel["title"] == "Response time")
    assert all(target["exemplar"] for target in latency["targets"])
    for panel in (p for d in _DOCUMENTS.values() for p in _panels(d) if p["type"] == "logs"):
        (override,) = panel["fieldConfig"]["overrides"]
        assert override["matcher"]["options"] == "trace_id"
        assert "var-trace_id=${__value.raw}" in override["properties"][0]["value"][0]["url"]
    texts = [
        v["name"] for v in _DOCUMENTS["ada-error-analysis"]["templating"]["list"] if v["type"] == "textbox"
    ]
    assert texts == ["trace_id"]


def test_one_id_for_two_panels_is_refused() -> None:
    panel = Panel(1, "Twice", "Twice.", "short", (Query("up", "up"),))
    with pytest.raises(ValueError, match=r"the panel ids \[1\] are used twice"):
        render(Dashboard("twice", "Twice", "Twice.", (Row(1, "Row", (panel,)),)))
