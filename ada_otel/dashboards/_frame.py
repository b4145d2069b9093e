"""What all dashboards have in common: variables, links and annotations."""

# The SDK is for Python 3.11 and newer: for 3.10, mypy takes its StrEnum members for plain strings.
# mypy: disable-error-code="arg-type"

from __future__ import annotations

from typing import Any

from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.models import dashboard as types

from ada_otel.dashboards import _expr
from ada_otel.dashboards._model import Dashboard

PROMETHEUS = types.DataSourceRef(type_val="prometheus", uid="${prom}")
ELASTICSEARCH = types.DataSourceRef(type_val="elasticsearch", uid="${es}")

#: Title and text of the annotations.
TITLES = {
    "Deploys": ("{{job}} {{service_version}}", "A version that did not run 5 minutes before."),
    "Firing alerts": ("{{alertname}}", "{{severity}} {{service}}"),
}
_TAG = "ada"


def frame(dashboard: Dashboard) -> Any:
    """A dashboard without panels: it cannot be edited in the page, as it comes from code."""
    made = builders.Dashboard(dashboard.title).uid(dashboard.uid).description(dashboard.description)
    made.tags([_TAG, "generated"]).readonly().refresh("30s").time("now-1h", "now").timezone("browser")
    made.tooltip(types.DashboardCursorSync.CROSSHAIR)
    links = builders.DashboardLink("ADA dashboards").type(types.DashboardLinkType.DASHBOARDS).tags([_TAG])
    made.link(links.as_dropdown(False).include_vars(True).keep_time(True))
    for variable in _variables(dashboard):
        made.with_variable(variable)
    version = ("job", "service.version")
    now = _expr.now("process.uptime", "max", version, scope=_expr.SERVICE)
    seen = f"max by (job, service_version) ({_expr.select('process.uptime', scope=_expr.SERVICE)} offset 5m)"
    made.annotation(_annotation("Deploys", "blue", f"{now} unless {seen}"))
    made.annotation(
        _annotation(
            "Firing alerts",
            "red",
            'max by (alertname, severity, service, job) (ALERTS{alertstate="firing", severity!="none", '
            'job=~"$service|otelcol|prometheus|alertmanager|"})',
        )
    )
    return made


def _annotation(name: str, color: str, expr: str) -> Any:
    return (
        builders.AnnotationQuery().name(name).datasource(PROMETHEUS).enable(True).icon_color(color).expr(expr)
    )


def _variables(dashboard: Dashboard) -> list[Any]:
    found = [
        _source("prom", "Prometheus", "prometheus", "ada-prometheus"),
        _source("es", "Elasticsearch (logs)", "elasticsearch", "ada-logs", shown="Logs"),
        _query("service", "Service", _expr.select("process.uptime", scope=""), "job", ".+"),
        _query(
            "environment",
            "Environment",
            _expr.select("process.uptime", scope='job=~"$service"'),
            "deployment_environment_name",
            ".*",
        ),
        _query("instance", "Instance", _expr.select("process.uptime", scope=_expr.SERVICE), "instance", ".+"),
    ]
    if dashboard.hosts:
        scope = 'deployment_environment_name=~"$environment"'
        found.append(
            _query("host", "Host", _expr.select("system.memory.limit", scope=scope), "host_name", ".*")
        )
    return found + [
        builders.TextBoxVariable(name).label(label).default_value(first)
        for name, label, first in dashboard.texts
    ]


def _source(name: str, label: str, kind: str, uid: str, shown: str = "Prometheus") -> Any:
    first = types.VariableOption(selected=True, text=shown, value=uid)
    return builders.DatasourceVariable(name).type(kind).label(label).current(first)


def _query(name: str, label: str, selector: str, values_of: str, everything: str) -> Any:
    chosen = types.VariableOption(selected=True, text=["All"], value=["$__all"])
    variable = builders.QueryVariable(name).label(label).datasource(PROMETHEUS)
    variable.query({"query": f"label_values({selector}, {values_of})", "refId": name}).current(chosen)
    variable.refresh(types.VariableRefresh.ON_TIME_RANGE_CHANGED).sort(types.VariableSort.ALPHABETICAL_ASC)
    return variable.multi(True).include_all(True).all_value(everything)
