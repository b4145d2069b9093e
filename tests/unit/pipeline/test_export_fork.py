"""Fork: no child hangs, none sends the parent's items, and none uses the parent's connection."""

from __future__ import annotations

import collections
from pathlib import Path

from tests.drills.faults import collector
from tests.drills.programs import Program
from tests.drills.report import LONG, figures

ADVERSARY = """
from opentelemetry.sdk.trace.export import SpanExporter
stop = threading.Event()
sent_by_parent = 0
def load():
    global sent_by_parent
    while not stop.is_set():
        record(f"parent-{sent_by_parent}")
        sent_by_parent += 1
        if not sent_by_parent % 7:
            time.sleep(0.0005)
loader = threading.Thread(target=load)
loader.start()
time.sleep(0.3)
hung = failed = 0
for n in range(CHILDREN):
    pid = os.fork()
    if pid == 0:
        for item in range(3):
            record(f"child-{n}-{item}")
        ok = spans.force_flush(20000) and records.force_flush(20000)
        os._exit(0 if ok else 4)
    end = time.monotonic() + 30
    while True:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            failed += status != 0
            break
        if time.monotonic() > end:
            os.kill(pid, signal.SIGKILL); os.waitpid(pid, 0)
            hung += 1
            break
        time.sleep(0.002)
stop.set()
loader.join()
lost = stats.snapshot()["traces"]["dropped"]
print("RESULT", hung, failed, sent_by_parent, lost.get("queue_full", 0), flush=True)
"""


def test_forked_children_neither_hang_nor_lose_nor_repeat(tmp_path: Path) -> None:
    children = 1000 if LONG else 200
    with collector() as server:
        program = Program(
            ADVERSARY.replace("CHILDREN", str(children)),
            tmp_path,
            server.endpoint,
            OTEL_BSP_SCHEDULE_DELAY="5",
            OTEL_BLRP_SCHEDULE_DELAY="5",
            OTEL_BSP_MAX_QUEUE_SIZE="50000",
            OTEL_BLRP_MAX_QUEUE_SIZE="50000",
        )
        out, err = program.process.communicate(timeout=300)
        assert program.process.returncode == 0, err
        hung, failed, parent, lost = map(int, out.split("RESULT")[1].split())
        counts = collections.Counter(server.names())
        figures(
            "fork",
            children=children,
            hung=hung,
            failed=failed,
            sent=parent + 3 * children,
            found=sum(counts.values()),
        )
        assert (hung, failed, lost) == (0, 0, 0), err
        assert max(counts.values()) == 1
        assert sum(name.startswith("child-") for name in counts) == 3 * children
        assert sum(name.startswith("parent-") for name in counts) == parent
        assert collections.Counter(server.bodies()).keys() == counts.keys()


SLOW_IMPORTS = """
import importlib.abc
class Slow(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.startswith("ada_otel.pipeline.") or name == "http.client":
            time.sleep(0.3)
sys.meta_path.insert(0, Slow())
record("parent")
time.sleep(0.5)  # the worker is importing what it exports with
pid = os.fork()
if pid == 0:
    record("child")
    os._exit(0 if spans.force_flush(8000) and records.force_flush(8000) else 4)
assert os.waitpid(pid, 0)[1] == 0
"""


def test_a_fork_waits_for_what_the_worker_imports(tmp_path: Path) -> None:
    """Half imported in the parent would be half imported in the child for ever."""
    with collector() as server:
        code, _, err = Program(SLOW_IMPORTS, tmp_path, server.endpoint, OTEL_BSP_SCHEDULE_DELAY="5").ended()
        assert code == 0, err
        assert sorted(server.names()) == ["child", "parent"]
        assert sorted(server.bodies()) == ["child", "parent"]


WITHOUT_HOOKS = """
import ctypes
record("before")
assert spans.force_flush(5000)
record("left in the parent's queue")
pid = ctypes.PyDLL(None).fork()  # as uWSGI does it: Python's hooks do not run
if pid == 0:
    record("child")
    os._exit(0 if spans.force_flush(5000) and records.force_flush(5000) else 4)
assert os.waitpid(pid, 0)[1] == 0
"""


def test_a_fork_that_skips_pythons_hooks_is_noticed(tmp_path: Path) -> None:
    with collector() as server:
        code, _, err = Program(
            WITHOUT_HOOKS, tmp_path, server.endpoint, OTEL_BSP_SCHEDULE_DELAY="60000"
        ).ended()
        assert code == 0, err
        assert sorted(server.names()) == ["before", "child", "left in the parent's queue"]
