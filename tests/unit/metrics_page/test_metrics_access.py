"""Who may see the page of metrics, what its names begin with, and the page of the stock SDK."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import flask
import pytest
from flask.testing import FlaskClient
from opentelemetry import metrics
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk.metrics import MeterProvider as StockMeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, PeriodicExportingMetricReader

from ada_otel import settings
from ada_otel._diagnostics import forget_reports
from ada_otel.web import metrics_page
from ada_otel.web.metrics_page._shared import leaves_by_otlp, prefix

NETWORK = "10.1.0.0/16"


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> Iterator[StockMeterProvider]:
    """A provider of the stock SDK in the place of the global one, with a counter on it."""
    found = StockMeterProvider(shutdown_on_exit=False)
    monkeypatch.setattr(metrics, "get_meter_provider", lambda: found)
    metrics_page.stop()
    forget_reports()
    yield found
    metrics_page.stop()
    found.shutdown()


def start(provider: StockMeterProvider, **environment: str) -> FlaskClient:
    named = {f"ADA_OTEL_METRICS_{name}": text for name, text in environment.items()}
    metrics_page.start(settings.load({"ADA_OTEL_METRICS_ENDPOINT": "true", **named}))
    provider.get_meter("shop").create_counter("shop.sales").add(3)
    return flask.Flask("shop").test_client()


def status(client: FlaskClient, address: str = "127.0.0.1", **headers: Any) -> int:
    return client.get("/metrics", environ_base={"REMOTE_ADDR": address}, headers=headers).status_code


def test_without_token_and_networks_it_is_for_this_machine(provider: StockMeterProvider) -> None:
    client = start(provider)
    assert status(client) == 200
    assert status(client, "10.1.0.1") == 401
    assert status(client, **{"X-Forwarded-For": "127.0.0.1"}) == 401


def test_a_token_is_asked_for_where_there_is_one(provider: StockMeterProvider) -> None:
    client = start(provider, TOKEN="s3cret")
    assert status(client) == 401
    assert status(client, Authorization="Bearer wrong") == 401
    assert status(client, "10.9.9.9", Authorization="Bearer s3cret") == 200


def test_networks_let_in_who_comes_from_them_without_a_proxy(provider: StockMeterProvider) -> None:
    client = start(provider, ALLOW=NETWORK)
    assert status(client, "10.1.2.3") == 200
    assert status(client, "10.2.0.1") == 401
    assert status(client) == 401
    assert status(client, "10.1.2.3", Forwarded="for=10.1.2.3") == 401


def test_with_token_and_networks_either_will_do(provider: StockMeterProvider) -> None:
    client = start(provider, TOKEN="s3cret", ALLOW=NETWORK)
    assert status(client, "10.1.2.3") == 200
    assert status(client, "10.2.0.1", Authorization="Bearer s3cret") == 200
    assert status(client, "10.2.0.1") == 401


def test_stock_metrics_give_the_page_of_one_process_and_say_so(
    provider: StockMeterProvider, caplog: pytest.LogCaptureFixture
) -> None:
    text = start(provider).get("/metrics").get_data(as_text=True)
    assert "\nshop_sales_total 3.0\n" in text
    assert "ADA_OTEL_FAST_PATH=true gives the sum." in caplog.text


def test_another_beginning_of_the_names(provider: StockMeterProvider) -> None:
    assert "\nours_shop_sales_total 3.0\n" in start(provider, PREFIX="ours_").get("/metrics").text


def test_names_begin_with_scrape_where_metrics_leave_by_otlp_too() -> None:
    exporter = OTLPMetricExporter("http://127.0.0.1:9/v1/metrics", timeout=0.1)
    beside = StockMeterProvider([PeriodicExportingMetricReader(exporter)], shutdown_on_exit=False)
    alone = StockMeterProvider([InMemoryMetricReader()], shutdown_on_exit=False)
    assert leaves_by_otlp(beside) and not leaves_by_otlp(alone)
    assert prefix("auto", beside) == "scrape_"
    assert (prefix("auto", alone), prefix("", beside), prefix("ours_", beside)) == ("", "", "ours_")
    beside.shutdown(100)
    alone.shutdown()
