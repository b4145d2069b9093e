"""The drift gate: silent on what is there, and loud, with the places, when a name is changed."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from ada_otel.catalogue import METRICS, Attribute, Metric
from tools.drift import __main__ as command
from tools.drift.check import Problem, check
from tools.drift.documents import fields_of, sent_attributes
from tools.drift.expressions import parse, result_labels, selectors
from tools.drift.sources import Sources, is_promql, read
from tools.paths import REPOSITORY


def _without(attribute: str, new: str) -> list[Metric]:
    """The catalogue with one attribute renamed wherever it is."""

    def renamed(one: Attribute) -> Attribute:
        return replace(one, name=new) if one.name == attribute else one

    return [replace(row, attributes=tuple(map(renamed, row.attributes))) for row in METRICS]


def _new(sources: Sources, metrics: list[Metric]) -> list[Problem]:
    """What is wrong with another catalogue, and is right with ours."""
    return sorted(set(check(sources, metrics).problems) - set(check(sources).problems))


def _places(problems: list[Problem]) -> set[str]:
    return {problem.path for problem in problems}


@pytest.fixture(scope="module")
def sources() -> Sources:
    """What this repository's files use."""
    return read(REPOSITORY)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of what the gate reads."""
    for folder in ("collector", "docs"):
        shutil.copytree(REPOSITORY / folder, tmp_path / folder, ignore=shutil.ignore_patterns("distribution"))
    shutil.copytree(REPOSITORY / "ada_otel/analysis", tmp_path / "ada_otel/analysis")
    (tmp_path / "examples" / "ada").mkdir(parents=True)
    for page in ("README.md", "examples/ada/README.md"):
        shutil.copy(REPOSITORY / page, tmp_path / page)
    return tmp_path


def test_every_name_in_this_repository_exists(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main([]) == 0, capsys.readouterr()


def test_renaming_an_attribute_names_the_places(sources: Sources) -> None:
    problems = _new(sources, _without("ada.security.event", "ada.security.kind"))
    assert {
        "collector/prometheus/rules/recording.yml",
        "collector/prometheus/rules/security.yml",
        "collector/prometheus/tests/security_test.yml",
    } <= _places(problems)
    assert {problem.name for problem in problems} == {"ada_security_event"}
    lines = (REPOSITORY / "collector/prometheus/rules/recording.yml").read_text("utf-8").splitlines()
    (place,) = (p for p in problems if p.path == "collector/prometheus/rules/recording.yml")
    assert "ada_security_event" in lines[place.line - 1]
    assert str(place).startswith(
        f"collector/prometheus/rules/recording.yml:{place.line}: no label ada_security_event"
    )
    assert "nearest: ada_security_kind" in str(place)


def test_renaming_a_metric_names_the_places(sources: Sources) -> None:
    rows = [replace(row, name="ada.file.uploads") if row.name == "ada.uploads" else row for row in METRICS]
    problems = _new(sources, rows)
    assert {
        "collector/prometheus/rules/recording.yml",
        "collector/prometheus/tests/business_test.yml",
        "collector/runbooks/UploadFailuresHigh.md",
    } <= _places(problems)
    assert "nearest: ada_file_uploads_total" in str(problems[0])


def test_a_metric_that_nothing_uses_is_named(sources: Sources) -> None:
    new = Metric("ada.new", "counter", "{thing}", "Things.", "business")
    assert check(sources, [*METRICS, new]).unused == ("ada.new",)


def test_a_dashboard_and_a_page_are_read(tree: Path) -> None:
    before = set(check(read(tree)).problems)
    (tree / "collector/grafana/dashboards/new.json").write_text(
        """{"panels": [{"datasource": {"type": "prometheus"}, "targets": [
  {"expr": "sum by (http_route) (rate(http_server_request_duration_seconds_count[$__rate_interval]))"},
  {"expr": "sum by (http_rout) (rate(http_server_requests_total{job=\\"$service\\"}[5m]))"}]}],
 "templating": {"list": [{"datasource": {"type": "prometheus"}, "query": {
  "query": "label_values(target_info, deployment_environment)"}}]}}"""
    )
    (tree / "docs/new.md").write_text(
        "# New\n\nAsk `ada_upload_total`, or\n\n    rate(ada_uploads_total[5m])\n"
    )
    new = sorted(set(check(read(tree)).problems) - before)
    assert [(problem.path, problem.line, problem.name) for problem in new] == [
        ("collector/grafana/dashboards/new.json", 3, "http_rout"),
        ("collector/grafana/dashboards/new.json", 3, "http_server_requests_total"),
        ("collector/grafana/dashboards/new.json", 5, "deployment_environment"),
        ("docs/new.md", 3, "ada_upload_total"),
    ]


def test_renaming_an_attribute_of_log_lines_names_the_panels(sources: Sources) -> None:
    renamed = sent_attributes() - {"duration_seconds"} | {"duration_second"}
    found = sorted(set(check(sources, attributes=renamed).problems) - set(check(sources).problems))
    assert [problem.path for problem in found] == [
        "collector/grafana/dashboards/ada-application-performance.json",
        "collector/kibana/ada.ndjson",
        "collector/kibana/ada.ndjson",
    ]
    problem = found[0]
    lines = (REPOSITORY / problem.path).read_text("utf-8").splitlines()
    assert "attributes.duration_seconds:>=" in lines[problem.line - 1]
    assert str(problem).endswith(
        "no attribute duration_seconds in what ada_otel sends; nearest: duration_second"
    )


@pytest.mark.parametrize(
    ("kind", "path", "field", "places"),
    [
        (
            "logs",
            ("attributes", "exception.type"),
            "attributes.exception.type",
            {"ada-error-analysis.json": 2, "ada.ndjson": 2},
        ),
        (
            "logs",
            ("severity_number",),
            "severity_number",
            {
                "ada-error-analysis.json": 1,
                "ada.ndjson": 1,
                "_fields.py": 1,
                "_documents.py": 1,
                "selection.py": 1,
            },
        ),
        (
            "logs",
            ("trace_id",),
            "trace_id",
            {
                "ada-error-analysis.json": 1,
                "ada.yml": 1,
                "ada.ndjson": 4,
                "_fields.py": 1,
                "_aggregations.py": 2,
                "_documents.py": 2,
                "selection.py": 1,
            },
        ),
        # What the log commands ask spans for.
        ("traces", ("duration",), "duration", {"_aggregations.py": 4, "_fields.py": 1, "ada.ndjson": 1}),
        # Of logs: the runbooks of what the app raises itself, and the alerts' texts.
        (
            "logs",
            ("event_name",),
            "event_name",
            {
                "AppRaisedAlertCritical.md": 1,
                "AppRaisedAlertHigh.md": 1,
                "AppRaisedAlertMedium.md": 1,
                "application.yml": 3,
                "_fields.py": 3,
                "_documents.py": 3,
            },
        ),
        # Of spans, whose events the runbooks of security ask for.
        (
            "traces",
            ("event_name",),
            "event_name",
            {
                "PermissionDenials.md": 1,
                "RateLimiting.md": 1,
                "SignInFailures.md": 1,
                "SuspiciousInput.md": 1,
            },
        ),
        ("traces", ("name",), "name", {"ada.yml": 1, "ada.ndjson": 1}),
    ],
)
def test_renaming_a_field_of_documents_names_the_places(
    tree: Path, kind: str, path: tuple[str, ...], field: str, places: dict[str, int]
) -> None:
    before = set(check(read(tree)).problems)
    file = tree / f"collector/elasticsearch/ada-{kind}.json"
    template = json.loads(file.read_text("utf-8"))
    inner = template["template"]["mappings"]["properties"]
    for part in path[:-1]:
        inner = inner[part]["properties"]
    inner["renamed"] = inner.pop(path[-1])
    file.write_text(json.dumps(template))
    found = set(check(read(tree)).problems) - before
    assert {problem.name for problem in found} == {field}
    assert Counter(Path(problem.path).name for problem in found) == places


def test_renaming_an_attribute_names_the_log_commands(sources: Sources) -> None:
    renamed = sent_attributes() - {"http.route", "request_id"} | {"http.path", "request.id"}
    found = set(check(sources, attributes=renamed).problems) - set(check(sources).problems)
    assert {problem.name for problem in found} >= {"attributes.http.route", "attributes.request_id"}
    for problem in found:
        if problem.path.startswith("ada_otel/analysis"):
            line = (REPOSITORY / problem.path).read_text("utf-8").splitlines()[problem.line - 1]
            assert f'"{problem.name}"' in line
    assert {Path(problem.path).name for problem in found if problem.path.startswith("ada_otel/analysis")} == {
        "_aggregations.py",
        "_fields.py",
    }


def test_a_text_that_loses_its_keyword_is_named(tree: Path) -> None:
    before = set(check(read(tree)).problems)
    file = tree / "collector/elasticsearch/ada-logs.json"
    template = json.loads(file.read_text("utf-8"))
    del template["template"]["mappings"]["properties"]["body"]["properties"]["text"]["fields"]
    file.write_text(json.dumps(template))
    found = set(check(read(tree)).problems) - before
    assert ("ada_otel/analysis/_fields.py", "body.text.keyword") in {(one.path, one.name) for one in found}


@pytest.mark.parametrize(
    ("command", "problem"),
    [
        ("search user_id:7 --since 1h", ""),
        ("search 'NOT (level:error OR _exists_:trace_id)' --since 1h  # as it was", ""),
        ("trends --by exception.type", ""),
        ("trends --by message", ""),
        ("trends --by exception.traceback", "it is text; take its .keyword"),
        ("search user_ids:7", "no attribute user_ids in what ada_otel sends; nearest: user_id"),
        (
            "search --index 'ada-traces-*' severity_text:x",
            "no field severity_text in the index template of ada-traces-app",
        ),
        ("search 'AND x'", "ada-otel does not take `ada-otel logs search 'AND x'`: query, column 1"),
        ("search --sinse 1h", "ada-otel does not take `ada-otel logs search --sinse 1h`: ada-otel: error"),
        ("serch x", "invalid choice: 'serch'"),
    ],
)
def test_commands_in_pages_and_alerts_are_read(tree: Path, command: str, problem: str) -> None:
    before = set(check(read(tree)).problems)
    page = tree / "collector/runbooks/New.md"
    page.write_text(f"# New\n\n- Look:\n\n      ada-otel logs {command}\n")
    rules = tree / "collector/prometheus/rules/application.yml"
    rules.write_text(
        rules.read_text("utf-8").replace(
            "ada-otel logs search --level\n            critical --since 15m",
            f"ada-otel logs {command.partition('#')[0].strip()}. And no more",
        )
    )
    found = sorted(set(check(read(tree)).problems) - before)
    places = ["collector/prometheus/rules/application.yml", "collector/runbooks/New.md"]
    assert [one.path for one in found] == (places if problem else [])
    assert all(problem in one.text for one in found)


def test_a_resource_attribute_that_is_no_label_is_named(tree: Path) -> None:
    before = set(check(read(tree)).problems)
    file = tree / "collector/prometheus/prometheus.yml"
    text = file.read_text("utf-8")
    file.write_text(text.replace("- deployment.environment.name", "- deployment.environment"))
    found = set(check(read(tree)).problems) - before
    assert {problem.name for problem in found} == {"resource.attributes.deployment.environment.name"}
    assert Counter(Path(problem.path).name for problem in found) == {
        "ada-application-performance.json": 1,
        "ada-error-analysis.json": 3,
    }


def test_counting_documents_by_text_is_named(tree: Path) -> None:
    before = set(check(read(tree)).problems)
    panels = tree / "collector/grafana/dashboards/ada-error-analysis.json"
    panels.write_text(panels.read_text("utf-8").replace('"field": "scope.name"', '"field": "body.text"'))
    (problem,) = set(check(read(tree)).problems) - before
    assert "take its .keyword" in str(problem)


@pytest.mark.parametrize(
    ("lucene", "fields"),
    [
        ("*:* AND NOT _exists_:a.b", ["a.b"]),
        ("a.b:/${service:regex}/ OR c:$d", ["a.b", "c"]),
        ('a:"b:c d" AND e-f:>=3 AND (g:[1 TO 2] OR h_i:x\\:y)', ["a", "e-f", "g", "h_i"]),
        ("@timestamp:>now-1d plain words", ["@timestamp"]),
    ],
)
def test_the_fields_of_a_lucene_query(lucene: str, fields: list[str]) -> None:
    assert fields_of(lucene) == fields


def test_templates_routes_and_inhibitions_are_read(tree: Path) -> None:
    before = set(check(read(tree)).problems)
    rules = tree / "collector/prometheus/rules/security.yml"
    rules.write_text(
        rules.read_text("utf-8").replace("Many sign-ins to {{ $labels.job }}", "{{ $labels.jop }}")
    )
    config = tree / "collector/alertmanager/alertmanager.yml"
    text = config.read_text("utf-8").replace('alertname = "HostDiskFull"', 'alertname = "HostDiscFull"')
    config.write_text(text.replace("equal: [host_name]", "equal: [hostname]"))
    new = set(check(read(tree)).problems) - before
    assert {problem.name for problem in new} == {"jop", "HostDiscFull", "hostname"}


@pytest.mark.parametrize(
    ("promql", "labels"),
    [
        ("sum by (a, x) (m)", {"x"}),
        ("sum by (a) (unknown)", {"a"}),
        ("sum without (x) (m)", {"y"}),
        ("histogram_quantile(0.9, sum by (le, x) (m))", {"x"}),
        ("2 * m > 3", {"x", "y"}),
        ("m and on (x) n", {"x", "y"}),
        ("m or n", {"x", "y", "z"}),
        ("m / on (x) n", {"x"}),
        ("m / on (x) group_left (z) n", {"x", "y", "z"}),
        ('label_replace(n, "dst", "$1", "z", "(.+)")', {"z", "dst"}),
        ('absent(n{q="1"})', {"q"}),
        ("max_over_time(rate(m[5m])[1h:1m])", {"x", "y"}),
        ("vector(1)", set()),
    ],
)
def test_the_labels_of_a_result(promql: str, labels: set[str]) -> None:
    known = {"m": frozenset({"x", "y"}), "n": frozenset({"z"})}
    assert result_labels(parse(promql), known.get) == frozenset(labels)


def test_selectors_are_found_wherever_they_are() -> None:
    found = selectors(parse('sum(rate(a{x="1"}[5m] offset 1h)) / on () b or topk(3, {__name__="c", y="2"})'))
    assert [(one.metric, one.labels) for one in found] == [("a", ("x",)), ("b", ()), ("c", ("y",))]


@pytest.mark.parametrize(
    ("text", "yes"),
    [
        ("ada_uploads_total", True),
        ("sum(otelcol_exporter_queue_size)", True),
        ("service:http_server_requests:rate5m", True),
        ("ada_otel", False),
        ("docker compose ps otelcol", False),
        ("GOMEMLIMIT", False),
        ("setup()", False),
        ("tests/drills", False),
    ],
)
def test_promql_in_prose_is_told_from_other_code(text: str, yes: bool) -> None:
    assert is_promql(text) is yes
