"""Every target of every dashboard, run on real back ends that the example app has fed."""

from __future__ import annotations

import json
import urllib.parse

import pytest

from tests.support.driven import DOCUMENTS, Driven
from tools.dashboard_render.queries import Result, Source
from tools.demo.app import get_json
from tools.demo.arrivals import wait_for
from tools.paths import REPOSITORY

pytestmark = pytest.mark.integration

#: Targets without data in this test, by dashboard, panel and letter ("*" is all), with the reason.
_NO_DATA = {
    ("ada-system-overview", 20, "*"): "no alert fires",
    ("ada-system-overview", 22, "*"): "`ada-otel probe` does not run",
    ("ada-system-overview", 55, "*"): "the collector's Redis receiver does not run",
    ("ada-system-overview", 56, "*"): "the collector's Redis receiver does not run",
    ("ada-system-overview", 64, "*"): "the collector makes these counters with the first loss",
    ("ada-system-overview", 68, "*"): "no metric is past its cap",
    ("ada-business-metrics", 20, "B"): "ADA pays nothing back",
    ("ada-error-analysis", 25, "*"): "ADA raises no alert itself",
    ("ada-user-activity", 25, "*"): "ADA names no API clients",
}


def _has_data(uid: str, number: int, ref: str) -> bool:
    return not {(uid, number, ref), (uid, number, "*")} & set(_NO_DATA)


def test_every_target_returns_data(driven: Driven) -> None:
    missing = wait_for(lambda: _missing(driven), lambda found: not found, seconds=60)
    assert missing == []


def _missing(driven: Driven) -> list[str]:
    found = []
    for uid, document in DOCUMENTS.items():
        for panel in document["panels"]:
            for target in panel.get("targets", ()):
                # Run in any case: a wrong query is an error, with or without data.
                result = driven.source.run(target, driven.span)
                if result.empty and _has_data(uid, panel["id"], target["refId"]):
                    found.append(f"{uid} {panel['id']} {target['refId']}: {result.expr}")
    return found


def test_what_is_said_to_have_no_data_is_there(driven: Driven) -> None:
    known = {(uid, panel["id"]) for uid, document in DOCUMENTS.items() for panel in document["panels"]}
    assert {(uid, number) for uid, number, _ in _NO_DATA} <= known


def test_annotations_can_be_asked_for(driven: Driven) -> None:
    for document in DOCUMENTS.values():
        deploys, alerts = document["annotations"]["list"]
        assert driven.source.run({**deploys, "refId": "A"}, driven.span).series, "the first start is one"
        driven.source.run({**alerts, "refId": "A"}, driven.span)


def test_kibanas_saved_searches_find_what_was_driven(driven: Driven) -> None:
    lines = (REPOSITORY / "collector" / "kibana" / "ada.ndjson").read_text(encoding="utf-8").splitlines()
    objects = [json.loads(line) for line in lines]
    patterns = {each["id"]: each["attributes"]["title"] for each in objects if each["type"] != "search"}
    service = f'resource.attributes.service.name:"{driven.source.variables["service"]}"'
    counts = {}
    for each in objects:
        if each["type"] == "search":
            source = json.loads(each["attributes"]["kibanaSavedObjectMeta"]["searchSourceJSON"])
            # The app's slow page is quicker in tests.
            query = source["query"]["query"].replace("duration_seconds:>=2", "duration_seconds:>=0.2")
            words = urllib.parse.urlencode({"q": f"({query}) AND {service}"})
            index = patterns[each["references"][0]["id"]]
            counts[each["id"]] = get_json(f"{driven.source.elasticsearch}/{index}/_count?{words}")["count"]
    assert len(counts) >= 5
    assert {name for name, count in counts.items() if not count} == set()


def _value(results: list[Result]) -> float:
    (result,) = results
    (row,) = result.series
    return float(row["values"][-1][1])


def test_requests_errors_and_routes_are_those_that_were_driven(driven: Driven) -> None:
    seconds = driven.span.end - driven.span.start
    driven_all = driven.report["requests_total"]
    failed = sum(row["count"] for row in driven.report["requests"] if row["status"] >= 500)
    assert failed >= 5
    # rate() extrapolates to the ends of its window, by an export interval at most.
    assert _value(driven.panel("ada-system-overview", 10)) * seconds == pytest.approx(driven_all, rel=0.1)
    assert _value(driven.panel("ada-system-overview", 11)) == pytest.approx(failed / driven_all, rel=0.05)
    (routes,) = driven.panel("ada-application-performance", 14)
    shown = {
        row["metric"]["http_route"]: float(row["values"][-1][1]) * seconds
        for row in routes.series
        if row["metric"].get("http_request_method") == "GET" and "http_route" in row["metric"]
    }
    items = sum(row["count"] for row in driven.report["requests"] if row["route"] == "/items")
    assert shown["/items"] == pytest.approx(items, rel=0.1)


def test_slow_requests_and_error_groups_are_those_that_were_driven(driven: Driven) -> None:
    (slow,) = driven.panel("ada-application-performance", 54)
    paths = [hit["_source"]["attributes"].get("url.path") for hit in slow.hits]
    assert "/slow" in paths
    (groups,) = driven.panel("ada-error-analysis", 32)
    assert all(len(row["keys"]) == 2 and row["count"] > 0 for row in groups.hits)
    (lines,) = driven.panel("ada-error-analysis", 40)
    assert {hit["_source"]["severity_text"] for hit in lines.hits} <= {"ERROR", "FATAL", "CRITICAL"}
    trace = next(hit["_source"]["trace_id"] for hit in lines.hits if "trace_id" in hit["_source"])
    chosen = Source(
        driven.source.prometheus, driven.source.elasticsearch, {**driven.source.variables, "trace_id": trace}
    )
    (target,) = next(p for p in DOCUMENTS["ada-error-analysis"]["panels"] if p["id"] == 41)["targets"]
    assert {hit["_source"]["trace_id"] for hit in chosen.run(target, driven.span).hits} == {trace}
