"""Panels on the telemetry itself: the collector as Prometheus scrapes it, and the app's own pipeline."""

from __future__ import annotations

from ada_otel.dashboards._bounds import ANY, UP, from_alerts
from ada_otel.dashboards._expr import rate
from ada_otel.dashboards._model import Panel, Query

_FAILED = {"error.type": '!=""'}
_SIGNALS = {"spans": "spans", "log_records": "log records", "metric_points": "metric points"}


def _collector(series: str, by: str, what: str = "") -> tuple[Query, ...]:
    """One query for each signal: added up, series of one signal would hide those of another."""
    return tuple(
        Query(
            f'sum by ({by}) (rate({series}_{signal}_total{{job="otelcol"}}[$__rate_interval]))',
            f"{what}{{{{{by}}}}} {said}",
        )
        for signal, said in _SIGNALS.items()
    )


TELEMETRY: tuple[Panel, ...] = (
    Panel(
        60,
        "Collector, Prometheus, Alertmanager",
        "1 when Prometheus could scrape it. OtelCollectorDown fires at 0.",
        "short",
        (Query('min by (job) (up{job=~"otelcol|prometheus|alertmanager"})', "{{job}}"),),
        shape="stat",
        bounds=UP,
        base="red",
    ),
    Panel(
        61,
        "Queues of the collector",
        "How full they are. OtelCollectorQueueFilling fires at 50 %.",
        "percentunit",
        (
            Query(
                "max by (exporter, data_type) "
                "(otelcol_exporter_queue_size / (otelcol_exporter_queue_capacity > 0))",
                "{{exporter}} {{data_type}}",
            ),
        ),
        bounds=from_alerts(high="OtelCollectorQueueFilling"),
        top=1,
    ),
    Panel(
        62,
        "Taken by the collector",
        "Spans, log records and metric points per second.",
        "cps",
        _collector("otelcol_receiver_accepted", "receiver"),
    ),
    Panel(
        63,
        "Sent by the collector",
        "Items per second, by exporter.",
        "cps",
        _collector("otelcol_exporter_sent", "exporter"),
    ),
    Panel(
        64,
        "Lost or refused by the collector",
        "Items per second: given up, not fitting the queue, turned away for want of memory, or "
        "dropped for a wrong clock.",
        "cps",
        (
            *_collector("otelcol_exporter_send_failed", "exporter", "given up: "),
            *_collector("otelcol_exporter_enqueue_failed", "exporter", "queue full: "),
            *_collector("otelcol_processor_memory_limiter_refused", "instance", "no memory: "),
            Query(
                "sum by (instance) (rate(otelcol_processor_filter_datapoints_filtered_total"
                '{job="otelcol", filter="filter/clock"}[$__rate_interval]))',
                "wrong clock: {{instance}} metric points",
            ),
        ),
        bounds=ANY,
    ),
    Panel(
        65,
        "Lost by the apps",
        "Spans and log records per second that found a full queue, or whose export failed for good.",
        "cps",
        (
            Query(
                f"{rate('otel.sdk.processor.span.processed', ('job',), _FAILED)} or "
                f"0 * {rate('otel.sdk.processor.span.processed', ('job',))}",
                "{{job}} spans",
            ),
            Query(
                f"{rate('otel.sdk.processor.log.processed', ('job',), _FAILED)} or "
                f"0 * {rate('otel.sdk.processor.log.processed', ('job',))}",
                "{{job}} log records",
            ),
        ),
        bounds=ANY,
    ),
    Panel(
        66,
        "Sent by the apps",
        "Spans, log records and data points whose export has ended, per second.",
        "cps",
        (
            Query(rate("otel.sdk.exporter.span.exported", ("job",)), "{{job}} spans"),
            Query(rate("otel.sdk.exporter.log.exported", ("job",)), "{{job}} log records"),
            Query(rate("otel.sdk.exporter.metric_data_point.exported", ("job",)), "{{job}} data points"),
        ),
    ),
    Panel(
        67,
        "Documents of Elasticsearch",
        "Per second, by outcome. ElasticsearchRejectsDocuments fires when some do not fit the mapping.",
        "cps",
        (
            Query(
                'sum by (outcome) (rate({__name__=~"otelcol[._]elasticsearch[._]docs[._]processed_total", '
                'job="otelcol"}[$__rate_interval]))',
                "{{outcome}}",
            ),
        ),
    ),
    Panel(
        68,
        "Metrics with too many attribute sets",
        "Series that hold what went past the cap. MetricCardinalityOverflow fires at the first.",
        "short",
        (
            Query(
                'count by (job) ({otel_metric_overflow="true", job=~"$service", instance=~"$instance"})',
                "{{job}}",
            ),
        ),
        bounds=ANY,
    ),
)
