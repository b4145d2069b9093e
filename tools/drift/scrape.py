"""The names that the collector, Prometheus and Alertmanager show of themselves, taken from a live Prometheus.

    python -m tools.drift.scrape

starts the native stack, drives the example app once, and writes ``scraped.json``: for each scraped job, and
for what the collector and Prometheus make of the app's data (``made``), the labels of each series by name.
``tests/integration/test_drift.py`` compares the file with such a scrape.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
import urllib.parse
from collections import defaultdict
from pathlib import Path
from typing import Any

from tools.demo.app import get_json, running_app
from tools.drift.known import SCRAPED
from tools.progress import say
from tools.stack import Stack, free_ports

#: The jobs of collector/prometheus/prometheus.yml.
JOBS = ("otelcol", "prometheus", "alertmanager")
#: Series of apps that no app sends: the collector's span metrics, and what Prometheus makes of the resource.
_MADE = ("target_info", "traces_span_metrics_")

Jobs = dict[str, dict[str, list[str]]]


def live(prometheus: str) -> Jobs:
    """The labels of each series that is not an app's own, by job and name.

    Args:
        prometheus: Base URL of a Prometheus with collector/prometheus/prometheus.yml.
    """
    found: Jobs = {job: _series(prometheus, f'{{job="{job}"}}') for job in JOBS}
    made = _series(prometheus, '{job!="", job!~"otelcol|prometheus|alertmanager"}')
    found["made"] = {name: labels for name, labels in made.items() if name.startswith(_MADE)}
    # Series that rules made of a scraped one are recorded names, not scraped ones.
    return {
        job: {n: ls for n, ls in series.items() if ":" not in n and not n.startswith("ALERTS")}
        for job, series in found.items()
    }


def written(jobs: Jobs) -> str:
    """The text of ``scraped.json``: a line for each series."""
    how = "python -m tools.drift.scrape: all series of a run of the native stack, the example app driven once"
    parts = []
    for job, series in jobs.items():
        lines = [f"      {json.dumps(name)}: {json.dumps(series[name])}" for name in sorted(series)]
        parts.append(f"    {json.dumps(job)}: {{\n" + ",\n".join(lines) + "\n    }")
    return '{\n  "how": ' + json.dumps(how) + ',\n  "jobs": {\n' + ",\n".join(parts) + "\n  }\n}\n"


def wait_for_scrapes(prometheus: str, seconds: float = 45.0) -> None:
    """Until each job has been scraped once; each is, every 15 seconds.

    Raises:
        TimeoutError: One was not; names those that were.
    """
    end = time.monotonic() + seconds
    while True:
        answer: Any = get_json(f"{prometheus}/api/v1/query?" + urllib.parse.urlencode({"query": "up == 1"}))
        up = {row["metric"]["job"] for row in answer["data"]["result"]}
        if up >= set(JOBS):
            return
        if time.monotonic() > end:
            raise TimeoutError(f"of {', '.join(JOBS)} only {sorted(up)} answered within {seconds} s")
        time.sleep(0.5)


def app_environment(stack: Stack) -> dict[str, str]:
    """Of the example app: with all of the resource that queries lean on, and sent every second."""
    return {
        **stack.env(),
        "APP_VERSION": "1.2.3",
        "OTEL_METRIC_EXPORT_INTERVAL": "1000",
        "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=test",
    }


def _series(prometheus: str, match: str) -> dict[str, list[str]]:
    query = urllib.parse.urlencode({"match[]": match, "start": time.time() - 3600})
    labels: dict[str, set[str]] = defaultdict(set)
    for series in get_json(f"{prometheus}/api/v1/series?{query}")["data"]:
        labels[series["__name__"]] |= set(series) - {"__name__"}
    return {name: sorted(found) for name, found in labels.items()}


def main() -> int:
    """Take the scrape and write the file."""
    with tempfile.TemporaryDirectory() as folder:
        stack = Stack(Path(folder) / "stack", ports=free_ports())
        try:
            stack.up()
            with running_app(Path(folder) / "app", app_environment(stack)) as app:
                app.drive("--plan", "once")
            wait_for_scrapes(stack.url("prometheus"))
            # Span metrics are flushed, and each job scraped, every 15 seconds: twice, to see what came since.
            time.sleep(32)
            jobs = live(stack.url("prometheus"))
        finally:
            stack.down(purge=True)
    SCRAPED.write_text(written(jobs), encoding="utf-8")
    say(f"wrote {SCRAPED.name}: {sum(len(series) for series in jobs.values())} series")
    return 0


if __name__ == "__main__":
    sys.exit(main())
