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


@pytest.mark.parametrize(
    ("name", "bad", "wanted"),
    [
        ("ADA_OTEL_HEALTH_REQUIRED", "databse", "none, or some of database, redis, network"),
        ("ADA_OTEL_HEALTH_REQUIRED", "database;redis", "none, or some of database, redis, network"),
        ("ADA_OTEL_HEALTH_PREFIX", "/prüfung", "a path like /health"),
        ("ADA_OTEL_HEALTH_PREFIX", "/a%20b", "a path like /health"),
        ("ADA_OTEL_HEALTH_PREFIX", "//health", "a path like /health"),
        ("ADA_OTEL_DEPENDENCIES", "db=http://db:80", "a list like database=db.internal:5432"),
        ("ADA_OTEL_DEPENDENCIES", "a=one:1,a=two:2", "a list with a name of its own for each"),
        ("ADA_OTEL_BUSINESS_REDIS_URL", "redis:6379", "an address like redis://redis:6379/3"),
        ("ADA_OTEL_BUSINESS_REDIS_URL", "http://redis", "an address like redis://redis:6379/3"),
        ("ADA_OTEL_BUSINESS_REDIS_URL", "redis://redis:port", "an address like redis://redis:6379/3"),
    ],
)
def test_a_value_that_would_do_nothing_is_said(
    name: str, bad: str, wanted: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert settings.load({name: bad}) == settings.load({})
    (said,) = caplog.messages
    assert f"{name} is {bad!r}" in said
    assert wanted in said


def test_good_values_are_taken_as_ever(caplog: pytest.LogCaptureFixture) -> None:
    loaded = settings.load(
        {
            "ADA_OTEL_HEALTH_REQUIRED": "Redis, network",
            "ADA_OTEL_HEALTH_PREFIX": "/internal/health-1/",
            "ADA_OTEL_DEPENDENCIES": "db=db.internal:5432,mail=[::1]:25,v6=fe80::1%eth0:80",
            "ADA_OTEL_BUSINESS_REDIS_URL": "unix://user@/run/redis.sock",
            "ADA_OTEL_METRICS_PREFIX": "NONE",
        }
    )
    assert loaded.health_required == ("redis", "network")
    assert loaded.health_prefix == "/internal/health-1"
    assert loaded.dependencies[1:] == (("mail", "::1", 25), ("v6", "fe80::1%eth0", 80))
    assert loaded.business_redis_url == "unix://user@/run/redis.sock"
    assert loaded.metrics_prefix == ""
    assert settings.load({"ADA_OTEL_METRICS_PREFIX": "Auto"}).metrics_prefix == "auto"
    assert settings.load({"ADA_OTEL_HEALTH_REQUIRED": "none"}).health_required == ()
    assert caplog.messages == []


def test_no_password_is_in_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    settings.load({"ADA_OTEL_BUSINESS_REDIS_URL": "reds://app:s3cret@redis:6379"})
    settings.apply_defaults({"OTEL_EXPORTER_OTLP_ENDPOINT": "htp://app:s3cret@collector"})
    assert "reds://***@redis:6379" in caplog.text
    assert "htp://***@collector" in caplog.text
    assert "s3cret" not in caplog.text


@pytest.mark.parametrize(
    ("name", "bad", "left"),
    [
        ("OTEL_PROPAGATORS", "nope", "tracecontext,baggage"),
        ("OTEL_PROPAGATORS", "b3multi,nope", "b3multi"),
        ("OTEL_PYTHON_ID_GENERATOR", "nope", "random"),
        ("OTEL_METRICS_EXEMPLAR_FILTER", "nope", "trace_based"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "-5", "15000"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "soon", "15000"),
        ("OTEL_METRIC_EXPORT_TIMEOUT", "nan", None),
        ("OTEL_TRACES_SAMPLER", "sometimes", "parentbased_always_on"),
        ("OTEL_ATTRIBUTE_COUNT_LIMIT", "-1", None),
        ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "many", None),
        ("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "1e3", None),
    ],
)
def test_what_the_sdk_could_not_start_with_is_replaced(
    name: str, bad: str, left: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    environ = {name: bad}
    settings.apply_defaults(environ)
    assert environ.get(name) == left
    (said,) = caplog.messages
    assert said.startswith(f"{name} ")
    assert repr(bad.rsplit(",", maxsplit=1)[-1]) in said


@pytest.mark.parametrize("sampler", ["traceidratio", "parentbased_traceidratio"])
@pytest.mark.parametrize(("share", "left"), [("2", None), ("half", None), ("nan", None), ("0.25", "0.25")])
def test_the_share_of_traces_is_one(
    sampler: str, share: str, left: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    environ = {"OTEL_TRACES_SAMPLER": sampler, "OTEL_TRACES_SAMPLER_ARG": share}
    settings.apply_defaults(environ)
    assert (environ["OTEL_TRACES_SAMPLER"], environ.get("OTEL_TRACES_SAMPLER_ARG")) == (sampler, left)
    assert len(caplog.messages) == (left is None)
    other = {"OTEL_TRACES_SAMPLER": "always_off", "OTEL_TRACES_SAMPLER_ARG": "any"}
    settings.apply_defaults(other)
    assert other["OTEL_TRACES_SAMPLER_ARG"] == "any", "a sampler of somebody else may take what it likes"


def test_what_the_sdk_takes_is_left_alone(caplog: pytest.LogCaptureFixture) -> None:
    given = {
        "OTEL_PROPAGATORS": "tracecontext, b3multi",
        "OTEL_PYTHON_ID_GENERATOR": "random",
        "OTEL_METRICS_EXEMPLAR_FILTER": "always_off",
        "OTEL_METRIC_EXPORT_INTERVAL": "60000.5",
        "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT": "0",
        "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT": "",
    }
    environ = dict(given)
    settings.apply_defaults(environ)
    assert {name: environ[name] for name in given} == given
    assert caplog.messages == []
