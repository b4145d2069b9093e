"""Real gunicorn: what its workers recorded arrives, however they end."""

from __future__ import annotations

import collections
import http.client
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.drills.faults import collector
from tests.drills.programs import SETUP, environment_of
from tests.drills.report import LONG, figures
from tests.support.otlp_receiver import attributes, otlp_receiver
from tests.support.ports import free_port
from tests.support.process import clean_environment

pytestmark = pytest.mark.drill

APP = (
    SETUP
    + """
def app(environ, start_response):
    record(environ["PATH_INFO"])
    start_response("200 OK", [("content-length", "2")])
    return [b"ok"]
"""
)

REQUESTS = 2000 if LONG else 200


def get(port: int, path: str) -> None:
    """Ask until it is answered: a worker that recycles may drop a connection that it has not read."""
    for _ in range(100):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        try:
            connection.request("GET", path)
            assert connection.getresponse().read() == b"ok"
        except OSError:
            time.sleep(0.1)
        else:
            return
        finally:
            connection.close()
    raise AssertionError("gunicorn does not answer")


@pytest.mark.parametrize("preload", [False, True])
@pytest.mark.parametrize("worker", ["sync", "gthread", "gevent"])
def test_nothing_is_lost_through_recycling_reload_and_stop(worker: Any, preload: Any, tmp_path: Path) -> None:
    (tmp_path / "drillapp.py").write_text(APP)
    port = free_port()
    command = [sys.executable, "-m", "gunicorn", "drillapp:app", "-b", f"127.0.0.1:{port}", "-w", "2"]
    command += ["-k", worker, "--max-requests", "30", "--log-level", "warning", "--graceful-timeout", "10"]
    command += ["--preload"] if preload else []
    command += ["--threads", "4"] if worker == "gthread" else []
    with collector() as server:
        environment = {**environment_of(tmp_path), "OTEL_EXPORTER_OTLP_ENDPOINT": server.endpoint}
        process = subprocess.Popen(
            command,
            cwd=tmp_path,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            for number in range(REQUESTS):
                get(port, f"/{number}")
                if number == REQUESTS // 2:
                    process.send_signal(signal.SIGHUP)
                    time.sleep(0.5)
            begun = time.monotonic()
            process.send_signal(signal.SIGTERM)
            out = process.communicate(timeout=40)[0]
            seconds = time.monotonic() - begun
        finally:
            if process.poll() is None:
                os.kill(process.pid, signal.SIGKILL)
                process.communicate()
        counts = collections.Counter(server.names())
        figures(
            "gunicorn",
            worker=worker,
            preload=preload,
            sent=REQUESTS,
            found=len(counts),
            seconds=round(seconds, 2),
        )
        assert process.returncode == 0, out
        assert set(counts) == {f"/{number}" for number in range(REQUESTS)}, out
        assert set(server.bodies()) == set(counts)
        assert "Traceback" not in out, out
        # The gevent worker now and then waits for its whole graceful timeout, 10 s, without any telemetry as
        # well: with --preload and an app of three lines, 5 stops of 20 did.
        assert seconds < (18 if worker == "gevent" else 8)


HOST = """
import os
from pathlib import Path
import flask
import ada_otel

app = flask.Flask("host")
ada_otel.setup(app)
from opentelemetry import metrics
instance = metrics.get_meter_provider()._sdk_config.resource.attributes["service.instance.id"]
Path(instance).write_text(str(os.getpid()))
app.get("/")(lambda: "ok")
"""


def test_another_worker_speaks_for_the_host_when_the_one_that_did_is_killed(tmp_path: Path) -> None:
    (tmp_path / "hostapp.py").write_text(HOST)
    port = free_port()
    command = [sys.executable, "-m", "gunicorn", "hostapp:app", "-b", f"127.0.0.1:{port}", "-w", "3"]
    with otlp_receiver() as received:
        environment = clean_environment(
            {
                "OTEL_SERVICE_NAME": f"host-{port}",
                "OTEL_EXPORTER_OTLP_ENDPOINT": received.endpoint,
                "OTEL_METRIC_EXPORT_INTERVAL": "500",
                "HOME": str(tmp_path),
            }
        )

        def reporters(since: int) -> list[str]:
            """Who has reported the host's memory, and how often, in each export from one on."""
            return [
                attributes(block.resource.attributes)["service.instance.id"]
                for request in received.metrics[since:]
                for block in request.resource_metrics
                for scope in block.scope_metrics
                for metric in scope.metrics
                if metric.name == "system.memory.usage"
            ]

        def reported(since: int, times: int) -> str:
            deadline = time.monotonic() + 60
            while len(reporters(since)) < times:
                assert time.monotonic() < deadline, "nobody reports the host"
                time.sleep(0.1)
            (one,) = set(reporters(since))
            return one

        process = subprocess.Popen(
            command, cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            killed = []
            for _ in range(2):
                speaker = reported(len(received.metrics), 4)
                assert speaker not in killed
                os.kill(int((tmp_path / speaker).read_text()), signal.SIGKILL)
                killed.append(speaker)
                time.sleep(0.5)  # what was on its way has come
            assert reported(len(received.metrics), 4) not in killed
        finally:
            process.terminate()
            process.wait(40)
