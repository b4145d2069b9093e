"""What the dashboard asks Prometheus."""

from __future__ import annotations

import json
import math
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

from ada_otel.analysis.errors import AnalysisError, ConnectionFailedError
from ada_otel.analysis.model import ResponseTime

__all__ = ["Prometheus"]

_DURATION = "http_server_request_duration_seconds"
#: Each figure with the queries that give it; the first that has an answer wins. ``{s}`` selects the series of
#: apps: those that Prometheus scrapes of the monitoring itself have no service name.
_NOW = {
    "cpu_percent": (
        "100 * sum(rate(process_cpu_time_seconds_total{{{s}}}[2m]))",
        "100 * sum(process_cpu_utilization_ratio{{{s}}})",
        "100 * sum(process_cpu_utilization{{{s}}})",
    ),
    "memory_bytes": ("sum(process_memory_usage_bytes{{{s}}})",),
    "active_connections": ("sum(socketio_server_active_connections{{{s}}})",),
    "active_requests": ("sum(http_server_active_requests{{{s}}})",),
}


class Prometheus:
    """A client of Prometheus' HTTP API.

    Args:
        url: Base URL.
        timeout: The most seconds that one request may take.
        service: ``service.name`` of the app; all apps by default.
    """

    def __init__(self, url: str, timeout: float = 30.0, service: str | None = None) -> None:
        if urllib.parse.urlsplit(url).scheme not in {"http", "https"}:
            raise AnalysisError(
                f"--prometheus (ADA_PROMETHEUS_URL): {url!r} is no address; write http://127.0.0.1:9090"
            )
        self._url = url.rstrip("/")
        self._timeout = timeout
        self._selector = 'service_name!=""' if service is None else f"service_name={json.dumps(service)}"

    def gauges(self, at: float) -> dict[str, float | None]:
        """CPU, memory, connections and requests at a time; ``None`` for what Prometheus does not have.

        Raises:
            ConnectionFailedError: It did not answer.
        """
        return {name: self._first(queries, at) for name, queries in _NOW.items()}

    def response_time(self, at: float, seconds: float) -> ResponseTime | None:
        """How long requests took in the ``seconds`` before ``at``; ``None`` if there were none.

        Percentiles are interpolated within the buckets of the histogram.

        Raises:
            ConnectionFailedError: It did not answer.
        """
        window = f"{{{self._selector}}}[{max(1, round(seconds))}s]"
        count = self.value(f"sum(increase({_DURATION}_count{window}))", at)
        if not count:
            return None
        total = self.value(f"sum(increase({_DURATION}_sum{window}))", at)
        quantiles = [
            self.value(f"histogram_quantile({q}, sum by (le) (increase({_DURATION}_bucket{window})))", at)
            for q in (0.5, 0.95, 0.99)
        ]
        return ResponseTime(round(count), None if total is None else total / count, *quantiles)

    def value(self, promql: str, at: float) -> float | None:
        """The one value of an instant query; ``None`` if there is none, or it is no number.

        Raises:
            ConnectionFailedError: Prometheus did not answer, or refused the query.
        """
        data = urllib.parse.urlencode(
            {"query": promql, "time": f"{at:.3f}", "timeout": f"{self._timeout:g}s"}
        )
        request = urllib.request.Request(f"{self._url}/api/v1/query?{data}")  # noqa: S310 - the scheme is checked
        try:
            with urllib.request.urlopen(request, timeout=self._timeout) as answer:  # noqa: S310
                found: Any = json.load(answer)["data"]["result"]
        except urllib.error.HTTPError as error:
            raise ConnectionFailedError(
                f"Prometheus at {self._url} answered HTTP {error.code}: check --prometheus"
            ) from None
        except (OSError, ValueError, KeyError, TypeError):
            raise ConnectionFailedError(
                f"no Prometheus answers at {self._url}: start it, or give its address with --prometheus "
                "(ADA_PROMETHEUS_URL)"
            ) from None
        number = float(found[0]["value"][1]) if found else math.nan
        return number if math.isfinite(number) else None

    def _first(self, queries: tuple[str, ...], at: float) -> float | None:
        for query in queries:
            found = self.value(query.format(s=self._selector), at)
            if found is not None:
                return found
        return None
