"""Span metrics have a limit of attribute sets, past which the total stays right."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.collector import Collector, eventually, get_json
from tests.support.otlp_sender import post, span, trace_id
from tests.support.servers import or_skip
from tools.builds.go import build
from tools.builds.targets import OTELCOL
from tools.stack import Stack

pytestmark = pytest.mark.integration

#: `aggregation_cardinality_limit` of otelcol.yaml.
LIMIT = 2000
ROUTES = 2100
BATCH = 300


def test_span_metrics_put_what_is_past_their_limit_into_one_series(tmp_path: Path, stack: Stack) -> None:
    program = or_skip(lambda: build(OTELCOL)) / "otelcol"
    service = f"routes-{trace_id()[:8]}"
    environment = {
        "ADA_ELASTICSEARCH_ENDPOINT": stack.url("elasticsearch"),
        "ADA_PROMETHEUS_OTLP_ENDPOINT": stack.url("prometheus") + "/api/v1/otlp",
    }
    series = f'traces_span_metrics_calls_total{{job="{service}"}}'

    def asked(query: str) -> float:
        found = get_json(f"{stack.url('prometheus')}/api/v1/query", query=query)["data"]["result"]
        return float(found[0]["value"][1]) if found else 0.0

    with Collector(program, tmp_path, environment) as collector:
        for first in range(0, ROUTES, BATCH):
            routes = [f"/route-{number}" for number in range(first, first + BATCH)]
            spans = [span(trace_id(), f"GET {route}", values={"http.route": route}) for route in routes]
            post(collector.http, "traces", spans, {"service.name": service})
        eventually("all spans are counted", lambda: asked(f"sum({series})") == ROUTES)
    assert asked(f"count({series})") == LIMIT + 1
    overflow = f'traces_span_metrics_calls_total{{job="{service}",otel_metric_overflow="true"}}'
    assert asked(f"sum({overflow})") == ROUTES - LIMIT
