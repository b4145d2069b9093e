"""The page that Prometheus scrapes: one answer for all workers of a server; see docs/metrics-endpoint.md."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ada_otel._diagnostics import report
from ada_otel.web import _pages

if TYPE_CHECKING:
    from flask import Flask

    from ada_otel.settings import Settings
    from ada_otel.web._pages import Page


class _Served:
    """Whether the page is served in this process, or was before it was forked."""

    page: Page | None = None


def start(settings: Settings) -> None:
    """Serve the page in every Flask application, where ``ADA_OTEL_METRICS_ENDPOINT`` says so."""
    if not settings.metrics_endpoint or _Served.page is not None:
        return
    if _pages.taken(settings.metrics_path):
        report(
            "setting:ADA_OTEL_METRICS_PATH",
            f"ADA_OTEL_METRICS_PATH is {settings.metrics_path!r}, where a health page is already; it "
            "should be another path than those below ADA_OTEL_HEALTH_PREFIX. There is no page of metrics.",
        )
        return
    from opentelemetry import metrics

    from ada_otel.pipeline.metrics import MeterProvider

    provider = metrics.get_meter_provider()
    if isinstance(provider, MeterProvider) and provider._ours:
        from ada_otel.web.metrics_page._shared import shared_page

        _Served.page = shared_page(settings, provider)
    elif hasattr(provider, "add_metric_reader"):
        from ada_otel.web.metrics_page._stock import stock_page

        _Served.page = stock_page(settings, provider)
    else:
        report(
            "metrics-page:provider",
            "There is no OpenTelemetry SDK for metrics: ADA_OTEL_METRICS_ENDPOINT has nothing to serve.",
        )
        return
    _pages.add(settings.metrics_path, _Served.page)
    _pages.install()


def attach(_app: Flask) -> None:
    """Serve it in an application that was handed over, where Flask came after :func:`start`."""
    if _Served.page is not None:
        _pages.install()


def stop() -> None:
    """Forget the page; for tests."""
    _Served.page = None
    _pages.forget()
