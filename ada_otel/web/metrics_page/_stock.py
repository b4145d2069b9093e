"""The page where the SDK's metrics are not ours: opentelemetry-exporter-prometheus, for one process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ada_otel._diagnostics import report
from ada_otel.web._access import REFUSED, Access
from ada_otel.web._pages import Answer, Page

if TYPE_CHECKING:
    from ada_otel.settings import Settings


def stock_page(settings: Settings, provider: Any) -> Page:
    """Make the page: of this process alone, and without exemplars, as the exporter has neither more."""
    from opentelemetry.exporter.prometheus import PrometheusMetricReader
    from prometheus_client import CollectorRegistry

    from ada_otel.web.metrics_page._render import encoder
    from ada_otel.web.metrics_page._shared import prefix

    registry = CollectorRegistry()
    word = prefix(settings.metrics_prefix, provider).rstrip("_")
    reader = PrometheusMetricReader(prefix=word, scope_info_enabled=False, registry=registry)
    provider.add_metric_reader(reader)
    access = Access(settings.metrics_token, settings.metrics_allow)
    report(
        "metrics-page:stock",
        "Metrics are recorded by the stock SDK: the page of metrics shows the process that answers, "
        "not the sum over all workers. ADA_OTEL_FAST_PATH=true gives the sum.",
    )

    def page(environ: dict[str, Any]) -> Answer:
        if not access.allows(environ):
            return REFUSED
        encode, content_type = encoder(environ.get("HTTP_ACCEPT", ""))
        return Answer(encode(registry), content_type)

    return page
