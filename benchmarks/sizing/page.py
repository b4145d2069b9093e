"""Makes docs/sizing.md of the measured figures."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tools.docs import table

_TEXT = (Path(__file__).parent / "sizing.md.in").read_text(encoding="utf-8")
_MILLION = 1_000_000
_DAY = 86_400
_KINDS = {"spans": "spans", "log_records": "log records", "metric_points": "metric points"}
_SHAPES = {"bare": "OTLP to nothing", "ours": "`otelcol.yaml`", "no_hop": "`otelcol.yaml` without the hop"}
#: Seconds between two samples of a series as shipped, by who makes it; those of the scrape for the others.
_INTERVALS = {"app": 15, "span metrics": 15}
_SCRAPE = 15
_MAKERS = {
    "app": "the app, one worker",
    "span metrics": "the collector, of the app's spans",
    "rules": "recording rules",
    "otelcol": "the collector itself",
    "prometheus": "Prometheus itself",
    "alertmanager": "Alertmanager",
}


def render(results: Mapping[str, Any]) -> str:
    """The text of the page."""
    run, stored, collector = results["run"], results["storage"], results["collector"]
    return _TEXT.format(
        note="**These figures are of a short try on a busy machine.** " if run["short"] else "",
        date=run["date"],
        machine=run["machine"],
        cores=run["cores"],
        load=" to ".join(str(value) for value in run["load_average"]),
        rounds=run["rounds"],
        round_seconds=f"{run['round_seconds']:g}",
        versions=", ".join(f"{name} {version}" for name, version in run["versions"].items()),
        requests=f"{stored['requests']:,}",
        storage=_storage(stored),
        bytes_per_sample=f"{_per_sample(stored):.2f}",
        per_series=round(stored["prometheus"]["samples"] / stored["prometheus"]["block_series"]),
        samples=f"{stored['prometheus']['samples']:,}",
        series=_series(stored),
        prometheus_million=_bytes(_a_day(stored) * _MILLION / 10 / _DAY),
        throughput=_throughput(collector["signals"]),
        hop=_hop(collector["signals"]),
        app_per_core=f"{_app_per_core(stored, collector['signals']):,}",
        span_bytes=collector["signals"]["spans"]["ours"]["bytes_per_item"],
        log_bytes=collector["signals"]["log_records"]["ours"]["bytes_per_item"],
        peak=collector["peak_mib"]["ours"],
        **_month(stored),
    )


def _storage(stored: Mapping[str, Any]) -> str:
    requests = stored["requests"]
    rows = []
    for name, title in (("logs", "Elasticsearch, logs"), ("traces", "Elasticsearch, traces")):
        row = stored["elasticsearch"][name]
        rows.append(_row(title, row["documents"], row["bytes"], requests))
    for name, title in (("logs", "Sentry, logs, as sent"), ("traces", "Sentry, traces, as sent")):
        row = stored["sentry"][name]
        rows.append(_row(title, row["items"], row["bytes"], requests))
    return table(("", "Items for a request", "Bytes for an item", "For a million requests"), rows)


def _row(title: str, items: int, size: int, requests: int) -> tuple[str, ...]:
    return (
        title,
        f"{items / requests:.1f}",
        f"{size / items:,.0f}" if items else "",
        _bytes(size / requests * _MILLION),
    )


def _per_sample(stored: Mapping[str, Any]) -> float:
    return float(stored["prometheus"]["bytes"]) / float(stored["prometheus"]["samples"])


def _series(stored: Mapping[str, Any]) -> str:
    size = _per_sample(stored)
    rows = []
    for maker, count in stored["prometheus"]["series"].items():
        interval = _INTERVALS.get(maker, _SCRAPE)
        title = _MAKERS.get(maker, maker)
        rows.append((title, f"{count:,}", f"{interval} s", _bytes(count * _DAY / interval * size)))
    return table(("Series of", "How many", "A sample every", "A day"), rows)


def _a_day(stored: Mapping[str, Any]) -> float:
    """Bytes of all series in a day."""
    samples = sum(
        count * _DAY / _INTERVALS.get(maker, _SCRAPE)
        for maker, count in stored["prometheus"]["series"].items()
    )
    return float(samples * _per_sample(stored))


def _throughput(signals: Mapping[str, Any]) -> str:
    rows = []
    for kind, shapes in signals.items():
        bare = shapes["bare"]["per_core_second"]
        for shape, row in shapes.items():
            rows.append(
                (
                    _KINDS[kind],
                    _SHAPES[shape],
                    f"{row['per_second']:,}",
                    f"{row['per_core_second']:,}",
                    f"{row['cpu_us']:.1f}",
                    "" if shape == "bare" else f"{row['per_core_second'] / bare:.2f}",
                )
            )
    head = ("", "Configuration", "Per second", "Per core and second", "CPU µs for one", "Of bare, per core")
    return table(head, rows)


def _hop(signals: Mapping[str, Any]) -> str:
    parts = []
    for kind in ("spans", "log_records"):
        ours, direct = signals[kind]["ours"], signals[kind]["no_hop"]
        cpu = ours["cpu_us"] / direct["cpu_us"] - 1
        rate = ours["per_second"] / direct["per_second"] - 1
        parts.append(f"{_KINDS[kind]}: {cpu:+.0%} CPU, {rate:+.0%} per second")
    return "; ".join(parts)


def _app_per_core(stored: Mapping[str, Any], signals: Mapping[str, Any]) -> int:
    """Requests of the example app per second that one core of the collector takes, metrics left out."""
    requests = stored["requests"]
    spans = stored["elasticsearch"]["traces"]["spans"] / requests
    lines = stored["elasticsearch"]["logs"]["documents"] / requests
    cost = spans * signals["spans"]["ours"]["cpu_us"] + lines * signals["log_records"]["ours"]["cpu_us"]
    return round(1e6 / cost / 10) * 10 if cost else 0


def _month(stored: Mapping[str, Any]) -> dict[str, str]:
    """What 30 days at ten requests per second take in Elasticsearch."""
    both = sum(row["bytes"] for row in stored["elasticsearch"].values())
    total = both / stored["requests"] * 10 * _DAY * 30
    return {"month": _bytes(total), "month_sampled": _bytes(_sampled(stored) * 10 * _DAY * 30)}


def _sampled(stored: Mapping[str, Any]) -> float:
    """Bytes for a request when one trace in ten is kept."""
    rows = stored["elasticsearch"]
    return float(rows["logs"]["bytes"] + rows["traces"]["bytes"] / 10) / float(stored["requests"])


def _bytes(count: float) -> str:
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{count / size:.3g} {unit}" if count < 1000 * size else f"{count / size:,.0f} {unit}"
    return f"{count:.0f} B"
