from __future__ import annotations

import logging

import pytest

from ada_otel import settings
from ada_otel._diagnostics import forget_reports


@pytest.fixture(autouse=True)
def _fresh_reports() -> None:
    forget_reports()


def test_every_row_has_a_default_that_its_own_parser_takes() -> None:
    for row in settings.rows():
        row.parse(row.default)
        assert row.env.startswith("ADA_OTEL_")
        assert row.meaning.endswith(".")
    assert len({row.env for row in settings.rows()}) == len(settings.rows())


def test_values_are_read() -> None:
    loaded = settings.load({"ADA_OTEL_FAST_PATH": "false", "ADA_OTEL_LOG_LEVEL": "warn"})
    assert loaded.fast_path is False
    assert loaded.log_level == "WARNING"


def test_a_bad_value_falls_back_with_one_warning_that_names_it(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            assert settings.load({"ADA_OTEL_FAST_PATH": "maybe"}).fast_path is True
    assert [record.getMessage() for record in caplog.records] == [
        "ADA_OTEL_FAST_PATH is 'maybe', which is not true or false; the default 'true' is used."
    ]


def test_defaults_fill_only_what_is_unset() -> None:
    environ = {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", "OTEL_TRACES_EXPORTER": "none"}
    settings.apply_defaults(environ)
    assert environ["OTEL_EXPORTER_OTLP_PROTOCOL"] == "grpc"
    assert environ["OTEL_TRACES_EXPORTER"] == "none"
    assert environ["OTEL_METRICS_EXPORTER"] == "otlp"
    assert environ["OTEL_SEMCONV_STABILITY_OPT_IN"] == "http,database"
    assert environ["OTEL_TRACES_SAMPLER"] == "parentbased_always_on"


def test_a_protocol_the_sdk_cannot_start_with_is_replaced(caplog: pytest.LogCaptureFixture) -> None:
    environ = {"OTEL_EXPORTER_OTLP_PROTOCOL": "http"}
    settings.apply_defaults(environ)
    assert environ["OTEL_EXPORTER_OTLP_PROTOCOL"] == "http/protobuf"
    assert "OTEL_EXPORTER_OTLP_PROTOCOL is 'http', which is not one of http/protobuf, grpc" in caplog.text


@pytest.mark.parametrize("bad", ["localhost:4318", "collector", "http://", "http://host:port"])
def test_an_endpoint_that_is_no_url_is_ignored_and_named(bad: str, caplog: pytest.LogCaptureFixture) -> None:
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": bad}
    settings.apply_defaults(environ)
    assert "OTEL_EXPORTER_OTLP_ENDPOINT" not in environ
    assert f"OTEL_EXPORTER_OTLP_ENDPOINT is {bad!r}" in caplog.text
    assert "http://collector:4318" in caplog.text


def test_the_grpc_port_under_http_is_pointed_out(caplog: pytest.LogCaptureFixture) -> None:
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4317"}
    settings.apply_defaults(environ)
    assert environ["OTEL_EXPORTER_OTLP_ENDPOINT"] == "http://collector:4317"
    assert "port 4317 is usually grpc" in caplog.text
