"""One worker speaks for the host: real processes, and a hand-over when one is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from ada_otel.observers._lock import HostLock

WORKER = """
import sys, time
from ada_otel.observers._lock import HostLock
lock = HostLock("host", sys.argv[1])
for line in sys.stdin:
    print(lock.held(), flush=True)
"""


class _Worker:
    def __init__(self, path: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", WORKER, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def holds(self) -> bool:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write("?\n")
        self.process.stdin.flush()
        return self.process.stdout.readline() == "True\n"

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


def test_one_of_several_workers_holds_it_and_another_takes_over_when_it_is_killed(tmp_path: Path) -> None:
    workers = [_Worker(tmp_path / "lock") for _ in range(3)]
    try:
        assert [worker.holds() for worker in workers] == [True, False, False]
        assert [worker.holds() for worker in workers] == [True, False, False]
        workers[0].kill()
        assert [worker.holds() for worker in workers[1:]] == [True, False]
    finally:
        for worker in workers:
            worker.kill()


def test_a_forked_child_neither_holds_nor_keeps_its_parents_lock(tmp_path: Path) -> None:
    path = str(tmp_path / "lock")
    out, into = os.pipe()
    parent = os.fork()
    if parent == 0:
        lock = HostLock("host", path)
        held = lock.held()
        child = os.fork()
        if child == 0:
            while os.getppid() != 1 and not lock.held():
                time.sleep(0.01)
            os.write(into, b"c" if lock.held() else b"-")
            os._exit(0)
        os.write(into, b"p" if held else b"-")
        time.sleep(0.2)
        os._exit(0)
    os.waitpid(parent, 0)
    os.close(into)
    with os.fdopen(out, "rb") as answer:
        assert answer.read() == b"pc"


def test_a_file_that_was_removed_is_no_lock(tmp_path: Path) -> None:
    first, second = HostLock("host", str(tmp_path / "lock")), HostLock("host", str(tmp_path / "lock"))
    assert first.held()
    assert not second.held()
    first.path.unlink()
    assert second.held()
    assert not first.held()


def test_purposes_and_services_have_locks_of_their_own(tmp_path: Path) -> None:
    assert HostLock("host", str(tmp_path / "a")).path != HostLock("dependencies", str(tmp_path / "a")).path
    assert HostLock("host").path.name.startswith("ada-otel-")


def test_a_folder_that_is_not_there_means_no_host_metrics(tmp_path: Path) -> None:
    assert not HostLock("host", str(tmp_path / "none" / "lock")).held()


def test_a_symbolic_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "target").write_text("")
    lock = HostLock("host", str(tmp_path / "lock"))
    lock.path.symlink_to(tmp_path / "target")
    assert not lock.held()
