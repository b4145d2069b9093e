"""The table itself: its rows, the instruments made of them, and the page."""

from __future__ import annotations

import re

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from ada_otel import catalogue
from ada_otel.catalogue import METRICS, Metric, create, metric, prometheus_label, prometheus_name
from tools import docs
from tools.paths import REPOSITORY

#: Where instruments may be made without it: what makes them, and what stands in for stock.
_BY_HAND = {
    "ada_otel/catalogue/_create.py",
    "ada_otel/instrument/sqlalchemy/_stock.py",
    "ada_otel/pipeline/metrics/_provider.py",
}

each_metric = pytest.mark.parametrize("row", METRICS, ids=lambda row: row.name)


@each_metric
def test_a_row_is_complete(row: Metric) -> None:
    assert re.fullmatch(r"[a-z][a-z0-9_]*(\.[a-z0-9_]+)+", row.name)
    assert row.meaning.endswith(".")
    assert row.unit
    assert (row.kind == "histogram") == (row.buckets is not None)
    if row.buckets is not None:
        assert list(row.buckets) == sorted(set(row.buckets))
    names = [attribute.name for attribute in row.attributes]
    assert len(names) == len(set(names))
    for attribute in row.attributes:
        assert attribute.values or attribute.bound, f"{attribute.name} has no bound"


def test_names_are_unique_here_and_in_prometheus() -> None:
    assert len({row.name for row in METRICS}) == len(METRICS)
    series = [name for row in METRICS for name in catalogue.prometheus_series(row)]
    assert len(set(series)) == len(series)


@each_metric
def test_the_instrument_of_a_row_has_its_name_unit_and_meaning(row: Metric) -> None:
    reader = InMemoryMetricReader()
    meter = MeterProvider(metric_readers=[reader], shutdown_on_exit=False).get_meter("test")
    if row.kind.startswith("observable_"):
        from opentelemetry.metrics import Observation

        create(meter, row, [lambda _options: [Observation(1)]])
    else:
        made = create(meter, row)
        getattr(made, {"histogram": "record", "gauge": "set"}.get(row.kind, "add"))(1)
    data = reader.get_metrics_data()
    assert data is not None
    found = data.resource_metrics[0].scope_metrics[0].metrics[0]
    assert (found.name, found.unit, found.description) == (row.name, row.unit, row.meaning)
    if row.buckets is not None:
        assert tuple(found.data.data_points[0].explicit_bounds) == row.buckets  # type: ignore[union-attr]


def test_callbacks_go_with_observable_instruments_only() -> None:
    meter = MeterProvider(shutdown_on_exit=False).get_meter("test")
    with pytest.raises(ValueError, match="takes no callbacks"):
        create(meter, metric("ada.cache.lookups"), [lambda _options: []])
    with pytest.raises(ValueError, match="needs callbacks"):
        create(meter, metric("process.uptime"))


def test_instruments_are_made_from_the_catalogue_alone() -> None:
    made = re.compile(r"\.create_(?:observable_)?(?:counter|up_down_counter|histogram|gauge)\(")
    found = {
        str(file.relative_to(REPOSITORY))
        for file in (REPOSITORY / "ada_otel").rglob("*.py")
        if made.search(file.read_text(encoding="utf-8"))
    }
    assert found - _BY_HAND == set()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("http.server.request.duration", "http_server_request_duration_seconds"),
        ("http.server.request.body.size", "http_server_request_body_size_bytes"),
        ("db.client.connection.timeouts", "db_client_connection_timeouts_total"),
        ("db.client.connections.usage", "db_client_connections_usage"),
        ("process.cpu.time", "process_cpu_time_seconds_total"),
        ("process.cpu.utilization", "process_cpu_utilization_ratio"),
        ("system.cpu.load_average.1m", "system_cpu_load_average_1m"),
        ("system.memory.usage", "system_memory_usage_bytes"),
    ],
)
def test_the_names_of_prometheus(name: str, expected: str) -> None:
    assert prometheus_name(metric(name)) == expected


def test_the_labels_of_prometheus() -> None:
    assert prometheus_label("http.response.status_code") == "http_response_status_code"
    assert prometheus_label("1st") == "key_1st"
    assert prometheus_label("_x") == "key_x"
    assert prometheus_label("__x") == "__x"
    assert prometheus_label("__name__") == "key__name__", "it would be the name of the metric"


@pytest.mark.parametrize(
    ("unit", "counter", "gauge"),
    [
        ("m/s", "x_meters_per_second_total", "x_meters_per_second"),
        ("By/s", "x_bytes_per_second_total", "x_bytes_per_second"),
        ("{item}/s", "x_per_second_total", "x_per_second"),
        ("{item}/{order}", "x_total", "x"),
        ("1/s", "x_per_second_total", "x_per_second"),
        ("1", "x_total", "x_ratio"),
        ("GBy", "x_gigabytes_total", "x_gigabytes"),
        ("% of x", "x_of_x_total", "x_of_x"),
        ("w/w", "x_w_per_week_total", "x_w_per_week"),
        ("s/", "x_seconds_total", "x_seconds"),
        ('re"q', "x_re_q_total", "x_re_q"),
        ("__x__", "x_x__total", "x_x_"),
    ],
)
def test_units_of_the_app_are_named_as_by_otlp(unit: str, counter: str, gauge: str) -> None:
    """Compared with what Prometheus 3 makes of the same units by OTLP."""
    assert prometheus_name(Metric("x", "counter", unit, "", "")) == counter
    assert prometheus_name(Metric("x", "gauge", unit, "", "")) == gauge


def test_the_page_is_what_the_code_gives() -> None:
    assert docs.METRICS_PAGE.read_text(encoding="utf-8") == docs.metrics_page(), "run: make docs"
    assert all(f"`{row.name}`" in docs.metrics_page() for row in METRICS)
