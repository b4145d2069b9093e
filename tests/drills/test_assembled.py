"""The pipeline as ``ada_otel.setup()`` assembles it: exit with any collector, and children of every kind."""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.drills.faults import Collector, collector
from tests.drills.programs import ASSEMBLED, Program
from tests.drills.report import LONG, figures
from tests.drills.test_exit import ENDINGS, sick

pytestmark = pytest.mark.drill

BUDGET = 1.0

SICK_ENDINGS = [
    "SIGTERM, no handler",
    "sys.exit",
    "unhandled exception",
    "SIGTERM, handler of the app",
    "SIGINT",
]


def _recorded(server: Collector) -> tuple[list[str], list[str], int]:
    """The names of spans, the log lines of the drill, and the sum of its counter over all processes."""
    names = sorted(server.names())
    lines = sorted(body for body in server.bodies() if body in set(names))
    return names, lines, sum(server.totals("drill.count").values())


@pytest.mark.parametrize("ending", SICK_ENDINGS if LONG else SICK_ENDINGS[:1])
@pytest.mark.parametrize("kind", ["refused", "black_hole", "503", "drip", "retry-after"])
def test_exit_keeps_to_its_budget(kind: Any, ending: Any, tmp_path: Path) -> None:
    """All three signals are in trouble, and exports under way, when the process is told to end."""
    source, status = ENDINGS[ending]
    with sick(kind) as endpoint:
        program = Program(
            "for n in range(1500): record(f's{n}')\ntime.sleep(0.6)\n"
            f"print('END', time.time(), flush=True)\n{source}\n",
            tmp_path,
            endpoint,
            setup=ASSEMBLED,
            ADA_OTEL_EXIT_TIMEOUT=str(BUDGET),
            OTEL_METRIC_EXPORT_INTERVAL="200",
            OTEL_BSP_SCHEDULE_DELAY="200",
            OTEL_BLRP_SCHEDULE_DELAY="200",
        )
        code, seconds, err = program.ended()
    figures("exit, assembled", collector=kind, ending=ending, seconds=round(seconds, 2), budget=BUDGET,
            hung=code == -9999)  # fmt: skip
    assert code == status, err
    assert seconds <= BUDGET + 0.5, err
    if kind == "refused":
        assert seconds <= BUDGET  # nobody is there: what is left of the budget is not waited for


@pytest.mark.parametrize("ending", ["SIGTERM, handler of the app", "thread outlives main"])
def test_nothing_is_lost_with_a_healthy_collector(ending: Any, tmp_path: Path) -> None:
    source, status = ENDINGS[ending]
    with collector() as server:
        program = Program(
            f"for n in range(1500): record(f's{{n}}')\n{source}\n", tmp_path, server.endpoint, setup=ASSEMBLED
        )
        code, _, err = program.ended()
        assert code == status, err
        expected = sorted(["in handler", *(f"s{n}" for n in range(1500))])
        assert _recorded(server) == (expected, expected, 1501)


CHILDREN = {
    "multiprocessing fork": "{context}",
    "multiprocessing spawn": "{context}",
    "multiprocessing forkserver": "{context}",
    "pool of processes": """
    from concurrent.futures import ProcessPoolExecutor
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("fork")) as pool:
        list(pool.map(record, names, chunksize=1))
""",
    "os.fork, sys.exit": """
    for name in names:
        if os.fork() == 0:
            record(name); sys.exit()
    for name in names: assert os.wait()[1] == 0
""",
    "os.fork, os._exit": """
    from ada_otel.pipeline import exit as leaving
    for name in names:
        if os.fork() == 0:
            record(name); os._exit(0 if leaving.flush_now() else 4)
    for name in names: assert os.wait()[1] == 0
""",
    "subprocess": """
    import subprocess
    children = [subprocess.Popen([sys.executable, __file__, name]) for name in names]
    assert [child.wait() for child in children] == [0] * len(names)
""",
    "subprocess with preexec_fn": """
    import subprocess
    children = [subprocess.Popen([sys.executable, __file__, name], preexec_fn=os.setsid) for name in names]
    assert [child.wait() for child in children] == [0] * len(names)
""",
}

#: The other ways have a short form in test_exit.py, or differ from one of these in little.
SHORT = ("multiprocessing fork", "os.fork, sys.exit", "subprocess with preexec_fn")

CONTEXT = """
    context = multiprocessing.get_context("METHOD")
    children = [context.Process(target=record, args=(name,)) for name in names]
    for child in children: child.start()
    for child in children: child.join()
    assert [child.exitcode for child in children] == [0] * len(names)
"""


@pytest.mark.parametrize("kind", CHILDREN if LONG else SHORT)
def test_children_are_counted_to_the_last_one(kind: Any, tmp_path: Path) -> None:
    body = CHILDREN[kind].replace("{context}", CONTEXT.replace("METHOD", kind.split()[-1]))
    many = 50 if LONG else 2
    source = f"""
import multiprocessing
if __name__ == "__main__" and len(sys.argv) > 1:
    record(sys.argv[1])
elif __name__ == "__main__":
    record("parent")
    names = [f"child {{n}}" for n in range({many})]
{body}
    record("parent again")
"""
    expected = sorted(["parent", "parent again", *(f"child {n}" for n in range(many))])
    begun = time.monotonic()
    with collector() as server:
        code, _, err = Program(
            source, tmp_path, server.endpoint, setup=ASSEMBLED, ADA_OTEL_EXIT_TIMEOUT="10"
        ).ended(300)
        assert code == 0, err
        names, lines, count = _recorded(server)
        instances = server.totals("drill.count")
    figures("children", method=kind, sent=len(expected), found=len(names), counted=count,
            instances=len(instances), seconds=round(time.monotonic() - begun, 2))  # fmt: skip
    assert (names, lines, count) == (expected, expected, len(expected))
    # Each process has an id of its own, and none repeats what its parent counted.
    if "pool" in kind:
        assert len(instances) >= 2
    else:
        assert sorted(instances.values()) == [1] * many + [2]


RESTARTED = """
stop = threading.Event()
def end(*_):
    stop.set()
signal.signal(signal.SIGTERM, end)
counts = [0] * 3
def load(n):
    while not stop.is_set():
        record(f"{os.getpid()}-{n}-{counts[n]}")
        counts[n] += 1
        time.sleep(0.002)
threads = [threading.Thread(target=load, args=(n,)) for n in range(3)]
for thread in threads: thread.start()
print("READY", flush=True)
for thread in threads: thread.join()
print("COUNT", sum(counts), flush=True)
"""


def test_restarts_under_load_lose_nothing(tmp_path: Path) -> None:
    restarts = 200 if LONG else 2
    sent = 0
    begun = time.monotonic()
    with collector() as server:
        for _ in range(restarts):
            program = Program(RESTARTED, tmp_path, server.endpoint, python=sys.executable, setup=ASSEMBLED)
            program.wait_for_line("READY")
            time.sleep(0.3)
            program.process.send_signal(signal.SIGTERM)
            out, err = program.process.communicate(timeout=30)
            assert program.process.returncode == 0, err
            sent += int(out.split()[-1])
        names, lines, count = _recorded(server)
    figures("exit, assembled, restarts", restarts=restarts, sent=sent, found=len(names), lines=len(lines),
            counted=count, seconds=round(time.monotonic() - begun, 2))  # fmt: skip
    assert (len(names), len(set(names)), len(lines), count) == (sent, sent, sent, sent)
