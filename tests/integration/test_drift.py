"""The names of the drift gate against live servers: the scrape, and every selector of every rule."""

from __future__ import annotations

import time
import urllib.parse
from collections.abc import Mapping

import pytest

from tests.support.driven import Driven
from tools.demo.app import get_json
from tools.demo.arrivals import wait_for
from tools.drift import scrape
from tools.drift.expressions import parse, selectors
from tools.drift.known import merged, scraped
from tools.drift.sources import rules
from tools.paths import REPOSITORY

pytestmark = pytest.mark.integration

#: How selectors of rules begin that a healthy stack has no series for, and why.
NOT_SHOWN: Mapping[str, str] = {
    "redis_": "the collector's Redis receiver is an overlay",
    "otelcol_exporter_send_failed_": "counts from the first failure",
    "otelcol_exporter_enqueue_failed_": "counts from the first failure",
    "otelcol_processor_memory_limiter_refused_": "counts from the first refusal",
    "otelcol_processor_filter_datapoints_filtered_total": "counts from the first wrong clock",
    'otelcol_elasticsearch_docs_processed_total{outcome=~"failed_client|': "counts from the first refusal",
    'otel_sdk_processor_span_processed_total{error_type!=""}': "counts from the first loss",
    'otel_sdk_processor_log_processed_total{error_type!=""}': "counts from the first loss",
    'otel_sdk_exporter_span_exported_total{error_type!=""}': "counts from the first loss",
    'otel_sdk_exporter_log_exported_total{error_type!=""}': "counts from the first loss",
    "ada_alerts_total{": "the example app raises no alert of these severities",
    'service:ada_security_events:increase5m{ada_security_event="suspicious_input"}': "it sees none",
    "slo:sli_error:ratio_rate6h": "computed every 3 minutes, after this test; what it reads is there",
    "slo:sli_error:ratio_rate1d": "computed every 3 minutes",
    "slo:sli_error:ratio_rate3d": "computed every 3 minutes",
    "slo:sli_error:ratio_rate30d": "computed every 3 minutes",
    "slo:error_budget:ratio": "made of what is computed every 3 minutes",
    '{otel_metric_overflow="true"}': "no metric has that many attribute sets",
    "ada_probe_": "`ada-otel probe` is a process of its own",
    "db_client_connection_timeouts_total": "counts from the first time-out",
}


@pytest.fixture(scope="module")
def prometheus(driven: Driven) -> str:
    """A Prometheus with the example app's metrics, scrapes of the monitoring, and what rules made of both."""
    url = driven.source.prometheus
    scrape.wait_for_scrapes(url)
    wait_for(lambda: _missing(url), lambda missing: not missing, seconds=45)
    return url


def _series(prometheus: str, match: str) -> int:
    query = urllib.parse.urlencode({"match[]": match, "start": time.time() - 3600, "limit": 10})
    return len(get_json(f"{prometheus}/api/v1/series?{query}")["data"])


def _missing(prometheus: str) -> set[str]:
    return {
        text
        for rule in rules(REPOSITORY)
        for text in {one.text for one in selectors(parse(rule.expression.text))}
        if not text.startswith(tuple(NOT_SHOWN)) and not _series(prometheus, text)
    }


def test_every_selector_of_every_rule_returns_series(prometheus: str) -> None:
    assert _missing(prometheus) == set()


def test_what_is_excused_is_asked_for_by_a_rule() -> None:
    asked = {one.text for rule in rules(REPOSITORY) for one in selectors(parse(rule.expression.text))}
    assert [start for start in NOT_SHOWN if not any(text.startswith(start) for text in asked)] == []


def test_every_expression_is_answered(prometheus: str) -> None:
    """Prometheus itself reads each, with all it knows of types and functions."""
    for rule in rules(REPOSITORY):
        query = urllib.parse.urlencode({"query": rule.expression.text})
        assert get_json(f"{prometheus}/api/v1/query?{query}")["status"] == "success", rule


def test_the_scraped_names_are_those_of_a_live_scrape(prometheus: str) -> None:
    """All that rules, pages and dashboards may use of them is there, with the labels as written down."""
    live = merged(scrape.live(prometheus))
    gone = {name for name in scraped() if name not in live}
    assert gone == set()
    assert {name: labels - live[name] for name, labels in scraped().items() if labels - live[name]} == {}
