"""``python -m tools.docs``: writes the pages of ``docs/`` that are made from code.

``docs/metrics.md`` comes from :mod:`ada_otel.catalogue`, and
``docs/settings.md`` from :func:`ada_otel.settings.rows` and :func:`ada_otel.settings.apply_defaults`.
``tests/unit`` fails when a page is not what this gives.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from ada_otel import catalogue, settings
from ada_otel.catalogue import Attribute, Metric
from tools.paths import REPOSITORY
from tools.progress import say

SETTINGS_PAGE = REPOSITORY / "docs" / "settings.md"
METRICS_PAGE = REPOSITORY / "docs" / "metrics.md"

#: Why each ``OTEL_*`` default is what it is; the values themselves are read from ``ada_otel.settings``.
_REASONS = {
    "OTEL_EXPORTER_OTLP_PROTOCOL": "Any HTTP proxy or load balancer carries it; the app loads no gRPC.",
    "OTEL_TRACES_EXPORTER": "Traces go to the collector. `none` sends none.",
    "OTEL_METRICS_EXPORTER": "Metrics go to the collector. `none` sends none.",
    "OTEL_LOGS_EXPORTER": "Log records go to the collector. `none` sends none.",
    "OTEL_TRACES_SAMPLER": "Every trace is sent: sampling is left to the collector, which sees whole ones.",
    "OTEL_SEMCONV_STABILITY_OPT_IN": "The stable names of HTTP and database attributes and metrics.",
    "OTEL_METRIC_EXPORT_INTERVAL": "Milliseconds. The SDK's own 60 s is long for whoever waits for an alert.",
}

_PAGE = """\
<!-- Made by `make docs` from ada_otel/settings/. Do not edit. -->
# Settings

ada-otel is set up by environment variables alone, read once, when the process starts. There are two kinds:
its own, and the `OTEL_*` variables of OpenTelemetry, which keep their meaning.

**A bad value never stops the app.** The default is taken, and one warning names the variable, what was wrong
with it and what would be right. An empty variable counts as one that is not set.

## ada-otel's own

{own}

`true` and `false` may also be written `1` and `0`, `yes` and `no`, `on` and `off`.

The settings of the exit, the cardinality, the queue and the spool belong to ada-otel's own pipeline. With
`ADA_OTEL_FAST_PATH=false`, or with `OTEL_CONFIG_FILE`, the SDK's limits hold in their place.

## Defaults of OTEL_* variables

A variable that you set always wins. These are the ones for which ada-otel has a default of its own; every
other one has [that of the SDK](https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/).

{otel}

Only a value with which the SDK could do nothing is replaced, with a warning: a protocol other than
`http/protobuf` and `grpc`, an endpoint that is no `http://` or `https://` address, the name of an exporter,
sampler, propagator or id generator that is not installed, an exemplar filter that there is not, a share of
traces that is none from 0 to 1, a limit of attributes, events or links that is no whole number, and an
interval or time limit for the export of metrics that is no number above 0.
"""


_METRICS_PAGE = """\
<!-- Made by `make docs` from ada_otel/catalogue/. Do not edit. -->
# Metrics

Every metric that ada-otel emits, under its OpenTelemetry name and, below it, as Prometheus names it
(`UnderscoreEscapingWithSuffixes`); attributes are shown as labels. A histogram is three series, `_bucket`,
`_count` and `_sum`, or one native histogram with
`OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION=base2_exponential_bucket_histogram`.

On top of the labels shown here come those of the resource, where it has them: `service_name`,
`service_namespace`, `service_instance_id`, `service_version`, `deployment_environment_name`, `host_name`.
A metric has at most `ADA_OTEL_METRIC_CARDINALITY_LIMIT` attribute sets; past it, points go to the one set
`otel_metric_overflow="true"`.

{groups}
"""

#: Titles of the groups, and what holds for all of a group.
_GROUPS = {
    "http": ("Requests", "By the stable semantic conventions for HTTP."),
    "database": ("Databases and caches", "By the semantic conventions for database clients."),
    "socketio": ("Socket.IO", "There are no semantic conventions for it yet."),
    "logs": ("Logs and exceptions", "Counted where they are logged."),
    "process": ("Process and runtime", "Of each worker process."),
    "system": ("Host and network", "Reported by one worker per host and service."),
    "business": ("Business", "What the app says of itself."),
    "health": ("Health", "The health checks, as metrics."),
    "telemetry": ("Telemetry", "The pipeline itself."),
}
_KINDS = {
    "counter": "counter",
    "up_down_counter": "up-down counter",
    "histogram": "histogram",
    "gauge": "gauge",
    "observable_counter": "counter",
    "observable_up_down_counter": "up-down counter",
    "observable_gauge": "gauge",
}


def otel_defaults() -> Mapping[str, str]:
    """The ``OTEL_*`` variables that ada-otel fills in, and their values."""
    environ: dict[str, str] = {}
    settings.apply_defaults(environ)
    return environ


def settings_page() -> str:
    """The text of ``docs/settings.md``.

    Raises:
        KeyError: An ``OTEL_*`` default has no reason in this module.
    """
    own = [(f"`{row.env}`", _code(row.default), row.meaning) for row in settings.rows()]
    otel = [(f"`{name}`", _code(value), _REASONS[name]) for name, value in otel_defaults().items()]
    return _PAGE.format(
        own=table(("Variable", "Default", "Meaning"), own), otel=table(("Variable", "Default", "Why"), otel)
    )


def metrics_page() -> str:
    """The text of ``docs/metrics.md``.

    Raises:
        KeyError: A group has no title in this module.
    """
    groups: dict[str, list[Metric]] = {}
    for row in catalogue.METRICS:
        groups.setdefault(row.group, []).append(row)
    parts = []
    for group, rows in groups.items():
        title, text = _GROUPS[group]
        lines = [(_metric_cell(row), _KINDS[row.kind], row.unit, _meaning(row), _labels(row)) for row in rows]
        parts.append(
            f"## {title}\n\n{text}\n\n{table(('Metric', 'Kind', 'Unit', 'Meaning', 'Labels'), lines)}"
        )
    return _METRICS_PAGE.format(groups="\n\n".join(parts))


def _metric_cell(row: Metric) -> str:
    return f"`{row.name}`<br>`{catalogue.prometheus_name(row)}`"


def _meaning(row: Metric) -> str:
    return f"{row.meaning} Needs {row.on_request}." if row.on_request else row.meaning


def _labels(row: Metric) -> str:
    return "<br>".join(_label(attribute) for attribute in row.attributes) or "none"


def _label(attribute: Attribute) -> str:
    values = ", ".join(f"`{value}`" for value in attribute.values) or attribute.bound
    optional = "; may be absent" if attribute.optional else ""
    return f"`{catalogue.prometheus_label(attribute.name)}`: {values}{optional}"


def pages() -> Mapping[Path, str]:
    """The generated pages, and what they should say."""
    return {SETTINGS_PAGE: settings_page(), METRICS_PAGE: metrics_page()}


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; a ``|`` within a cell is escaped."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def _code(text: str) -> str:
    return f"`{text}`" if text else "none"


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the pages; with ``--check`` write nothing, and give 1 when a page is not up to date."""
    parser = argparse.ArgumentParser(prog="make docs", description="Write the generated pages of docs/.")
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a page is out of date")
    options = parser.parse_args(arguments)
    outdated = False
    for page, text in pages().items():
        if page.is_file() and page.read_text(encoding="utf-8") == text:
            say(f"{_name(page)} is up to date")
        elif options.check:
            outdated = True
            say(f"{_name(page)} is out of date; run: make docs")
        else:
            page.write_text(text, encoding="utf-8")
            say(f"wrote {_name(page)}")
    return 1 if outdated else 0


def _name(page: Path) -> str:
    return str(page.relative_to(REPOSITORY)) if page.is_relative_to(REPOSITORY) else str(page)


if __name__ == "__main__":
    sys.exit(main())
