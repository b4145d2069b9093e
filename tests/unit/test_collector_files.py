"""What must hold in collector/ whatever else changes there: read from the files, no process is started."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
COLLECTOR = ROOT / "collector"
OVERLAYS = tuple(sorted(path.name for path in COLLECTOR.glob("otelcol.*.yaml")))
CONFIGS = ("otelcol.yaml", *OVERLAYS)

# The only lists of the base that an overlay replaces.
REPLACED = {
    "otelcol.secure.yaml": {("service", "extensions")},
    "otelcol.load_balancing.yaml": {("service", "pipelines", "traces/sample", "exporters")},
}
VARIABLE = re.compile(r"\$\{env:(?P<name>\w+)(?::-(?P<default>[^}]*))?\}")

# Component types that log a deprecation in 0.161.0, or lose data; the value says what to use.
AVOID = {
    "batch": "sending_queue.batch",
    "logging": "debug",
    "otlp/exporter": "otlp_grpc",
    "otlphttp": "otlp_http",
    "spanmetrics": "span_metrics",
    "servicegraph": "service_graph",
    "prometheusremotewrite": "prometheus_remote_write",
    "hostmetrics": "host_metrics",
    "resourcedetection": "resource_detection",
}


def _load(name: str) -> dict[str, Any]:
    loaded = yaml.safe_load((COLLECTOR / name).read_text(encoding="utf-8"))
    assert isinstance(loaded, dict)
    return loaded


def _type(component: str) -> str:
    return component.split("/", 1)[0]


def _lists(tree: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for key, value in tree.items():
        if isinstance(value, list):
            yield (*path, key)
        elif isinstance(value, dict):
            yield from _lists(value, (*path, key))


@pytest.mark.parametrize("name", CONFIGS)
def test_no_component_has_an_old_name_or_drops_data(name: str) -> None:
    config = _load(name)
    used = [
        f"{_type(component)}/exporter"
        if kind == "exporters" and _type(component) == "otlp"
        else _type(component)
        for kind in ("receivers", "processors", "connectors", "exporters", "extensions")
        for component in config.get(kind, {})
    ]
    assert used
    assert {component: AVOID[component] for component in used if component in AVOID} == {}


def test_the_memory_limiter_is_first_wherever_data_comes_from_the_network() -> None:
    pipelines = _load("otelcol.yaml")["service"]["pipelines"]
    from_network = {
        name: pipeline.get("processors", [])
        for name, pipeline in pipelines.items()
        if any(_type(receiver) == "otlp" for receiver in pipeline["receivers"])
    }
    assert set(from_network) == {"traces/in", "traces/store", "logs/in", "logs/store", "metrics/in"}
    assert {name: processors[:1] for name, processors in from_network.items()} == {
        name: ["memory_limiter"] for name in from_network
    }


def test_every_leg_queues_on_disk_and_never_gives_up() -> None:
    legs = {**_load("otelcol.yaml")["exporters"], **_load("otelcol.sentry.yaml")["exporters"]}
    queued = {name: leg for name, leg in legs.items() if _type(name) != "elasticsearch"}
    assert set(queued) == {"otlp_grpc/elasticsearch", "otlp_http/prometheus", "otlp_http/sentry"}
    for name, leg in queued.items():
        assert leg["sending_queue"]["storage"] == "file_storage/queue", name
        assert leg["sending_queue"]["enabled"] is True, name
        assert leg["retry_on_failure"]["max_elapsed_time"] == "0s", name


def test_the_elasticsearch_exporter_holds_no_queue_and_is_reached_only_over_the_hop() -> None:
    config = _load("otelcol.yaml")
    for name, exporter in config["exporters"].items():
        if _type(name) == "elasticsearch":
            assert exporter["sending_queue"] == {"enabled": False}, name
            # An expired key or a restart must come back as an error that the hop repeats.
            assert {401, 403, 429, 502, 503, 504} <= set(exporter["retry"]["retry_on_status"]), name
    feeding = [
        pipeline["receivers"]
        for pipeline in config["service"]["pipelines"].values()
        if any(_type(exporter) == "elasticsearch" for exporter in pipeline["exporters"])
    ]
    assert feeding == [["otlp/elasticsearch"], ["otlp/elasticsearch"]]
    hop = config["exporters"]["otlp_grpc/elasticsearch"]["endpoint"]
    assert hop == config["receivers"]["otlp/elasticsearch"]["protocols"]["grpc"]["endpoint"]


def test_span_events_do_not_go_among_the_log_lines() -> None:
    exporters = _load("otelcol.yaml")["exporters"]
    assert (
        exporters["elasticsearch/traces"]["logs_index"] == exporters["elasticsearch/traces"]["traces_index"]
    )


@pytest.mark.parametrize("name", OVERLAYS)
def test_an_overlay_replaces_no_list_of_the_base(name: str) -> None:
    base, overlay = _load("otelcol.yaml"), _load(name)
    assert set(_lists(overlay)) & set(_lists(base)) == REPLACED.get(name, set())


def test_the_secure_overlay_keeps_the_extensions_of_the_base() -> None:
    base, overlay = _load("otelcol.yaml"), _load("otelcol.secure.yaml")
    extensions = base["service"]["extensions"]
    assert overlay["service"]["extensions"][: len(extensions)] == extensions


def test_without_its_overlay_nothing_goes_to_sentry() -> None:
    assert "sentry" not in json.dumps(_load("otelcol.yaml")).lower()


def test_both_tail_samplers_have_the_same_policies() -> None:
    single = _load("otelcol.tail_sampling.yaml")["processors"]["tail_sampling"]
    assert _load("otelcol.load_balancing.yaml")["processors"]["tail_sampling/tier"] == single


def test_every_overlay_is_in_the_readme() -> None:
    text = (COLLECTOR / "README.md").read_text("utf-8")
    rows = re.findall(r"^\| `(otelcol\.\w+\.yaml)` \|", text, re.MULTILINE)
    assert sorted(rows) == list(OVERLAYS)


def test_every_variable_is_in_the_readme_with_its_default() -> None:
    used: dict[str, set[str]] = {}
    for name in CONFIGS:
        for match in VARIABLE.finditer((COLLECTOR / name).read_text(encoding="utf-8")):
            used.setdefault(match["name"], set()).add(match["default"] or "")
    rows = re.findall(
        r"^\| `(ADA_\w+)` \| (?:`([^`]*)`)? ?\|", (COLLECTOR / "README.md").read_text("utf-8"), re.MULTILINE
    )
    assert {name: {default} for name, default in rows} == used


@pytest.mark.parametrize(
    ("kind", "exporter"), [("logs", "elasticsearch/logs"), ("traces", "elasticsearch/traces")]
)
def test_the_index_template_fits_what_the_collector_writes(kind: str, exporter: str) -> None:
    index = _load("otelcol.yaml")["exporters"][exporter][f"{kind}_index"]
    template = json.loads((COLLECTOR / "elasticsearch" / f"ada-{kind}.json").read_text(encoding="utf-8"))
    assert template["data_stream"] == {}
    assert [pattern for pattern in template["index_patterns"] if fnmatch(index, pattern)]
    assert template["template"]["lifecycle"]["data_retention"] == "30d"
    properties = template["template"]["mappings"]["properties"]
    aliases = {name: field["path"] for name, field in properties.items() if field.get("type") == "alias"}
    for name, path in aliases.items():
        field: dict[str, Any] = {"properties": properties}
        for part in path.split("."):
            field = field["properties"][part]
        assert field["type"] in {"date", "keyword", "text"}, name
    assert aliases["timestamp"] == "@timestamp"
    if kind == "logs":
        assert (aliases["level"], aliases["message"]) == ("severity_text", "body.text")


ALERT_CLASSES = {"infrastructure", "application", "business", "security", "telemetry"}


def test_every_alert_has_what_the_person_on_call_needs() -> None:
    alerts = [
        rule
        for path in sorted((COLLECTOR / "prometheus" / "rules").glob("*.yml"))
        for group in yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]
        for rule in group["rules"]
        if "alert" in rule
    ]
    assert {"Watchdog", "OtelCollectorDown"} <= {rule["alert"] for rule in alerts}
    for rule in alerts:
        name = rule["alert"]
        assert rule["labels"]["severity"] in {"critical", "warning", "info", "none"}, name
        assert rule["annotations"]["summary"], name
        assert rule["annotations"]["description"], name
        assert rule["labels"]["class"] in ALERT_CLASSES, name
        assert re.match(r"/d/ada-[a-z-]+(\?|$)", rule["annotations"]["dashboard"]), name
        runbook = rule["annotations"]["runbook"]
        assert (ROOT / runbook).read_text(encoding="utf-8").startswith(f"# {name}\n"), name


def test_every_rule_file_has_a_test_file() -> None:
    rules = {path.stem for path in (COLLECTOR / "prometheus" / "rules").glob("*.yml")}
    tests = {path.stem.removesuffix("_test") for path in (COLLECTOR / "prometheus" / "tests").glob("*.yml")}
    # Of several rule files, or at another pace than a look a minute.
    assert tests - rules == {"application_week", "durations"}
    assert rules <= tests


def test_every_alert_is_tested_by_name() -> None:
    tests = "".join(path.read_text("utf-8") for path in (COLLECTOR / "prometheus" / "tests").glob("*.yml"))
    for path in (COLLECTOR / "prometheus" / "rules").glob("*.yml"):
        for name in re.findall(r"- alert: (\w+)", path.read_text("utf-8")):
            assert f'alertname="{name}"' in tests or f"alertname: {name}" in tests, name
