"""uWSGI, whose fork skips Python's hooks, and Flask's reloader: what was driven is what is counted."""

from __future__ import annotations

import os
import signal
import sys
import sysconfig
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.drills.faults import Collector, collector
from tests.drills.programs import ROOT
from tests.drills.report import LONG, figures
from tests.drills.servers import FLASK_APP, Server, running
from tests.support.ports import free_port
from tests.support.process import LAUNCHER

pytestmark = pytest.mark.drill

SCRIPTS = Path(sysconfig.get_path("scripts"))
REQUESTS = 2000 if LONG else 90
#: What stops a worker of uWSGI.
STOPS = {signal.SIGHUP, signal.SIGINT, signal.SIGTERM}
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


def _workers(uwsgi: Server) -> list[int]:
    return [child.pid for child in psutil.Process(uwsgi.process.pid).children()]


def _settled(uwsgi: Server) -> bool:
    """Whether no worker is about to be recycled, and each listens to signals as workers do."""
    said = uwsgi.output
    if said.count("The work of process") != said.count("Respawned uWSGI worker"):
        return False
    found = [_signals(Path(f"/proc/{worker}"), "SigCgt") for worker in _workers(uwsgi)]
    return len(found) == 2 and all(signal.SIGUSR2 in caught for caught in found)


def _threads(pid: int) -> list[Path]:
    """The kernel's view of each thread; the main one comes first."""
    return sorted(Path(f"/proc/{pid}/task").iterdir(), key=lambda path: int(path.name))


def _signals(process: Path, field: str) -> set[int]:
    """The signals in a mask of a process or thread."""
    with suppress(FileNotFoundError, ProcessLookupError):
        for line in (process / "status").read_text().splitlines():
            name, _, mask = line.partition(":")
            if name == field:
                return {number for number in range(1, 65) if int(mask, 16) >> (number - 1) & 1}
    return set()


@pytest.mark.skipif(sys.platform != "linux", reason="threads and signals are read from /proc")
@pytest.mark.parametrize("way", ["launcher", "setup", "setup, lazy-apps", "setup, fork hooks"])
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
    hooks = "hooks" in way
    command += ["--py-call-uwsgi-fork-hooks"] if hooks else []
    with collector() as server, running(command, tmp_path, port, _environment(server)) as uwsgi:
        for number in range(REQUESTS):
            uwsgi.get(f"/{number}")
        # uWSGI runs no exit hook in a worker that is still busy with its last answer.
        time.sleep(0.5)
        # A worker that is being started swallows the signal, as it has the master's handler until its app is
        # loaded, and is killed after its 20 s of mercy: so it is with uWSGI, whatever the app does.
        assert server.wait_for(lambda: _settled(uwsgi), 60), uwsgi.output
        # A worker forked while a thread of the master has the interpreter's lock would hang, and end late.
        assert (len(_threads(uwsgi.process.pid)) > 1) is hooks
        # In a thread, uWSGI's handlers would wait for the main one, until the mercy is over.
        for worker in _workers(uwsgi):
            assert all(_signals(thread, "SigBlk") >= STOPS for thread in _threads(worker)[1:])
            assert not STOPS & _signals(Path(f"/proc/{worker}"), "SigBlk")
        seconds = uwsgi.stop()
        spans, counted, totals = _counted(server)
        figures("uwsgi", way=way, sent=REQUESTS, found=spans, counted=counted, instances=len(totals),
                seconds=round(seconds, 2))  # fmt: skip
        assert (spans, counted) == (REQUESTS, REQUESTS), uwsgi.output
        assert len([count for count in totals.values() if count]) >= 2
        assert "Traceback" not in uwsgi.output, uwsgi.output
        assert seconds < 15, uwsgi.output


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
