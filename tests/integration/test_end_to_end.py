"""The whole path, on real servers: ADA under the launcher → collector → Prometheus, Elasticsearch, Sentry.

Sentry's OTLP endpoints are played by a sink of our own, since Bugsink takes no OTLP; all else is real.
"""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tools.demo.app import get_json, running_app
from tools.demo.arrivals import UNMATCHED, BackEnds, wait_for
from tools.stack import Stack

pytestmark = pytest.mark.integration

EXPORT_INTERVAL = {"OTEL_METRIC_EXPORT_INTERVAL": "2000"}


@dataclass
class Run:
    """One run of the app: what was driven, and where to look for it."""

    back_ends: BackEnds
    report: dict[str, Any]
    log: str

    def sent(self) -> dict[tuple[str, str, int], int]:
        return {(row["method"], row["route"], row["status"]): row["count"] for row in self.report["requests"]}

    def spans(self) -> list[dict[str, Any]]:
        return self.back_ends.search("ada-traces-*", {"exists": {"field": "name"}}, size=2000)


@pytest.fixture(scope="module", params=["true", "false"], ids=["fast", "stock"])
def run(request: pytest.FixtureRequest, stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Run:
    service = f"ada-{request.param}-{time.time_ns()}"
    environment = {
        **stack.env(),
        **EXPORT_INTERVAL,
        "ADA_OTEL_FAST_PATH": request.param,
        "APP_VERSION": "7.3.1",
        "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=test",
    }
    with running_app(tmp_path_factory.mktemp("ada"), environment, service=service) as app:
        report = app.drive("--plan", "once")
    assert report["unexpected"] == []
    assert report["errors"] == []
    back_ends = BackEnds(
        stack.url("prometheus"), stack.url("elasticsearch"), stack.url("sentry_sink"), service
    )
    return Run(back_ends, report, app.log.read_text())


def test_prometheus_has_every_request_once(run: Run) -> None:
    counts = wait_for(run.back_ends.request_counts, lambda found: found == run.sent())
    assert counts == run.sent()
    assert sum(counts.values()) == run.report["requests_total"]


def test_prometheus_series_have_units_and_resource_labels(run: Run) -> None:
    wait_for(run.back_ends.request_counts, lambda found: found == run.sent())
    (series,) = run.back_ends.query(
        "http_server_request_duration_seconds_count{"
        f'service_name="{run.back_ends.service}",http_route="/items/<int:item_id>",'
        'http_response_status_code="200"}'
    )
    labels = series["metric"]
    assert labels["service_version"] == "7.3.1"
    assert labels["deployment_environment_name"] == "test"
    assert labels["http_request_method"] == "GET"
    assert labels["url_scheme"] == "http"
    assert labels["service_instance_id"]
    assert float(series["value"][1]) == run.sent()["GET", "/items/<int:item_id>", 200]


def test_no_raw_path_is_a_label(run: Run) -> None:
    counts = wait_for(run.back_ends.request_counts, bool)
    assert ("GET", UNMATCHED, 404) in counts
    assert not [route for _, route, _ in counts if "/missing" in route or "99" in route]


def test_log_documents_have_message_level_logger_trace_and_service(run: Run) -> None:
    found = wait_for(
        lambda: run.back_ends.search("ada-logs-*", {"match_phrase": {"body.text": "signed out"}}), bool
    )
    assert len(found) == 1
    document = found[0]
    assert document["body"]["text"] == "signed out"
    assert document["severity_text"] == "INFO"
    assert document["scope"]["name"] == "examples.ada.auth"
    assert re.fullmatch("[0-9a-f]{32}", document["trace_id"])
    resource = document["resource"]["attributes"]
    assert resource["service.name"] == run.back_ends.service
    assert resource["service.version"] == "7.3.1"
    assert document["attributes"]["code.function.name"] == "sign_out"
    assert document["attributes"]["user_id"] == 1


def test_no_log_line_arrives_twice(run: Run) -> None:
    documents = wait_for(
        lambda: run.back_ends.search("ada-logs-*", size=1000), lambda found: len(found) >= 30
    )
    seen = Counter((entry["@timestamp"], entry["body"]["text"], entry.get("span_id")) for entry in documents)
    assert [key for key, count in seen.items() if count > 1] == []


def test_an_exception_is_logged_with_type_message_and_stack(run: Run) -> None:
    def look() -> list[dict[str, Any]]:
        return run.back_ends.search(
            "ada-logs-*",
            {"exists": {"field": "attributes.exception.type"}},
            {"term": {"severity_text": "ERROR"}},
        )

    def chained(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
        traces = [entry["attributes"]["exception.stacktrace"] for entry in found]
        return [entry for entry, trace in zip(found, traces, strict=True) if "direct cause" in trace]

    documents = chained(wait_for(look, lambda found: bool(chained(found))))
    assert documents
    attributes = documents[0]["attributes"]
    assert attributes["exception.message"] in attributes["exception.stacktrace"]
    assert attributes["exception.type"].rsplit(".", 1)[-1] in attributes["exception.stacktrace"]


def test_the_trace_has_its_flask_sql_and_redis_spans(run: Run) -> None:
    def look() -> list[list[dict[str, Any]]]:
        traces: dict[str, list[dict[str, Any]]] = {}
        for span in run.spans():
            traces.setdefault(span["trace_id"], []).append(span)
        # The first look-up misses the cache and asks the database; the others hit.
        return [
            spans
            for spans in traces.values()
            if {"GET /items", "SELECT ada"} <= {span["name"] for span in spans}
            and any(span["attributes"].get("http.response.status_code") == 200 for span in spans)
        ]

    # A trace may come in two batches, which the collector sends side by side.
    (missed,) = wait_for(look, lambda found: len(found) == 1 and len(found[0]) >= 4)
    scopes = {span["scope"]["name"].rsplit(".", 1)[-1] for span in missed}
    assert scopes == {"flask", "sqlalchemy", "redis"}
    server = next(span for span in missed if span["kind"] == "Server")
    children = [span for span in missed if span is not server]
    assert {span["parent_span_id"] for span in children} == {server["span_id"]}
    sql = next(span for span in children if span["attributes"].get("db.query.text", "").startswith("SELECT"))
    assert sql["attributes"]["db.system.name"] == "postgresql"
    assert sql["name"] == "SELECT ada"
    redis = {span["name"] for span in children if span["scope"]["name"].endswith("redis")}
    assert {"GET", "SET"} <= redis or {"GET", "SETEX"} <= redis


def test_one_trace_id_joins_log_trace_and_exemplar(run: Run) -> None:
    promql = f'http_server_request_duration_seconds_bucket{{service_name="{run.back_ends.service}"}}'
    exemplars = wait_for(lambda: run.back_ends.exemplars(promql), bool)
    metric_traces = {exemplar["labels"]["trace_id"] for exemplar in exemplars}
    span_traces = wait_for(
        lambda: {span["trace_id"] for span in run.spans()}, lambda found: metric_traces <= found
    )
    assert metric_traces <= span_traces
    log_traces = {
        entry["trace_id"] for entry in run.back_ends.search("ada-logs-*", size=1000) if entry.get("trace_id")
    }
    assert log_traces & metric_traces & span_traces


def test_sentry_gets_traces_and_logs_on_its_path_with_its_header(run: Run) -> None:
    def of_this_run(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [e for e in entries if e["resource"].get("service.name") == run.back_ends.service]

    found = wait_for(
        run.back_ends.sentry,
        lambda got: len(of_this_run(got["spans"])) >= 51 and len(of_this_run(got["logs"])) >= 30,
    )
    assert found["counts"]["refused"] == 0, found["refused"]
    paths = {request["path"].rstrip("/") for request in found["requests"]}
    assert {path.rsplit("/", 1)[1] for path in paths} == {"traces", "logs"}
    assert all(re.fullmatch(r"/api/\d+/integration/otlp/v1/(traces|logs)", path) for path in paths)
    assert all(re.fullmatch(r"sentry sentry_key=\w+", request["auth"]) for request in found["requests"])
    elastic = {span["span_id"] for span in run.spans()}
    assert elastic == {span["span_id"] for span in of_this_run(found["spans"])}


def test_nothing_was_said_about_telemetry_trouble(run: Run) -> None:
    # Tracebacks of the app name our wrappers among their frames; lines of our own loggers would be trouble.
    ours = re.compile(r"\[(ada_otel|opentelemetry)[\w.]*\]|with less telemetry|Telemetry was dropped")
    assert [line for line in run.log.splitlines() if ours.search(line)] == []


def test_span_metrics_agree_with_what_was_driven(run: Run, stack: Stack) -> None:
    promql = (
        "sum(traces_span_metrics_calls_total{"
        f'service_name="{run.back_ends.service}",span_kind="SPAN_KIND_SERVER",'
        'http_request_method!="",http_route!~".*socket.io.*"})'
    )
    counted = wait_for(
        lambda: [float(row["value"][1]) for row in run.back_ends.query(promql)],
        lambda found: found == [run.report["requests_total"]],
    )
    assert counted == [run.report["requests_total"]]


def test_the_collector_lost_and_refused_nothing(run: Run, stack: Stack) -> None:
    import urllib.request

    url = f"http://127.0.0.1:{stack.ports['otelcol_metrics']}/metrics"
    with urllib.request.urlopen(url, timeout=10) as answer:
        text = answer.read().decode()
    bad = [
        line
        for line in text.splitlines()
        if re.match(r"otelcol_(exporter_(send|enqueue)_failed|receiver_refused|processor_.*refused)", line)
        and not line.endswith(" 0")
    ]
    assert bad == []


def test_the_old_metric_names_are_recorded(run: Run) -> None:
    """Recording rules give the names of the old monitoring code; rules are evaluated every 15 s at most."""

    def look() -> dict[tuple[str, str, int], int]:
        found = run.back_ends.query(
            f'last_over_time(ada_requests_total{{job="{run.back_ends.service}"}}[30m])'
        )
        return {
            (
                row["metric"]["method"],
                row["metric"].get("endpoint", UNMATCHED),
                int(row["metric"]["status"]),
            ): round(float(row["value"][1]))
            for row in found
        }

    # The first evaluation after the app began may have seen a part of it.
    counts = wait_for(look, lambda found: found == run.sent(), 60)
    assert counts == run.sent()


def test_demo_report_format() -> None:
    from tools.demo.table import Row, render

    rows = [
        Row("logs", "X", "lines", 3, None, True, "not started"),
        Row("logs", "Y", "lines", 3, 3, True, "curl"),
    ]
    assert [row.arrived for row in rows] == [False, True]
    assert "NO  logs" in render(rows)
    assert json.dumps([row.as_dict() for row in rows])


def test_the_stack_answers_its_versions(stack: Stack) -> None:
    assert get_json(f"{stack.url('elasticsearch')}/")["version"]["number"] == "9.5.3"
    assert get_json(f"{stack.url('prometheus')}/api/v1/status/buildinfo")["status"] == "success"
    assert Path(stack.log("otelcol")).exists()
