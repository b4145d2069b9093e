"""Exit: within the budget, with the status it would have had, and nothing lost if the collector is well."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.drills.faults import Request, answer, collector, refusing
from tests.drills.programs import Program
from tests.drills.report import LONG, figures

pytestmark = pytest.mark.drill

BUDGET = 1.0

#: Whoever starts the tests in the background has SIGINT ignored, which programs inherit.
INTERRUPT = (
    "signal.signal(signal.SIGINT, signal.default_int_handler);"
    " os.kill(os.getpid(), signal.SIGINT); time.sleep(9)"
)
TERMINATE = "os.kill(os.getpid(), signal.SIGTERM); time.sleep(9)"

#: How a program ends, and the status that the parent must see.
ENDINGS = {
    "end of main": ("", 0),
    "sys.exit": ("sys.exit(7)", 7),
    "unhandled exception": ("raise LookupError('mine')", 1),
    "SIGTERM, no handler": (TERMINATE, -signal.SIGTERM),
    "SIGTERM from a thread": (
        "threading.Thread(target=os.kill, args=(os.getpid(), signal.SIGTERM)).start(); time.sleep(9)",
        -signal.SIGTERM,
    ),
    "SIGTERM, handler of the app": (
        "signal.signal(signal.SIGTERM, lambda *_: (record('in handler'), sys.exit(143)));" + TERMINATE,
        143,
    ),
    "SIGINT": (INTERRUPT, -signal.SIGINT),
    "SIGINT, caught": (
        f"try:\n    {INTERRUPT}\nexcept KeyboardInterrupt:\n    record('in handler'); sys.exit(130)",
        130,
    ),
    "thread outlives main": (
        "threading.Thread(target=lambda: (time.sleep(0.4), record('in handler'))).start()",
        0,
    ),
    "flushed twice": ("leaving.flush_now(); sys.exit(3)", 3),
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_nothing_is_lost_with_a_healthy_collector(ending: Any, tmp_path: Path) -> None:
    source, status = ENDINGS[ending]
    count = 1500
    with collector() as server:
        program = Program(
            f"for n in range({count}): record(f's{{n}}')\nprint('END', time.time(), flush=True)\n{source}\n",
            tmp_path,
            server.endpoint,
        )
        code, seconds, err = program.ended()
        assert code == status, err
        if "exception" in ending:
            assert "LookupError: mine" in err
        expected = sorted(
            [f"s{n}" for n in range(count)] + (["in handler"] if "in handler" in source else [])
        )
        assert sorted(server.names()) == expected
        assert sorted(server.bodies()) == expected
        points = [
            point.as_int
            for request in server.accepted
            if request.path == "/v1/metrics"
            for metric in request.message().resource_metrics[0].scope_metrics[0].metrics
            for point in metric.sum.data_points
        ]
        assert points == [len(expected)]
        assert seconds < BUDGET + 3.5
    figures("exit, healthy", ending=ending, sent=count, found=len(server.names()), seconds=round(seconds, 2))


def _slowly(_request: Request) -> bytes:
    time.sleep(0.5)
    return answer(200)


@contextmanager
def sick(kind: Any) -> Any:
    if kind == "refused":
        with refusing() as endpoint:
            yield endpoint
    elif kind == "retry-after":
        with collector(lambda _: answer(503, retry_after="60")) as server:
            yield server.endpoint
    elif kind == "flapping":
        with collector(lambda _: answer(503 if time.monotonic() % 1 < 0.5 else 200)) as server:
            yield server.endpoint
    elif kind == "slow":
        with collector(_slowly) as server:
            yield server.endpoint
    else:
        with collector(kind) as server:
            yield server.endpoint


SICK_ENDINGS = ["end of main", "sys.exit", "unhandled exception", "SIGTERM, no handler", "SIGINT"]


@pytest.mark.parametrize("ending", SICK_ENDINGS if LONG else SICK_ENDINGS[1:2])
@pytest.mark.parametrize("kind", ["refused", "black_hole", "503", "drip", "retry-after"])
def test_exit_keeps_to_its_budget(kind: Any, ending: Any, tmp_path: Path) -> None:
    source, status = ENDINGS[ending]
    with sick(kind) as endpoint:
        program = Program(
            "for n in range(1500): record(f's{n}')\ntime.sleep(0.5)\n"
            f"print('END', time.time(), flush=True)\n{source}\n",
            tmp_path,
            endpoint,
            BUDGET=str(BUDGET),
        )
        code, seconds, err = program.ended()
    figures(
        "exit, sick",
        collector=kind,
        ending=ending,
        seconds=round(seconds, 2),
        budget=BUDGET,
        hung=code == -9999,
    )
    assert code == status, err
    assert seconds <= BUDGET + 0.5
    assert "1500 shutdown" in err


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
@pytest.mark.parametrize("kind", ["healthy", "black_hole"])
def test_multiprocessing_children_flush_too(method: Any, kind: Any, tmp_path: Path) -> None:
    source = f"""
import multiprocessing
def work(n):
    record(f"child {{n}}")
if __name__ == "__main__":
    context = multiprocessing.get_context("{method}")
    record("parent")
    children = [context.Process(target=work, args=(n,)) for n in range(5)]
    for child in children: child.start()
    for child in children: child.join()
    assert [child.exitcode for child in children] == [0] * 5
    print('END', time.time(), flush=True)
"""
    # Healthy, with the default: five children share the machine's cores, and may need more than a second.
    budget = 3.0 if kind == "healthy" else BUDGET
    with collector(kind) as server:
        begun = time.monotonic()
        code, seconds, err = Program(source, tmp_path, server.endpoint, BUDGET=str(budget)).ended()
        assert code == 0, err
        if kind == "healthy":
            assert sorted(server.names()) == [*(f"child {n}" for n in range(5)), "parent"]
        assert seconds < budget + 0.5
    figures(
        "exit, multiprocessing", method=method, collector=kind, sent=6, found=len(server.names()),
        seconds=round(time.monotonic() - begun, 2),
    )  # fmt: skip


@pytest.mark.parametrize("patched", ["early", "late"])
@pytest.mark.parametrize("ending", ["end of main", "SIGTERM, no handler"])
@pytest.mark.parametrize("kind", ["healthy", "black_hole"])
def test_gevent(patched: Any, ending: Any, kind: Any, tmp_path: Path) -> None:
    source, status = ENDINGS[ending]
    with collector(kind) as server:
        program = Program(
            ("from gevent import monkey; monkey.patch_all()\n" if patched == "late" else "")
            + "import gevent\n"
            + "gevent.joinall([gevent.spawn(record, f's{n}') for n in range(600)])\n"
            + "time.sleep(0.2)\n"
            + f"print('END', time.time(), flush=True)\n{source}\n",
            tmp_path,
            server.endpoint,
            GEVENT=patched,
            BUDGET=str(BUDGET),
        )
        code, seconds, err = program.ended()
        figures("exit, gevent", patched=patched, ending=ending, collector=kind, seconds=round(seconds, 2))
        assert code == status, err
        assert seconds <= BUDGET + 0.5
        if kind == "healthy":
            assert len(set(server.names())) == 600


def test_many_restarts_under_load_lose_nothing(tmp_path: Path) -> None:
    source = """
stop = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: stop.set())
counts = [0] * 3
def load(n):
    while not stop.is_set():
        record(f"{os.getpid()}-{n}-{counts[n]}")
        counts[n] += 1
        time.sleep(0.001)
threads = [threading.Thread(target=load, args=(n,)) for n in range(3)]
for thread in threads: thread.start()
print("READY", flush=True)
for thread in threads: thread.join()
print("COUNT", sum(counts), flush=True)
"""
    restarts = 200 if LONG else 5
    sent = 0
    with collector() as server:
        for _ in range(restarts):
            program = Program(source, tmp_path, server.endpoint)
            program.wait_for_line("READY")
            time.sleep(0.3)
            program.process.send_signal(signal.SIGTERM)
            out, err = program.process.communicate(timeout=30)
            assert program.process.returncode == 0, err
            sent += int(out.split()[-1])
        names = server.names()
        figures("exit, restarts", restarts=restarts, sent=sent, found=len(names))
        assert len(names) == sent
        assert len(set(names)) == sent
        assert len(server.bodies()) == sent


def test_second_sigterm_during_the_flush_does_not_cut_it_short(tmp_path: Path) -> None:
    with collector() as server:
        server.mode = _slowly
        program = Program(
            "for n in range(600): record(f's{n}')\nprint('READY', flush=True)\ntime.sleep(9)\n",
            tmp_path,
            server.endpoint,
        )
        program.wait_for_line("READY")
        program.process.send_signal(signal.SIGTERM)
        time.sleep(0.2)
        program.process.send_signal(signal.SIGTERM)
        code, _, err = program.ended()
        assert code == -signal.SIGTERM, err
        assert len(server.names()) == 600


@pytest.mark.parametrize("kind", ["healthy", "black_hole"])
def test_other_interpreters(kind: Any, tmp_path: Path) -> None:
    """Python 3.12 refuses new threads once the interpreter is ending. ``ADA_DRILL_PYTHONS`` names more."""
    for python in os.environ.get("ADA_DRILL_PYTHONS", sys.executable).split(os.pathsep):
        with collector(kind) as server:
            program = Program(
                "for n in range(600): record(f's{n}')\nprint('END', time.time(), flush=True)\n",
                tmp_path,
                server.endpoint,
                python=python,
                BUDGET=str(BUDGET),
            )
            code, seconds, err = program.ended()
            assert code == 0, err
            assert seconds <= BUDGET + 0.5
            assert len(server.names()) == (600 if kind == "healthy" else 0)
            figures(
                "exit, interpreter",
                python=subprocess.run(
                    [python, "-V"], capture_output=True, text=True, check=True
                ).stdout.strip(),
                collector=kind,
                seconds=round(seconds, 2),
            )
