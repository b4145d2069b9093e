"""The shipped collector with overlays; files in the place of its back ends get what their queues would."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.collector import BASE, COLLECTOR, Collector

CAPTURE = """
exporters:
  file/traces: {path: "FOLDER/traces.json", flush_interval: 100ms}
  file/logs: {path: "FOLDER/logs.json", flush_interval: 100ms}
  file/metrics: {path: "FOLDER/metrics.json", flush_interval: 100ms}
service:
  pipelines:
    traces/queue: {exporters: [file/traces]}
    logs/queue: {exporters: [file/logs]}
    metrics/queue: {exporters: [file/metrics]}
"""


def overlay(name: str) -> Path:
    """The file of an overlay, by its name without ``otelcol.`` and ``.yaml``."""
    return COLLECTOR / f"otelcol.{name}.yaml"


@contextmanager
def running(program: Path, folder: Path, environment: dict[str, str], *overlays: str) -> Iterator[Collector]:
    """The base with overlays, and the capture unless a back end is given."""
    folder.mkdir(exist_ok=True)
    capture = folder / "capture.yaml"
    capture.write_text(CAPTURE.replace("FOLDER", str(folder)))
    given = {"ADA_ELASTICSEARCH_ENDPOINT", "ADA_PROMETHEUS_OTLP_ENDPOINT"} & set(environment)
    configs = (BASE, *(overlay(name) for name in overlays), *(() if given else (capture,)))
    with Collector(program, folder, environment, configs) as collector:
        yield collector


def captured(folder: Path, kind: str) -> list[dict[str, Any]]:
    """All spans, log records or metrics in the capture so far, each with its resource's attributes."""
    outer, scope, inner = {
        "traces": ("resourceSpans", "scopeSpans", "spans"),
        "logs": ("resourceLogs", "scopeLogs", "logRecords"),
        "metrics": ("resourceMetrics", "scopeMetrics", "metrics"),
    }[kind]
    found = []
    for line in (folder / f"{kind}.json").read_text(encoding="utf-8").splitlines():
        try:
            blocks = json.loads(line)[outer]
        except json.JSONDecodeError:
            break  # the last line, which is being written
        for block in blocks:
            for each in block[scope]:
                resource = plain(block["resource"].get("attributes", []))
                found += [{**item, "resource": resource} for item in each[inner]]
    return found


def plain(attributes: list[dict[str, Any]]) -> dict[str, Any]:
    """Attributes of OTLP's JSON as a dictionary."""
    return {pair["key"]: next(iter(pair["value"].values())) for pair in attributes}
