"""Every metric that ada-otel emits, in one typed table; instruments, docs, rules and dashboards come from it.

A metric has its row in the module of its group. Code makes its instruments with :func:`create`, so that name,
unit, description and buckets are written once. ``prometheus_name`` and ``prometheus_label`` give the names
that Prometheus will show.
"""

from __future__ import annotations

from ada_otel.catalogue._create import create
from ada_otel.catalogue._model import Attribute, Kind, Metric
from ada_otel.catalogue._prometheus import prometheus_label, prometheus_name, prometheus_series
from ada_otel.catalogue.business import BUSINESS
from ada_otel.catalogue.database import DATABASE
from ada_otel.catalogue.health import HEALTH
from ada_otel.catalogue.http import HTTP
from ada_otel.catalogue.logs import LOGS
from ada_otel.catalogue.process import PROCESS
from ada_otel.catalogue.socketio import SOCKETIO
from ada_otel.catalogue.system import SYSTEM
from ada_otel.catalogue.telemetry import TELEMETRY

__all__ = [
    "METRICS",
    "Attribute",
    "Kind",
    "Metric",
    "create",
    "metric",
    "prometheus_label",
    "prometheus_name",
    "prometheus_series",
]

#: All metrics, by group, in the order of the documentation.
METRICS: tuple[Metric, ...] = (
    *HTTP,
    *DATABASE,
    *SOCKETIO,
    *LOGS,
    *PROCESS,
    *SYSTEM,
    *BUSINESS,
    *HEALTH,
    *TELEMETRY,
)

_BY_NAME = {row.name: row for row in METRICS}


def metric(name: str) -> Metric:
    """The row of a metric.

    Args:
        name: Its OpenTelemetry name, for instance ``"http.server.request.duration"``.

    Raises:
        KeyError: There is no such row.
    """
    return _BY_NAME[name]
