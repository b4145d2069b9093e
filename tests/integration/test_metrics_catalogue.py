"""The catalogue against what really arrives: the example app, the real collector, the real Prometheus."""

from __future__ import annotations

import time
import urllib.parse
from collections import defaultdict
from dataclasses import dataclass

import pytest

from ada_otel import catalogue
from ada_otel.catalogue import METRICS, Metric
from ada_otel.catalogue._common import FAST_PATH
from tools.demo.app import get_json, running_app
from tools.demo.arrivals import wait_for
from tools.stack import Stack

pytestmark = pytest.mark.integration

#: Labels that are none of a metric's own: those of Prometheus, and of the resource (prometheus.yml).
_OF_THE_RESOURCE = frozenset(
    {
        "__name__", "le", "job", "instance",
        "service_name", "service_namespace", "service_instance_id", "service_version",
        "deployment_environment_name", "host_name",
    }
)  # fmt: skip
#: What the collector and Prometheus make themselves.
_MADE_LATER = ("target_info", "traces_span_metrics_", "ALERTS")
#: Until all has been collected and stored; what is never emitted costs this long once.
_SECONDS = 60.0


@dataclass
class Arrived:
    """The labels with which each series arrived, by its name."""

    series: dict[str, list[dict[str, str]]]

    def of(self, row: Metric) -> list[dict[str, str]]:
        """All label sets of a metric."""
        return [labels for name in catalogue.prometheus_series(row) for labels in self.series.get(name, ())]

    def reachable(self) -> set[str]:
        """The network dependencies that are known by now: each is found when the app uses it."""
        return {labels["ada_dependency_name"] for labels in self.series.get("ada_dependency_reachable", ())}


def _always(row: Metric) -> bool:
    return row.on_request in {"", FAST_PATH}


def _look(stack: Stack, service: str) -> Arrived:
    found: dict[str, list[dict[str, str]]] = defaultdict(list)
    match = urllib.parse.urlencode({"match[]": f'{{service_name="{service}"}}', "start": time.time() - 3600})
    for labels in get_json(f"{stack.url('prometheus')}/api/v1/series?{match}")["data"]:
        name = labels["__name__"]
        if not name.startswith(_MADE_LATER) and ":" not in name:
            found[name].append(labels)
    return Arrived(dict(found))


@pytest.fixture(scope="module")
def arrived(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Arrived:
    service = f"ada-catalogue-{time.time_ns()}"
    environment = {
        **stack.env(),
        "OTEL_METRIC_EXPORT_INTERVAL": "2000",
        "APP_VERSION": "7.3.1",
        "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=test",
    }
    with running_app(tmp_path_factory.mktemp("ada"), environment, service=service) as app:
        app.drive("--plan", "once")
        return wait_for(
            lambda: _look(stack, service),
            lambda found: (
                all(found.of(row) for row in METRICS if _always(row)) and "redis" in found.reachable()
            ),
            seconds=_SECONDS,
        )


def test_nothing_arrives_that_is_not_listed(arrived: Arrived) -> None:
    listed = {name for row in METRICS for name in catalogue.prometheus_series(row)}
    assert set(arrived.series) - listed == set()


def test_all_that_is_listed_arrives(arrived: Arrived) -> None:
    missing = {f"{row.group}: {row.name}" for row in METRICS if _always(row) and not arrived.of(row)}
    assert missing == set(), "listed, but nothing emitted it under the example app's load"


def test_labels_are_the_listed_ones(arrived: Arrived) -> None:
    wrong: dict[str, set[str]] = {}
    for row in METRICS:
        allowed = {catalogue.prometheus_label(attribute.name) for attribute in row.attributes}
        needed = {catalogue.prometheus_label(a.name) for a in row.attributes if not a.optional}
        for labels in arrived.of(row):
            own = set(labels) - _OF_THE_RESOURCE
            if own != {"otel_metric_overflow"} and (own - allowed or needed - own):
                wrong.setdefault(row.name, set()).update(
                    own - allowed, {f"no {name}" for name in needed - own}
                )
    assert wrong == {}


def test_optional_labels_are_seen_somewhere(arrived: Arrived) -> None:
    listed = {catalogue.prometheus_label(a.name) for row in METRICS if _always(row) for a in row.attributes}
    seen = {label for row in METRICS for labels in arrived.of(row) for label in labels}
    assert listed - seen == set()


def test_values_are_among_the_listed_ones(arrived: Arrived) -> None:
    strange = {
        (row.name, attribute.name, labels[label])
        for row in METRICS
        for attribute in row.attributes
        for labels in arrived.of(row)
        if (label := catalogue.prometheus_label(attribute.name)) in labels
        and attribute.values
        and labels[label] not in attribute.values
    }
    assert strange == set()


def test_host_metrics_come_from_one_worker(arrived: Arrived) -> None:
    instances = {labels["service_instance_id"] for labels in arrived.series["system_memory_limit_bytes"]}
    assert len(instances) == 1
    assert "redis" in arrived.reachable()
