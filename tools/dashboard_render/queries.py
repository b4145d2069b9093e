"""Runs a dashboard's targets as Grafana would, against Prometheus and Elasticsearch."""

from __future__ import annotations

import re
import urllib.parse
from dataclasses import dataclass
from typing import Any

from tools.dashboard_render.rules import Rule, expand, recording_rules
from tools.demo.app import get_json


@dataclass(frozen=True)
class Span:
    """The time that is looked at.

    Attributes:
        start: Unix time.
        end: Unix time.
        step: Seconds between two points.
        interval: For ``$__rate_interval``, in seconds.
    """

    start: float
    end: float
    step: float
    interval: float


@dataclass
class Result:
    """What one target gave.

    Attributes:
        ref: The target's letter.
        legend: Its legend, as written.
        expr: What was asked for, with all variables replaced.
        series: Of Prometheus: ``metric`` and ``values`` (pairs of time and text).
        hits: Of Elasticsearch: documents, or buckets of a count.
    """

    ref: str
    legend: str
    expr: str
    series: list[dict[str, Any]]
    hits: list[dict[str, Any]]

    @property
    def empty(self) -> bool:
        """Whether Grafana would say "No data"."""
        return not self.series and not self.hits

    def names(self) -> list[str]:
        """The name of each series, from the legend."""
        return [_named(self.legend, row["metric"]) for row in self.series]


def _named(legend: str, labels: dict[str, str]) -> str:
    return re.sub(r"\{\{(\w+)\}\}", lambda found: labels.get(found[1], ""), legend).strip()


class Source:
    """Both back ends, and the values of the variables.

    Args:
        prometheus: Base URL.
        elasticsearch: Base URL.
        variables: Value by name of the variable; others have what ``All`` stands for.
        authorization: The header that Elasticsearch wants, if any.
        rules: Recording rules to write out; those of the collector by default.
    """

    def __init__(
        self,
        prometheus: str,
        elasticsearch: str,
        variables: dict[str, str],
        authorization: str = "",
        rules: dict[str, list[Rule]] | None = None,
    ) -> None:
        self.prometheus = prometheus
        self.elasticsearch = elasticsearch
        self.variables = {"instance": ".+", "environment": ".*", "host": ".*", "trace_id": "*", **variables}
        self.authorization = authorization
        self.rules = recording_rules() if rules is None else rules

    def replaced(self, text: str, span: Span) -> str:
        """The text with Grafana's variables replaced."""
        text = text.replace("$__rate_interval", f"{span.interval:.0f}s")
        text = text.replace("$__range", f"{span.end - span.start:.0f}s")
        for name, value in self.variables.items():
            text = text.replace(f"${{{name}:regex}}", value).replace(f"${name}", value)
        return text

    def promql(self, text: str, span: Span) -> str:
        """What Prometheus is asked for."""
        return expand(self.replaced(text, span), self.rules)

    def run(self, target: dict[str, Any], span: Span) -> Result:
        """Run one target of a panel."""
        if "expr" not in target:
            return self._search(target, span)
        expr = self.promql(target["expr"], span)
        legend = target.get("legendFormat", "")
        if target.get("instant"):
            rows = self._get("query", query=expr, time=span.end)
            rows = [{"metric": row["metric"], "values": [row["value"]]} for row in rows]
        else:
            rows = self._get("query_range", query=expr, start=span.start, end=span.end, step=span.step)
        return Result(target["refId"], legend, expr, rows, [])

    def _get(self, path: str, **arguments: Any) -> list[dict[str, Any]]:
        url = f"{self.prometheus}/api/v1/{path}?{urllib.parse.urlencode(arguments)}"
        found: list[dict[str, Any]] = get_json(url)["data"]["result"]
        return found

    def _search(self, target: dict[str, Any], span: Span) -> Result:
        query = self.replaced(target["query"], span)
        between = {"range": {"@timestamp": {"gte": int(span.start * 1000), "lte": int(span.end * 1000)}}}
        body: dict[str, Any] = {
            "size": 0 if target["bucketAggs"] else 50,
            "sort": [{"@timestamp": "desc"}],
            "query": {"bool": {"filter": [between, {"query_string": {"query": query}}]}},
        }
        inner = body
        for bucket in target["bucketAggs"]:
            inner["aggs"] = {bucket["id"]: {"terms": {"field": bucket["field"], "size": 20}}}
            inner = inner["aggs"][bucket["id"]]
        answer = get_json(f"{self.elasticsearch}/ada-logs-*/_search", body, authorization=self.authorization)
        ids = [bucket["id"] for bucket in target["bucketAggs"]]
        hits = _buckets(answer["aggregations"], ids) if ids else answer["hits"]["hits"]
        return Result(target["refId"], "", query, [], hits)


def _buckets(found: dict[str, Any], ids: list[str]) -> list[dict[str, Any]]:
    """One row for each combination of terms, the most frequent first."""
    rows: list[dict[str, Any]] = []
    for bucket in found[ids[0]]["buckets"]:
        if len(ids) == 1:
            rows.append({"keys": [bucket["key"]], "count": bucket["doc_count"]})
            continue
        inner = _buckets(bucket, ids[1:])
        rows.extend({"keys": [bucket["key"], *row["keys"]], "count": row["count"]} for row in inner)
    return sorted(rows, key=lambda row: -int(row["count"]))
