"""uWSGI's master forks without the interpreter's lock: no thread of ours may hold that there.

The real server is driven in ``tests/drills/test_servers.py``.
"""

from __future__ import annotations

import signal
import sys
import types
from pathlib import Path
from typing import Any

import pytest

from ada_otel.pipeline import fork, threads, uwsgi
from tests.drills.faults import collector
from tests.drills.programs import ASSEMBLED, Program

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="threads are counted in /proc")

#: Before the package is imported: a module as uWSGI makes it.
MODULE = """
import os, sys, types
uwsgi = types.ModuleType("uwsgi")
uwsgi.opt, master = {OPTIONS}, {MASTER}
uwsgi.masterpid = lambda: master
"""
APPEARS = "sys.modules['uwsgi'] = uwsgi\n"
#: What the launcher sees, which comes before that module.
LAUNCHED = "sys.argv[0] = '/usr/bin/uwsgi'\n"

FORK = """
import ctypes
def threads():
    return len(os.listdir("/proc/self/task"))

record("in the master")
print("MASTER", threads(), flush=True)
pid = ctypes.PyDLL(None).fork()  # as uWSGI does it: Python's hooks do not run
if pid == 0:
    uwsgi.post_fork_hook()
    print("WORKER", threads(), flush=True)
    record("in the worker")
    os._exit(0 if leaving.flush_now() else 4)
print("STATUS", os.waitpid(pid, 0)[1], flush=True)
"""
EXIT = "from ada_otel.pipeline import exit as leaving\n"


def _run(setup: str, source: str, folder: Path, **environment: str) -> tuple[dict[str, int], Any]:
    with collector() as server:
        program = Program(
            EXIT + source,
            folder,
            server.endpoint,
            setup=setup,
            OTEL_METRIC_EXPORT_INTERVAL="60000",
            OTEL_BLRP_SCHEDULE_DELAY="60000",
            OTEL_SERVICE_NAME="drill",
            ADA_OTEL_RAISE="true",
            **environment,
        )
        out, err = program.process.communicate(timeout=60)
        assert program.process.returncode == 0, err
    return {name: int(text) for name, text in map(str.split, out.splitlines())}, server


@pytest.mark.parametrize("launched", [False, True])
def test_a_master_has_no_thread_and_its_workers_have(launched: bool, tmp_path: Path) -> None:
    module = MODULE.format(OPTIONS="{b'master': True}", MASTER="os.getpid()")
    setup = module + (LAUNCHED + ASSEMBLED + APPEARS if launched else APPEARS + ASSEMBLED)
    said, server = _run(setup, FORK, tmp_path)
    assert (said["MASTER"], said["STATUS"]) == (1, 0)
    assert said["WORKER"] >= 2  # the reader of metrics, and the look at the collector's address
    # The master's is sent when it ends, and once.
    assert sorted(server.names()) == sorted(server.bodies()) == ["in the master", "in the worker"]
    assert sorted(server.totals("drill.count").values()) == [1, 1]


@pytest.mark.parametrize(
    ("options", "master"), [("{b'py-call-uwsgi-fork-hooks': True}", "os.getpid()"), ("{}", "0"), ("{}", "1")]
)
@pytest.mark.parametrize("launched", [False, True])
def test_what_forks_safely_has_its_threads(launched: bool, options: str, master: str, tmp_path: Path) -> None:
    """By the option that takes the lock, in a server without a master, and in a worker with its own app."""
    module = MODULE.format(OPTIONS=options, MASTER=master)
    setup = module + (LAUNCHED + ASSEMBLED + APPEARS if launched else APPEARS + ASSEMBLED)
    said, server = _run(setup, "record('here')\nprint('HERE', threading.active_count())\n", tmp_path)
    assert said["HERE"] >= 4  # the main one, the reader's, and those of spans and log records
    assert (server.names(), server.bodies()) == (["here"], ["here"])


def test_a_fork_with_hooks_ends_the_wait(tmp_path: Path) -> None:
    """Under the launcher nothing else may tell that uWSGI was started with the option for them."""
    module = MODULE.format(OPTIONS="{b'py-call-uwsgi-fork-hooks': True}", MASTER="os.getpid()")
    source = """
print("BEFORE", threading.active_count(), flush=True)
pid = os.fork()
if pid == 0:
    os._exit(0)
print("STATUS", os.waitpid(pid, 0)[1])
print("AFTER", threading.active_count(), flush=True)
"""
    said, _ = _run(module + LAUNCHED + ASSEMBLED + APPEARS, source, tmp_path, ADA_OTEL_STARTUP_CHECK="false")
    assert said == {"BEFORE": 1, "STATUS": 0, "AFTER": 2}


def test_a_flush_in_a_master_starts_no_thread(tmp_path: Path) -> None:
    module = MODULE.format(OPTIONS="{}", MASTER="os.getpid()")
    source = """
from opentelemetry import _logs
record("here")
flushed = [p.force_flush() for p in (trace.get_tracer_provider(), metrics.get_meter_provider(),
                                     _logs.get_logger_provider())]
print("FLUSHED", flushed.count(True))
print("MASTER", threading.active_count(), flush=True)
os._exit(0)
"""
    said, server = _run(module + APPEARS + ASSEMBLED, source, tmp_path)
    assert said == {"FLUSHED": 3, "MASTER": 1}
    assert (server.names(), server.bodies()) == (["here"], ["here"])
    assert server.totals("drill.count") != {}


def test_the_hook_is_chained_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    module: Any = types.ModuleType("uwsgi")
    module.post_fork_hook = lambda: calls.append("app")
    monkeypatch.setitem(sys.modules, "uwsgi", module)
    monkeypatch.setattr(fork, "_renew_all", lambda: calls.append("renewed"))
    monkeypatch.setattr(fork, "_pid", -1)
    uwsgi.chain_post_fork_hook(fork.check_pid)
    uwsgi.chain_post_fork_hook(fork.check_pid)
    module.post_fork_hook()
    assert calls == ["renewed", "app"]


@pytest.mark.parametrize(
    ("executable", "script", "held"),
    [
        ("/usr/bin/uwsgi-core", "", True),  # embedded, as Debian names it
        ("/usr/bin/python3", "/app/.venv/bin/uwsgi", True),
        ("/usr/bin/python3", "/app/.venv/bin/pyuwsgi", True),
        ("/usr/bin/python3", "/app/uwsgi_app.py", False),
        ("/usr/bin/python3", "/app/.venv/bin/gunicorn", False),
    ],
)
def test_uwsgi_is_known_before_its_module(
    executable: str, script: str, held: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "uwsgi", raising=False)
    monkeypatch.setattr(sys, "executable", executable)
    monkeypatch.setattr(sys, "argv", [script])
    assert uwsgi.forks_without_lock() is held


@pytest.mark.parametrize("served_by_uwsgi", [True, False])
def test_a_thread_of_ours_leaves_uwsgis_signals_to_the_main_one(
    served_by_uwsgi: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "uwsgi", raising=False)
    if served_by_uwsgi:
        monkeypatch.setitem(sys.modules, "uwsgi", types.ModuleType("uwsgi"))
    masks = []
    threads.start(lambda: masks.append(signal.pthread_sigmask(signal.SIG_BLOCK, ())), "drill").join(30)
    stops = {signal.SIGHUP, signal.SIGINT, signal.SIGTERM}
    assert masks == [stops if served_by_uwsgi else set()]
    assert not signal.pthread_sigmask(signal.SIG_BLOCK, ()) & stops
