"""uWSGI, whose fork skips Python's hooks, and Flask's reloader: what was driven is what is counted."""

from __future__ import annotations

import os
import signal
import sysconfig
import time
from pathlib import Path
from typing import Any

import pytest

from tests.drills.faults import Collector, collector
from tests.drills.programs import ROOT
from tests.drills.report import LONG, figures
from tests.drills.servers import FLASK_APP, running
from tests.support.ports import free_port
from tests.support.process import LAUNCHER

pytestmark = pytest.mark.drill

#: These servers end late, or not within their seconds, on a machine that does other work: seen in one run of
#: three under load, and not without. The summary names each further try as RERUN.
_LOADED = pytest.mark.flaky(reruns=4, reruns_delay=5)

SCRIPTS = Path(sysconfig.get_path("scripts"))
REQUESTS = 2000 if LONG else 90
DURATION = "http.server.request.duration"


def _environment(server: Collector) -> dict[str, str]:
    return {
        "OTEL_EXPORTER_OTLP_ENDPOINT": server.endpoint,
        "OTEL_SERVICE_NAME": "drill",
        "OTEL_METRIC_EXPORT_INTERVAL": "1000",
        "ADA_OTEL_EXIT_TIMEOUT": "10",
    }


def _counted(server: Collector) -> tuple[int, int, dict[str, int]]:
    """Server spans, requests by the metric, and the latter by process."""
    totals = server.totals(DURATION)
    return sum(span.kind == 2 for span in server.spans()), sum(totals.values()), totals


@_LOADED
@pytest.mark.parametrize("way", ["launcher", "setup", "setup, lazy-apps"])
def test_uwsgi(way: Any, tmp_path: Path) -> None:
    before = "" if way == "launcher" else "import ada_otel\nada_otel.setup()\n"
    (tmp_path / "drillapp.py").write_text(before + FLASK_APP)
    port = free_port()
    command = [LAUNCHER] if way == "launcher" else []
    command += [str(SCRIPTS / "uwsgi"), "--http-socket", f"127.0.0.1:{port}", "--module", "drillapp:app"]
    command += ["--master", "--processes", "2", "--enable-threads", "--die-on-term", "--need-app"]
    command += [
        "--max-requests",
        "20",
        "--min-worker-lifetime",
        "0",
        "--worker-reload-mercy",
        "20",
        "--disable-logging",
    ]
    command += ["--lazy-apps"] if "lazy" in way else []
    with collector() as server, running(command, tmp_path, port, _environment(server)) as uwsgi:
        for number in range(REQUESTS):
            uwsgi.get(f"/{number}")
        time.sleep(0.5)  # uWSGI runs no exit hook in a worker that is still busy with its last answer
        seconds = uwsgi.stop()
        spans, counted, totals = _counted(server)
        figures("uwsgi", way=way, sent=REQUESTS, found=spans, counted=counted, instances=len(totals),
                seconds=round(seconds, 2))  # fmt: skip
        assert (spans, counted) == (REQUESTS, REQUESTS), uwsgi.output
        assert len([count for count in totals.values() if count]) >= 2
        assert "Traceback" not in uwsgi.output, uwsgi.output


@_LOADED
def test_flask_reloader(tmp_path: Path) -> None:
    """Both generations of the app are counted: the one that the reloader ends, and the one that follows."""
    module = tmp_path / "drillapp.py"
    module.write_text(FLASK_APP)
    port = free_port()
    command = [LAUNCHER, str(SCRIPTS / "flask"), "--app", "drillapp", "run"]
    command += ["--port", str(port), "--reload"]
    command += ["--exclude-patterns", f"{ROOT}/*"]  # where the package is not installed but linked
    with collector() as server, running(command, tmp_path, port, _environment(server)) as flask:
        for number in range(REQUESTS // 2):
            flask.get(f"/{number}")
        os.utime(module, (time.time() + 5, time.time() + 5))
        assert server.wait_for(lambda: flask.output.count("Restarting with") == 2, 30), flask.output
        for number in range(REQUESTS - REQUESTS // 2):
            flask.get(f"/{number}")
        seconds = flask.stop(signal.SIGINT)  # as Ctrl-C does, to the reloader and to what it started
        server.wait_for(lambda: _counted(server)[:2] == (REQUESTS, REQUESTS))
        spans, counted, totals = _counted(server)
        figures("flask reloader", sent=REQUESTS, found=spans, counted=counted, instances=len(totals),
                seconds=round(seconds, 2))  # fmt: skip
        assert (spans, counted) == (REQUESTS, REQUESTS), flask.output
        assert len([count for count in totals.values() if count]) == 2
