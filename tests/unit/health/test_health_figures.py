"""History, figures of requests, metrics of health, and the command that shows them."""

from __future__ import annotations

import json
import math
import threading
import time
from pathlib import Path
from wsgiref.simple_server import WSGIRequestHandler, make_server

import flask
import pytest
from opentelemetry import metrics
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from ada_otel import cli
from ada_otel import health as public
from ada_otel.observers._cgroup import Limits
from ada_otel.performance.shown import blocks, plain, rows
from ada_otel.pipeline.metrics import MeterProvider
from ada_otel.web.health import _requests
from ada_otel.web.health._host import Host
from tests.support.process import run_program
from tests.unit.health.conftest import Start


def test_cpu_is_the_share_since_the_last_look() -> None:
    host = Host(90, 90, 90, "/nowhere")
    host.run()
    assert math.isnan(host.cpu)
    end = host._before[0] + 1 if host._before else 0  # a second of all processors together
    while host._before is not None and host._before[0] < end:
        sum(range(100_000))
        host.run()
    assert 0 <= host.cpu <= 100
    assert math.isnan(host.disk)


def test_in_a_container_percent_are_of_its_limits(tmp_path: Path) -> None:
    """The control group is a folder that looks like one; no container is started."""
    for name, text in {
        "cgroup.controllers": "cpu memory\n",
        "cpu.max": "50000 100000\n",
        "cpu.stat": "usage_usec 2000000\n",
        "memory.max": "1000000\n",
        "memory.current": "990000\n",
        "memory.stat": "inactive_file 40000\n",
    }.items():
        (tmp_path / name).write_text(text)
    host = Host(90, 90, 90, "/nowhere", lambda: Limits(tmp_path, tmp_path / "none"))
    assert host.run().reason == "above the threshold: memory"
    assert host.memory == 95.0
    assert math.isnan(host.cpu)
    # More than half a CPU can have done since then.
    (tmp_path / "cpu.stat").write_text("usage_usec 2000000000\n")
    assert host.run().reason == "above the threshold: cpu, memory"
    assert host.cpu == 100.0
    time.sleep(0.05)
    host.run()
    assert host.cpu == 0.0


@pytest.mark.parametrize("exporter", ["otlp", "none"])
def test_requests_are_counted_without_a_thing_added_to_them(exporter: str, tmp_path: object) -> None:
    source = """
import flask, ada_otel
app = flask.Flask("shop")
ada_otel.setup(app)
app.get("/")(lambda: "ok")
app.get("/boom", endpoint="boom")(lambda: ("no", 500))
from ada_otel.web.health._requests import Requests, totals
requests = Requests()
client = app.test_client()
for path in ["/"] * 3 + ["/boom", "/health", "/health/ready"]:
    client.get(path)
requests.look()
found = totals()
print(found.ended, found.failed, found.active, requests.error_rate, 0 < requests.response_time < 1)
from opentelemetry import metrics
metrics.get_meter_provider().force_flush(100)
client.get("/")
requests.look()
print(totals().ended, requests.error_rate)
requests.look()
print(requests.error_rate)
"""
    done = run_program(
        source,
        Path(str(tmp_path)),
        environment={
            "OTEL_SERVICE_NAME": "shop",
            "OTEL_METRICS_EXPORTER": exporter,
            "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1",
            "ADA_OTEL_METRICS_ENDPOINT": str(exporter == "none").lower(),
            "ADA_OTEL_EXIT_TIMEOUT": "0.1",
        },
    )
    assert done.stdout.splitlines() == ["4.0 1.0 0.0 0.25 True", "5.0 0.0", "nan"], done.stderr


def test_health_pages_are_in_no_span_and_no_request_metric(tmp_path: object) -> None:
    source = """
import flask, ada_otel
from opentelemetry import trace
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
app = flask.Flask("shop")
app.get("/")(lambda: "ok")
ada_otel.setup(app)
later = flask.Flask("later")
later.get("/")(lambda: "ok")
spans = InMemorySpanExporter()
trace.get_tracer_provider().add_span_processor(SimpleSpanProcessor(spans))
for each in (app, later):
    for path in ("/health", "/health/ready", "/health/detailed", "/health/history", "/"):
        status = each.test_client().get(path).status_code
        assert status == 200, (path, status)
from ada_otel.web.health._requests import totals
print([span.name for span in spans.get_finished_spans()], totals().ended)
"""
    done = run_program(
        source,
        Path(str(tmp_path)),
        environment={
            "OTEL_SERVICE_NAME": "shop",
            "OTEL_TRACES_EXPORTER": "none",
            "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1",
            "ADA_OTEL_EXIT_TIMEOUT": "0.1",
        },
    )
    assert done.stdout == "['GET /', 'GET /'] 2.0\n", done.stderr


def test_checks_are_metrics(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], shutdown_on_exit=False)
    monkeypatch.setattr(metrics, "get_meter", provider.get_meter)
    public.check("search", required=True)(lambda: public.degraded("behind"))
    client = start(HEALTH_TIMEOUT="5")
    assert reader.get_metrics_data() is None  # a process that serves nothing runs no checks
    found: dict[tuple[str, ...], float] = {}
    for _ in range(200):
        client.get("/health/ready")
        data = reader.get_metrics_data()
        if data is not None:
            found = {
                (metric.name, *(str(value) for value in (point.attributes or {}).values())): point.value  # type: ignore[union-attr]
                for metric in data.resource_metrics[0].scope_metrics[0].metrics
                for point in metric.data.data_points
            }
        if any("search" in key for key in found):
            break
        threading.Event().wait(0.05)
    assert found["ada.health.status", "search", "True", "degraded"] == 1
    assert found["ada.health.status", "search", "True", "healthy"] == 0
    assert found["ada.health.status", "search", "True", "unhealthy"] == 0
    assert found["ada.health.check.duration", "search"] >= 0


class _Quiet(WSGIRequestHandler):
    def log_message(self, *_args: object) -> None:
        pass


def test_the_command_asks_a_running_app(start: Start, capsys: pytest.CaptureFixture[str]) -> None:
    client = start(HEALTH_TOKEN="s3cret", HEALTH_TIMEOUT="5")
    client.get("/health/ready")
    with make_server("127.0.0.1", 0, client.application, handler_class=_Quiet) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}"
        try:
            assert cli.main(["performance", "--url", url]) == 1
            assert "--token" in capsys.readouterr().err
            assert cli.main(["performance", "--url", url, "--token", "s3cret"]) == 0
            shown = capsys.readouterr().out
            assert "response time" in shown
            assert "memory" in shown
            assert cli.main(["performance", "--url", url, "--token", "s3cret", "--json"]) == 0
            assert "active_requests" in json.loads(capsys.readouterr().out)["columns"]
            assert cli.main(["performance", "--url", url, "--token", "schlüssel-ключ"]) == 1
            assert "401" in capsys.readouterr().err
        finally:
            server.shutdown()
            thread.join()
    assert cli.main(["performance", "--url", "http://127.0.0.1:1"]) == 1
    assert cli.main(["performance", "--url", "ftp://127.0.0.1"]) == 1


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\xff",
        b"[]",
        b'{"columns": {}}',
        b'{"interval_s": 60, "columns": {"time": null}}',
        b'{"interval_s": "x", "columns": {"time": [1]}}',
        b'{"interval_s": 60, "columns": {"time": [1, 2], "cpu": ["x", {}]}}',
        b'{"interval_s": 60, "columns": {"time": ["a"], "cpu": 3}}',
    ],
)
def test_an_answer_that_is_no_history_is_said(answer: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    app = flask.Flask("other")
    app.get("/health/history")(lambda: answer)
    with make_server("127.0.0.1", 0, app, handler_class=_Quiet) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            url = f"http://127.0.0.1:{server.server_port}"
            for more in ([], ["--json"], ["--prefix", "/a b"]):
                assert cli.main(["performance", "--url", url, *more]) == 1
                captured = capsys.readouterr()
                assert "does not answer with a history" in captured.err
                assert captured.out == ""
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("hours", ["-1", "nan", "inf", "a day"])
def test_hours_are_a_length_of_time(hours: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["performance", f"--hours={hours}"])
    assert "--hours" in capsys.readouterr().err


def test_rows_and_blocks() -> None:
    found = {"columns": {"time": [1, 2, 3], "response_time": [0.1, None, 0.3], "cpu": [None, None, None]}}
    shown = {row[0]: row[1:] for row in rows(found)}
    assert shown["response time"] == ("300.0 ms", "200.0 ms", "100.0 ms", "300.0 ms", "▃ █")
    assert shown["CPU"] == ("", "", "", "", "   ")
    assert blocks(list(range(480)))[-1] == "█"
    assert len(blocks(list(range(480)))) == 48
    assert blocks([]) == ""
    assert "300.0 ms" in plain(found)


def test_without_our_metrics_the_figures_are_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "get_meter_provider", metrics.NoOpMeterProvider)
    assert _requests.totals() is None
    requests = _requests.Requests()
    requests.look()
    assert math.isnan(requests.response_time)


def test_flask_apps_are_not_changed_where_nothing_is_served() -> None:
    app = flask.Flask("plain")
    app.get("/health")(lambda: "mine")
    assert app.test_client().get("/health").data == b"mine"
