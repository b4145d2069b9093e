"""What arrived in each back end, asked over its own API."""

from __future__ import annotations

import time
import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from tools.demo.app import get_json

T = TypeVar("T")

#: Routes of requests that Flask could not match have no http.route.
UNMATCHED = "(unmatched)"


@dataclass
class BackEnds:
    """Addresses of the back ends of one stack.

    Attributes:
        prometheus: Base URL of Prometheus.
        elasticsearch: Base URL of Elasticsearch.
        sentry_sink: Base URL of the stand-in for Sentry's OTLP endpoints.
        service: The service name that is asked for.
        authorization: The header that Elasticsearch wants, if any.
    """

    prometheus: str
    elasticsearch: str
    sentry_sink: str
    service: str = "ada"
    authorization: str = ""

    def query(self, promql: str) -> list[dict[str, Any]]:
        """The result of an instant query: a list of ``metric`` and ``value``."""
        url = f"{self.prometheus}/api/v1/query?" + urllib.parse.urlencode({"query": promql})
        found: list[dict[str, Any]] = get_json(url)["data"]["result"]
        return found

    def exemplars(self, promql: str) -> list[dict[str, Any]]:
        """The exemplars of a series over the last hour, labels and all."""
        now = time.time()
        arguments = urllib.parse.urlencode({"query": promql, "start": now - 3600, "end": now})
        answer = get_json(f"{self.prometheus}/api/v1/query_exemplars?{arguments}")
        return [exemplar for series in answer["data"] for exemplar in series["exemplars"]]

    def request_counts(self) -> dict[tuple[str, str, int], int]:
        """Requests by method, route and status, as Prometheus has them; also of an app that has stopped."""
        promql = (
            "sum by (http_request_method, http_route, http_response_status_code) "
            f'(last_over_time(http_server_request_duration_seconds_count{{service_name="{self.service}"}}[1h]))'
        )
        counts: dict[tuple[str, str, int], int] = {}
        for row in self.query(promql):
            labels = row["metric"]
            key = (
                labels["http_request_method"],
                labels.get("http_route", UNMATCHED),
                int(labels.get("http_response_status_code", 0)),
            )
            counts[key] = round(float(row["value"][1]))
        return counts

    def search(self, index: str, *conditions: dict[str, Any], size: int = 100) -> list[dict[str, Any]]:
        """The sources of the documents of an index pattern that meet all conditions, oldest first."""
        body = {
            "size": size,
            "query": {"bool": {"filter": [self._of_service(), *conditions]}},
            "sort": [{"@timestamp": "asc"}],
        }
        hits = self._elasticsearch(f"{index}/_search", body)["hits"]["hits"]
        return [hit["_source"] for hit in hits]

    def count(self, index: str, *conditions: dict[str, Any]) -> int:
        """How many documents of an index pattern meet all conditions."""
        body = {"query": {"bool": {"filter": [self._of_service(), *conditions]}}}
        return int(self._elasticsearch(f"{index}/_count", body)["count"])

    def sentry(self) -> dict[str, Any]:
        """What the stand-in for Sentry took: counts, spans, logs, requests."""
        found: dict[str, Any] = get_json(f"{self.sentry_sink}/received")
        return found

    def _elasticsearch(self, path: str, body: dict[str, Any]) -> Any:
        url = f"{self.elasticsearch}/{path}?ignore_unavailable=true"
        return get_json(url, body, authorization=self.authorization)

    def _of_service(self) -> dict[str, Any]:
        return {"term": {"resource.attributes.service.name": self.service}}


def wait_for(look: Callable[[], T], good: Callable[[T], bool], seconds: float = 60.0) -> T:
    """Look again and again until what is found is good, or the time is up; give what was found last.

    Errors while looking count as not found yet; the last one is raised if nothing else was ever found.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            found = look()
            if good(found) or time.monotonic() > deadline:
                return found
        except (OSError, KeyError):
            if time.monotonic() > deadline:
                raise
        time.sleep(0.5)
