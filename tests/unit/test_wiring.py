"""The two ways in, as a user takes them: a program in a process of its own, and an OTLP receiver."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.support.otlp_receiver import Received, otlp_receiver
from tests.support.process import OWN_LAUNCHER, run_program

APP = textwrap.dedent("""
    import logging
    import flask
    import sqlalchemy
    from sqlalchemy.pool import StaticPool

    engine = sqlalchemy.create_engine(
        "sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False}
    )
    app = flask.Flask("shop")

    @app.get("/items/<int:number>")
    def item(number):
        logging.getLogger("shop.items").info("item %s", number, extra={"item": number})
        with engine.connect() as connection:
            connection.execute(sqlalchemy.text("select 1")).all()
        return "ok"

    @app.get("/boom")
    def boom():
        raise RuntimeError("no")
""")

DRIVE = textwrap.dedent("""
    client = app.test_client()
    assert client.get("/items/3").status_code == 200
    assert client.get("/items/4").status_code == 200
    assert client.get("/nowhere").status_code == 404
    assert client.get("/boom").status_code == 500
    print("served")
""")

SETUP_LATE = APP + "import ada_otel\nada_otel.setup(app)\nada_otel.setup(app)\n" + DRIVE
SETUP_EARLY = "import ada_otel\nada_otel.setup()\n" + APP + "ada_otel.setup(app)\n" + DRIVE
PLAIN = APP + DRIVE


def _environment(received: Received, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    return {
        "OTEL_SERVICE_NAME": "shop",
        "OTEL_EXPORTER_OTLP_ENDPOINT": received.endpoint,
        "ADA_OTEL_RAISE": "true",
        **(extra or {}),
    }


def _run(
    folder: Path, source: str, *, launcher: bool | Sequence[str] = False, **extra: str
) -> tuple[Received, Any]:
    with otlp_receiver() as received:
        done = run_program(source, folder, launcher=launcher, environment=_environment(received, extra))
    assert "served" in done.stdout, done.stderr
    return received, done


#: Different each time; that they are there is compared.
_VARYING = {"code.line.number", "exception.stacktrace", "server.port", "request_id", "duration_seconds"}


def _comparable(attributes: dict[str, Any]) -> frozenset[tuple[str, Any]]:
    return frozenset((name, "varies" if name in _VARYING else v) for name, v in attributes.items())


def _shape(received: Received) -> dict[str, Any]:
    """All that must be the same whichever way telemetry was started."""
    spans = received.spans()
    names = {span["span_id"]: span["name"] for span in spans}
    return {
        "spans": Counter(
            (
                span["name"],
                span["kind"],
                span["scope"],
                span["status"],
                names.get(span["parent_span_id"]),
                _comparable(span["attributes"]),
            )
            for span in spans
        ),
        "records": Counter(
            (
                record["logger"],
                record["body"],
                record["severity_text"],
                _comparable(record["attributes"]),
                bool(record["trace_id"]),
            )
            for record in received.records()
        ),
        "points": {
            (name, attributes): number
            for (name, attributes, _instance), number in received.points().items()
            if name.startswith(("http.", "db."))
        },
    }


def test_launchers_and_setup_send_the_same(tmp_path: Path) -> None:
    shapes = []
    ways: list[tuple[str, bool | Sequence[str]]] = [
        (PLAIN, True),
        (PLAIN, OWN_LAUNCHER),
        (SETUP_EARLY, False),
        (SETUP_LATE, False),
    ]
    for source, launcher in ways:
        received, done = _run(tmp_path, source, launcher=launcher)
        assert done.returncode == 0, done.stderr
        shapes.append(_shape(received))
    launched, launched_by_ours, early, late = shapes
    assert launched == launched_by_ours
    assert launched == early
    assert launched == late
    spans = Counter(name for name, *_ in launched["spans"].elements())
    assert spans["GET /items/<int:number>"] == 2
    assert spans["GET /boom"] == 1
    assert spans["select"] == 2
    bodies = Counter(body for _logger, body, *_ in launched["records"].elements())
    assert bodies["item 3"] == 1
    assert bodies["item 4"] == 1
    counts = {
        dict(attributes).get("http.route"): number
        for (name, attributes), number in launched["points"].items()
        if name == "http.server.request.duration"
    }
    assert counts["/items/<int:number>"] == 2
    assert counts["/boom"] == 1


def test_setup_under_the_launcher_does_nothing_twice(tmp_path: Path) -> None:
    launched, _ = _run(tmp_path, PLAIN, launcher=True)
    both, _ = _run(tmp_path, SETUP_LATE, launcher=True)
    assert _shape(both) == _shape(launched)


def test_the_log_line_and_its_span_share_a_trace(tmp_path: Path) -> None:
    received, _ = _run(tmp_path, PLAIN, launcher=True)
    (record,) = (record for record in received.records() if record["body"] == "item 3")
    assert record["logger"] == "shop.items"
    assert record["severity_text"] == "INFO"
    assert record["attributes"]["item"] == 3
    assert record["attributes"]["code.function.name"] == "item"
    servers = {span["span_id"]: span for span in received.spans() if span["name"].startswith("GET /items")}
    assert servers[record["span_id"]]["trace_id"] == record["trace_id"]


def test_resource_names_the_service_its_version_and_the_distribution(tmp_path: Path) -> None:
    received, _ = _run(tmp_path, PLAIN, launcher=True, APP_VERSION="7.3.1")
    resource = received.resources()[0]
    assert resource["service.name"] == "shop"
    assert resource["service.version"] == "7.3.1"
    assert resource["telemetry.distro.name"] == "ada-otel"


def test_resource_attributes_win_over_app_version(tmp_path: Path) -> None:
    received, _ = _run(
        tmp_path,
        PLAIN,
        launcher=True,
        APP_VERSION="7.3.1",
        OTEL_RESOURCE_ATTRIBUTES="service.version=8,deployment.environment.name=test",
    )
    resource = received.resources()[0]
    assert resource["service.version"] == "8"
    assert resource["deployment.environment.name"] == "test"


@pytest.mark.parametrize("launcher", [True, False])
def test_sdk_disabled_sends_nothing_and_touches_nothing(tmp_path: Path, launcher: bool) -> None:
    source = (PLAIN if launcher else SETUP_LATE) + "print(type(app).__mro__[0].__module__)\n"
    received, done = _run(tmp_path, source, launcher=launcher, OTEL_SDK_DISABLED="true")
    assert done.returncode == 0
    assert (received.traces, received.metrics, received.logs) == ([], [], [])
    assert "flask.app" in done.stdout


def test_otel_variables_win(tmp_path: Path) -> None:
    received, done = _run(
        tmp_path,
        PLAIN,
        launcher=True,
        OTEL_TRACES_EXPORTER="none",
        OTEL_SEMCONV_STABILITY_OPT_IN="default",
        OTEL_PYTHON_DISABLED_INSTRUMENTATIONS="logging",
    )
    assert done.returncode == 0
    assert received.spans() == []
    assert received.records() == []
    assert "http.server.duration" in {name for name, *_ in received.points()}


def test_a_user_may_disable_one_of_ours(tmp_path: Path) -> None:
    received, _ = _run(
        tmp_path, PLAIN, launcher=True, OTEL_PYTHON_DISABLED_INSTRUMENTATIONS="sqlalchemy, requests"
    )
    assert {span["name"] for span in received.spans()} >= {"GET /items/<int:number>"}
    assert "select" not in {span["name"] for span in received.spans()}


def test_config_file(tmp_path: Path) -> None:
    with otlp_receiver() as received:
        (tmp_path / "otel.yaml").write_text(
            textwrap.dedent(f"""
                file_format: "1.0"
                resource:
                  attributes:
                    - name: service.name
                      value: from-file
                tracer_provider:
                  processors:
                    - batch:
                        exporter:
                          otlp_http:
                            endpoint: {received.endpoint}/v1/traces
            """)
        )
        done = run_program(
            PLAIN, tmp_path, launcher=True, environment={"OTEL_CONFIG_FILE": str(tmp_path / "otel.yaml")}
        )
    assert "served" in done.stdout, done.stderr
    assert received.resources()[0]["service.name"] == "from-file"
    assert "GET /items/<int:number>" in {span["name"] for span in received.spans()}
    assert received.metrics == []


def test_a_config_file_that_is_not_there_is_named_and_the_app_starts(tmp_path: Path) -> None:
    done = run_program(PLAIN, tmp_path, launcher=True, environment={"OTEL_CONFIG_FILE": "/nowhere/otel.yaml"})
    assert done.returncode == 0
    assert "served" in done.stdout
    assert "/nowhere/otel.yaml" in done.stderr


@pytest.mark.parametrize(
    ("variable", "text", "said"),
    [
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "carrier-pigeon", "not one of http/protobuf, grpc"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "no-url", "OTEL_EXPORTER_OTLP_ENDPOINT is 'no-url'"),
        (
            "OTEL_TRACES_EXPORTER",
            "fax",
            "OTEL_TRACES_EXPORTER names 'fax', which is not one of console, none",
        ),
        ("ADA_OTEL_LOG_LEVEL", "loud", "ADA_OTEL_LOG_LEVEL is 'loud'"),
    ],
)
def test_a_bad_setting_is_named_and_the_app_answers(
    tmp_path: Path, variable: str, text: str, said: str
) -> None:
    environment = {
        "OTEL_SERVICE_NAME": "shop",
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1",
        "OTEL_EXPORTER_OTLP_TIMEOUT": "1",
        variable: text,
    }
    done = run_program(PLAIN, tmp_path, launcher=True, environment=environment)
    assert "served" in done.stdout, done.stderr
    assert said in done.stderr


def test_an_unreachable_collector_is_named_and_the_app_answers(tmp_path: Path) -> None:
    environment = {"OTEL_SERVICE_NAME": "shop", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}
    done = run_program(
        PLAIN + "import time; time.sleep(0.5)\n", tmp_path, launcher=True, environment=environment
    )
    assert "served" in done.stdout
    assert "nothing answers at the collector's address http://127.0.0.1:1" in done.stderr


def _install_fake(folder: Path, name: str, entry_points: str, code: str) -> Path:
    """Make an installed distribution, metadata and all, in a folder for PYTHONPATH."""
    site = folder / "site"
    info = site / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(entry_points)
    (site / f"{name}.py").write_text(code)
    return site


def test_an_instrumentor_that_fails_is_reported_once_and_stops_no_other(tmp_path: Path) -> None:
    site = _install_fake(
        tmp_path,
        "broken_instrumentation",
        "[opentelemetry_instrumentor]\nbroken = broken_instrumentation:Broken\n",
        textwrap.dedent("""
            from opentelemetry.instrumentation.instrumentor import BaseInstrumentor

            class Broken(BaseInstrumentor):
                def instrumentation_dependencies(self):
                    return ()
                def _instrument(self, **kwargs):
                    raise RuntimeError("out of cheese")
                def _uninstrument(self, **kwargs):
                    pass
        """),
    )
    for launcher in (True, False):
        with otlp_receiver() as received:
            environment = {**_environment(received), "PYTHONPATH": str(site), "ADA_OTEL_RAISE": ""}
            done = run_program(
                PLAIN if launcher else SETUP_LATE, tmp_path, launcher=launcher, environment=environment
            )
        assert "served" in done.stdout
        assert done.stderr.count("out of cheese") == 1, done.stderr
        assert "instrumentation 'broken' was not started: RuntimeError: out of cheese" in done.stderr
        assert {"GET /items/<int:number>", "select"} <= {span["name"] for span in received.spans()}


_OTHER_DISTRO = textwrap.dedent("""
    from opentelemetry.instrumentation.distro import BaseDistro
    from opentelemetry.sdk._configuration import _OTelSDKConfigurator

    class OtherDistro(BaseDistro):
        def _configure(self, **kwargs):
            print("other distro")

    class OtherConfigurator(_OTelSDKConfigurator):
        def _configure(self, **kwargs):
            print("other configurator")
""")


@pytest.mark.parametrize("chosen", ["ada_otel", "other", ""])
def test_a_second_distribution_beside_ours(tmp_path: Path, chosen: str) -> None:
    site = _install_fake(
        tmp_path,
        "other_distro",
        "[opentelemetry_distro]\nother = other_distro:OtherDistro\n"
        "[opentelemetry_configurator]\nother = other_distro:OtherConfigurator\n",
        _OTHER_DISTRO,
    )
    with otlp_receiver() as received:
        environment = {**_environment(received), "PYTHONPATH": str(site)}
        if chosen:
            environment |= {"OTEL_PYTHON_DISTRO": chosen, "OTEL_PYTHON_CONFIGURATOR": chosen}
        done = run_program(PLAIN, tmp_path, launcher=True, environment=environment)
    assert "served" in done.stdout
    ours = bool(received.spans())
    theirs = "other configurator" in done.stdout
    assert ours != theirs
    if chosen:
        assert ours == (chosen == "ada_otel")
    assert ("ada-otel is installed, but" in done.stderr) == theirs
    if ours:
        assert Counter(span["name"] for span in received.spans())["GET /boom"] == 1


def test_setup_uses_an_sdk_that_the_app_has_set_itself(tmp_path: Path) -> None:
    source = (
        textwrap.dedent("""
            from opentelemetry import trace
            from opentelemetry.sdk.trace import TracerProvider
            from opentelemetry.sdk.trace.export import SimpleSpanProcessor
            from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
            exporter = InMemorySpanExporter()
            provider = TracerProvider()
            provider.add_span_processor(SimpleSpanProcessor(exporter))
            trace.set_tracer_provider(provider)
        """)
        + SETUP_LATE
        + "assert trace.get_tracer_provider() is provider\n"
        + "print(sorted(span.name for span in exporter.get_finished_spans()))\n"
    )
    with otlp_receiver() as received:
        done = run_program(source, tmp_path, environment=_environment(received))
    assert done.returncode == 0, done.stderr
    assert "GET /items/<int:number>" in done.stdout
    assert received.traces == []


def test_an_sdk_that_differs_from_what_the_fast_path_leans_on_is_used_as_it_is(tmp_path: Path) -> None:
    source = (
        "from ada_otel.pipeline.tracing import shape\nshape.problem = lambda: 'a test says so'\n" + SETUP_LATE
    )
    received, done = _run(
        tmp_path, source + "\nfrom opentelemetry import trace\nprint(type(trace.get_tracer_provider()))"
    )
    assert "differs from what the fast path leans on (a test says so)" in done.stderr
    assert "<class 'opentelemetry.sdk.trace.TracerProvider'>" in done.stdout
    assert "GET /items/<int:number>" in {span["name"] for span in received.spans()}
