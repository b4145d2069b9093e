"""The pages are there whatever becomes of the telemetry, and however the process is started."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.process import OWN_LAUNCHER, run_program

APP = """
import logging
import os

logging.basicConfig(format="%(message)s")
{begin}
import flask

app = flask.Flask("shop")


@app.get("/")
def index():
    return "ok"


{end}
client = app.test_client()
paths = ("/", "/health", "/health/ready", "/health/detailed", "/metrics")
print(*(client.get(path).status_code for path in paths), flush=True)
os._exit(0)
"""
PAGES = "200 200 200 200 200\n"
QUIET = {
    "OTEL_SERVICE_NAME": "shop",
    "OTEL_TRACES_EXPORTER": "none",
    "OTEL_METRICS_EXPORTER": "none",
    "OTEL_LOGS_EXPORTER": "none",
    "ADA_OTEL_STARTUP_CHECK": "false",
    "ADA_OTEL_METRICS_ENDPOINT": "true",
    "ADA_OTEL_HEALTH_TIMEOUT": "5",
}


@pytest.mark.parametrize("disabled", ["flask", "*"])
@pytest.mark.parametrize("launcher", [True, OWN_LAUNCHER], ids=["stock", "own"])
def test_without_the_instrumentation_of_flask(launcher: object, disabled: str, tmp_path: Path) -> None:
    environment = {**QUIET, "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": disabled}
    source = APP.format(begin="", end="")
    done = run_program(source, tmp_path, launcher=launcher, environment=environment)  # type: ignore[arg-type]
    assert done.stdout == PAGES, done.stderr


WAYS = {
    "launcher": ("", ""),
    "setup": ("", "import ada_otel; ada_otel.setup(app)"),
    "early": ("import ada_otel; ada_otel.setup()", ""),
}


@pytest.mark.parametrize("way", WAYS)
def test_without_an_sdk(way: str, tmp_path: Path) -> None:
    begin, end = WAYS[way]
    environment = {**QUIET, "OTEL_CONFIG_FILE": "/nowhere.yaml"}
    source = APP.format(begin=begin, end=end)
    done = run_program(source, tmp_path, launcher=way == "launcher", environment=environment)
    assert done.stdout == PAGES[:-4] + "404\n", done.stderr
    assert done.stderr.count("Starting the OpenTelemetry SDK failed") == 1


@pytest.mark.parametrize("way", WAYS)
def test_switched_off_means_off(way: str, tmp_path: Path) -> None:
    begin, end = WAYS[way]
    environment = {**QUIET, "OTEL_SDK_DISABLED": "true"}
    source = APP.format(begin=begin, end=end)
    done = run_program(source, tmp_path, launcher=way == "launcher", environment=environment)
    assert done.stdout == "200 404 404 404 404\n", done.stderr


@pytest.mark.parametrize(
    ("name", "bad", "answers", "said"),
    [
        ("ADA_OTEL_METRICS_PATH", "/health/ready", "404", "where a health page is already"),
        ("ADA_OTEL_HEALTH_PREFIX", "/metrics", "200", "ADA_OTEL_METRICS_PATH is '/metrics', where a health"),
        ("ADA_OTEL_METRICS_FOLDER", "/dev/null/x", "200", "ADA_OTEL_METRICS_FOLDER is '/dev/null/x', which"),
        ("ADA_OTEL_METRICS_FOLDER", "/proc/self", "200", "ADA_OTEL_METRICS_FOLDER is '/proc/self', which"),
        ("OTEL_PROPAGATORS", "nope", "200", "OTEL_PROPAGATORS names 'nope'"),
        ("OTEL_SPAN_LINK_COUNT_LIMIT", "x", "200", "OTEL_SPAN_LINK_COUNT_LIMIT is 'x'"),
    ],
)
def test_a_setting_that_cannot_be_used_is_said_and_takes_nothing_else_away(
    name: str, bad: str, answers: str, said: str, tmp_path: Path
) -> None:
    source = APP.format(begin="", end="import ada_otel; ada_otel.setup(app)")
    done = run_program(source, tmp_path, environment={**QUIET, name: bad})
    assert done.stdout.split()[0] == "200"
    assert done.stdout.split()[-1] == answers, done.stderr
    assert done.stderr.count(said) == 1, done.stderr
    assert " failed: " not in done.stderr
