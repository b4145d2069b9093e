"""Which names exist: from the catalogue, recording rules, a live scrape, and a short list beside."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from ada_otel.catalogue import Metric, prometheus_label, prometheus_series
from tools.drift.expressions import parse, result_labels
from tools.drift.sources import Rule

SCRAPED = Path(__file__).parent / "scraped.json"

#: What prometheus.yml promotes from the resource, and what Prometheus itself adds, to each series of an app.
RESOURCE = frozenset(
    {
        "job", "instance", "service_name", "service_namespace", "service_instance_id", "service_version",
        "deployment_environment_name", "host_name", "otel_metric_overflow",
    }
)  # fmt: skip
_SCRAPE = frozenset({"job", "instance"})
_MEMORY_LIMITER = _SCRAPE | {"processor"}
_EXPORTER = _SCRAPE | {"exporter", "error_type", "error_permanent"}

#: What no healthy stack shows, and where it is documented.
#: The collector's own counters: ``documentation.md`` of exporterhelper, memorylimiter and filter, 0.161.0.
#: process_cpu_utilization: of apps with older semantic conventions, which the analysis asks for last.
#: Redis: redisreceiver's ``documentation.md``; it is an overlay, with a resource as apps have it.
RARE: Mapping[str, frozenset[str]] = {
    **{
        f"otelcol_exporter_{what}_failed_{kind}_total": _EXPORTER
        for what in ("send", "enqueue")
        for kind in ("spans", "log_records", "metric_points")
    },
    **{
        f"otelcol_processor_memory_limiter_refused_{kind}_total": _MEMORY_LIMITER
        for kind in ("spans", "log_records", "metric_points")
    },
    "otelcol_processor_filter_datapoints_filtered_total": _SCRAPE | {"filter", "processor"},
    # On documents that were refused.
    "otelcol_elasticsearch_docs_processed_total": _SCRAPE | {"outcome", "error_type"},
    "redis_memory_used_bytes": RESOURCE,
    "redis_maxmemory_bytes": RESOURCE,
    "redis_keys_evicted_total": RESOURCE,
    "process_cpu_utilization": RESOURCE,
    "ALERTS": RESOURCE | {"alertname", "alertstate", "severity", "class", "service"},
    "ALERTS_FOR_STATE": RESOURCE | {"alertname", "severity", "class", "service"},
}


@dataclass(frozen=True)
class Names:
    """All names that may be used.

    Attributes:
        series: The labels of each series, by its name.
        bases: Names of histograms without ``_bucket``, ``_count``, ``_sum``, as a page may call them.
    """

    series: Mapping[str, frozenset[str]]
    bases: frozenset[str] = field(default=frozenset())

    def labels(self, metric: str) -> frozenset[str] | None:
        """The labels that a series can have; ``None`` if there is no such series."""
        return self.series.get(metric)

    def all_labels(self) -> frozenset[str]:
        """Every label of every series."""
        return frozenset().union(*self.series.values())

    def nearest(self, name: str) -> str:
        """The name of a series that is spelt most like ``name``; empty if none is like it."""
        return closest(name, frozenset(self.series))

    def nearest_label(self, label: str, among: Iterable[str]) -> str:
        """The label that is spelt most like ``label``; empty if none is like it."""
        return closest(label, frozenset(among))


@lru_cache(maxsize=1024)
def closest(name: str, among: frozenset[str]) -> str:
    """The one of ``among`` that is spelt most like ``name``; empty if none is like it."""
    return next(iter(difflib.get_close_matches(name, sorted(among), 1, 0.6)), "")


def of_metric(row: Metric) -> dict[str, frozenset[str]]:
    """The series of a metric, and their labels."""
    labels = RESOURCE | {prometheus_label(attribute.name) for attribute in row.attributes}
    return {name: labels | ({"le"} if name.endswith("_bucket") else set()) for name in prometheus_series(row)}


def scraped(file: Path = SCRAPED) -> dict[str, frozenset[str]]:
    """What the live scrape has shown: the labels of each series, by its name."""
    jobs = json.loads(file.read_text(encoding="utf-8"))["jobs"]
    return merged(jobs)


def merged(jobs: Mapping[str, Mapping[str, Iterable[str]]]) -> dict[str, frozenset[str]]:
    """The labels of each series by its name, of all jobs together: several have a ``target_info``."""
    found: dict[str, frozenset[str]] = {}
    for job in jobs.values():
        for name, labels in job.items():
            found[name] = found.get(name, frozenset()) | frozenset(labels)
    return found


def names(metrics: Iterable[Metric], rules: Iterable[Rule]) -> Names:
    """The names that exist with this catalogue and these rules."""
    rows = list(metrics)
    series: dict[str, frozenset[str]] = merged({"rare": RARE, "scraped": scraped()})
    for row in rows:
        series.update(of_metric(row))
    recorded = [rule for rule in rules if rule.record]
    # A rule may read what a later one records; twice is enough, since none of ours reads through three files.
    for _ in range(3):
        for rule in recorded:
            labels = result_labels(parse(rule.expression.text), series.get) or frozenset()
            series[rule.record] = series.get(rule.record, frozenset()) | labels | frozenset(rule.labels)
    bases = frozenset(name.removesuffix("_bucket") for name in series if name.endswith("_bucket"))
    return Names(series, bases)
