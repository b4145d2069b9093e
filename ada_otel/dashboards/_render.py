"""From our model to Grafana's JSON, by Grafana's own types."""

# The SDK is for Python 3.11 and newer: for 3.10, mypy takes its StrEnum members for plain strings.
# mypy: disable-error-code="arg-type"

from __future__ import annotations

import json
from typing import Any, cast

from grafana_foundation_sdk.builders import (
    bargauge,
    common,
    elasticsearch,
    heatmap,
    logs,
    prometheus,
    stat,
    table,
    timeseries,
)
from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common as common_types
from grafana_foundation_sdk.models import dashboard as types
from grafana_foundation_sdk.models import elasticsearch as elasticsearch_types
from grafana_foundation_sdk.models import heatmap as heatmap_types
from grafana_foundation_sdk.models import prometheus as prometheus_types

from ada_otel.dashboards._frame import ELASTICSEARCH, PROMETHEUS, TITLES, frame
from ada_otel.dashboards._model import Dashboard, Panel, Query, Search

_LOGS_SCOPE = (
    "resource.attributes.service.name:/${service:regex}/ AND "
    "(resource.attributes.deployment.environment.name:/${environment:regex}/ OR "
    "(*:* AND NOT _exists_:resource.attributes.deployment.environment.name))"
)
_MAKERS: dict[str, Any] = {
    "series": timeseries.Panel,
    "stat": stat.Panel,
    "bars": bargauge.Panel,
    "table": table.Panel,
    "heatmap": heatmap.Panel,
    "logs": logs.Panel,
    "groups": table.Panel,
}
#: Shapes that show one value per series, not its course.
_INSTANT = frozenset({"stat", "bars", "table"})


def render(dashboard: Dashboard) -> str:
    """The JSON of a dashboard, with sorted keys and a newline at the end.

    Raises:
        ValueError: Two panels have one id.
    """
    ids = [row.id for row in dashboard.rows] + [panel.id for row in dashboard.rows for panel in row.panels]
    twice = sorted({number for number in ids if ids.count(number) > 1})
    if twice:
        raise ValueError(f"{dashboard.uid}: the panel ids {twice} are used twice")
    made = frame(dashboard)
    for row in dashboard.rows:
        made.with_row(builders.Row(row.title).id(row.id))
        for panel in row.panels:
            made.with_panel(_panel(panel))
    document = json.loads(JSONEncoder(sort_keys=True).encode(made.build()))
    _name_annotations(document)
    return json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _name_annotations(document: dict[str, Any]) -> None:
    # The SDK's type lacks these fields, which Grafana's Prometheus data source reads.
    for annotation in document["annotations"]["list"]:
        title, text = TITLES[annotation["name"]]
        annotation.update(titleFormat=title, textFormat=text, tagKeys="job", step="60s")


def _panel(panel: Panel) -> Any:
    made = _MAKERS[panel.shape]().id(panel.id).title(panel.title).description(panel.description)
    made.span(panel.width).height(panel.height)
    made.datasource(PROMETHEUS if isinstance(panel.queries[0], Query) else ELASTICSEARCH)
    for number, query in enumerate(panel.queries):
        made.with_target(_target(query, chr(ord("A") + number), panel))
    if panel.shape == "logs":
        return _logs(made)
    steps = [types.Threshold(value=None, color=panel.base)]
    steps += [types.Threshold(value=bound.value, color=bound.color) for bound in panel.bounds]
    made.unit(panel.unit).thresholds(
        builders.ThresholdsConfig().mode(types.ThresholdsMode.ABSOLUTE).steps(steps)
    )
    if panel.top is not None:
        made.max(panel.top)
    if panel.link:
        made.data_links([_link(panel.link)])
    return _STYLES[panel.shape](made, panel)


def _target(query: Query | Search, ref: str, panel: Panel) -> Any:
    if isinstance(query, Search):
        return _search(query, ref)
    target = prometheus.Dataquery().expr(query.expr).legend_format(query.legend).ref_id(ref)
    target.datasource(PROMETHEUS).exemplar(query.exemplar)
    if panel.shape in {"heatmap", "table"}:
        formats = prometheus_types.PromQueryFormat
        target.format(formats.HEATMAP if panel.shape == "heatmap" else formats.TABLE)
    return target.instant() if panel.shape in _INSTANT else target.range()


def _search(search: Search, ref: str) -> Any:
    query = elasticsearch.Dataquery().query(f"{_LOGS_SCOPE} AND {search.lucene}")
    query.time_field("@timestamp").ref_id(ref).datasource(ELASTICSEARCH)
    if not search.groups:
        return query.metrics([elasticsearch.Logs().id("1")]).bucket_aggs([])
    buckets = [_terms(field, str(number)) for number, field in enumerate(search.groups, 2)]
    return query.metrics([elasticsearch.Count().id("1")]).bucket_aggs(buckets)


def _terms(field: str, number: str) -> Any:
    settings = elasticsearch.ElasticsearchTermsSettings().size("20").min_doc_count("1")
    settings.order(elasticsearch_types.TermsOrder.DESC).order_by("_count")
    return elasticsearch.Terms().field(field).id(number).settings(settings)


def _link(uid: str) -> Any:
    parts = [
        "${__url_time_range}",
        "${service:queryparam}",
        "${environment:queryparam}",
        "${prom:queryparam}",
    ]
    address = f"/d/{uid}?{'&'.join(parts)}&${{es:queryparam}}"
    return builders.DashboardLink("More about it").url(address)


def _series(made: Any, panel: Panel) -> Any:
    legend: Any = common.VizLegendOptions().display_mode(common_types.LegendDisplayMode.TABLE)
    legend.placement(common_types.LegendPlacement.BOTTOM).show_legend(True).calcs(["lastNotNull", "max"])
    tooltip: Any = common.VizTooltipOptions().mode(common_types.TooltipDisplayMode.MULTI)
    tooltip.sort(common_types.SortOrder.DESCENDING)
    made.legend(legend).tooltip(tooltip).line_width(1).fill_opacity(20 if panel.stacked else 8)
    made.show_points(common_types.VisibilityMode.AUTO).axis_soft_min(0)
    if panel.stacked:
        made.stacking(common.StackingConfig().mode(common_types.StackingMode.NORMAL).group("A"))
    if panel.bounds:
        style = common.GraphThresholdsStyleConfig().mode(common_types.GraphThresholdsStyleMode.DASHED)
        made.thresholds_style(style)
    return made


def _last() -> Any:
    return common.ReduceDataOptions().calcs(["lastNotNull"]).values(False)


def _stat(made: Any, panel: Panel) -> Any:
    made.reduce_options(_last()).graph_mode(common_types.BigValueGraphMode.NONE)
    return made.color_mode(common_types.BigValueColorMode.VALUE).no_value("no data")


def _bars(made: Any, panel: Panel) -> Any:
    made.reduce_options(_last()).orientation(common_types.VizOrientation.HORIZONTAL)
    return made.display_mode(common_types.BarGaugeDisplayMode.BASIC).min(0)


def _table(made: Any, panel: Panel) -> Any:
    # The queries' values become columns, named by their legends.
    legends = [query.legend for query in panel.queries if isinstance(query, Query)]
    names = {f"Value #{chr(ord('A') + number)}": legend for number, legend in enumerate(legends)}
    options: dict[str, object] = {"excludeByName": {"Time": True}, "renameByName": names}
    made.with_transformation(types.DataTransformerConfig(id_val="merge", options={}))
    made.with_transformation(types.DataTransformerConfig(id_val="organize", options=options))
    return made.filterable(True)


def _heatmap(made: Any, panel: Panel) -> Any:
    color = heatmap.HeatmapColorOptions().mode(heatmap_types.HeatmapColorMode.SCHEME).scheme("Oranges")
    made.color(color.steps(32)).y_axis(heatmap.YAxisConfig().unit(panel.unit))
    return made.hide_from(common.HideSeriesConfig().legend(False).tooltip(False).viz(False))


def _logs(made: Any) -> Any:
    made.show_time(True).wrap_log_message(True).enable_log_details(True)
    made.sort_order(common_types.LogsSortOrder.DESCENDING)
    made.dedup_strategy(common_types.LogsDedupStrategy.NONE)
    # A click on a line's trace_id shows all lines of the trace.
    link = {
        "title": "All log lines of the trace",
        "url": "/d/ada-error-analysis?${__url_time_range}&${service:queryparam}&${environment:queryparam}"
        "&${prom:queryparam}&${es:queryparam}&var-trace_id=${__value.raw}",
    }
    properties = [types.DynamicConfigValue(id_val="links", value=[link])]
    return cast("Any", made.override_by_name("trace_id", properties))


_STYLES: dict[str, Any] = {
    "series": _series,
    "stat": _stat,
    "bars": _bars,
    "table": _table,
    "heatmap": _heatmap,
    "groups": lambda made, _panel: made.filterable(True),
}
