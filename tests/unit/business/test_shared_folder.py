"""The folder that workers share holds out: against others' files, clearing, forks, a full disk, and time."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
from pathlib import Path

import pytest

from ada_otel import business
from ada_otel.business import _sessions, _users
from ada_otel.business._folder import Folder
from ada_otel.business._sessions import Sessions
from ada_otel.business._users import Users
from tests.support.process import run_program

from .conftest import Telemetry

NOON = 1_800_000_000


def test_files_of_somebody_else_stay_and_are_no_sessions(tmp_path: Path) -> None:
    sessions = Sessions(Folder(str(tmp_path)), 60)
    assert sessions.start("a")
    theirs = [tmp_path / "sessions" / name for name in ("notes.txt", "0" * 32, "1" * 32)]
    theirs[0].write_text("")
    theirs[1].write_text("a session of the app itself")
    theirs[2].mkdir()
    for path in theirs:
        os.utime(path, (0, 0))
    assert sessions.open() == 1
    assert all(path.exists() for path in theirs)


def test_every_worker_keeps_to_the_most_sessions_of_a_host(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_sessions, "MOST", 3)
    monkeypatch.setattr(_sessions, "_COUNTED", 0.0)
    reporter, other = Sessions(Folder(str(tmp_path)), 1800), Sessions(Folder(str(tmp_path)), 1800)
    for number in range(3):
        assert other.start(f"s{number}")
    assert reporter.open() == 3
    for number in range(3, 9):
        assert other.start(f"s{number}"), "it counts as a start, and is not tracked"
    assert reporter.open() == 3
    other.end("s1")
    assert reporter.open() == 2
    other.start("s9")
    assert reporter.open() == 3


def test_sessions_expire_where_metrics_are_not_collected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_sessions, "_COUNTED", 0.0)
    sessions = Sessions(Folder(str(tmp_path)), 60)
    for number in range(5):
        sessions.start(f"s{number}")
    for path in (*(tmp_path / "sessions").iterdir(), tmp_path / "sessions.count"):
        os.utime(path, (0, 0))
    sessions.start("new")
    assert len(list((tmp_path / "sessions").iterdir())) == 1


def test_a_start_counts_where_there_is_no_room(telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_arguments: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    telemetry.start()
    with monkeypatch.context() as patched:
        patched.setattr(os, "open", full)
        business.session_started(1, "s")
        business.session_started(2, "t")
    assert telemetry.points()["ada.session.starts"] == {(): 2}
    (warning,) = telemetry.warnings()
    assert "No space left on device" in warning
    assert "ADA_OTEL_BUSINESS_FOLDER" in warning


def test_a_session_in_use_does_not_expire_however_short_the_timeout_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = float(NOON)
    monkeypatch.setattr(_sessions, "time", lambda: now)
    monkeypatch.setattr(_sessions, "monotonic", lambda: now)
    sessions = Sessions(Folder(str(tmp_path)), 8)
    sessions.start("s")
    os.utime(next((tmp_path / "sessions").iterdir()), (now, now))
    for _ in range(30):
        now += 1
        sessions.active("s")
    now += 1
    assert sessions.open() == 1
    now += 12
    assert sessions.open() == 0


def test_without_a_collection_memory_does_not_grow(tmp_path: Path) -> None:
    users = Users(Folder(str(tmp_path)))
    users.fresh = set()
    for step in range(500):
        users.active(f"u{step}", NOON + 30.0 * step)
    assert len(users._slots) <= sum(window.slots + 2 for window in _users.WINDOWS)
    for number in range(60_000):
        users.active(f"v{number}", NOON + 30.0 * 500)
    assert len(users.fresh) == 50_000


def test_a_folder_that_was_cleared_is_made_again(telemetry: Telemetry) -> None:
    telemetry.start()
    business.session_started(1, "first")
    shutil.rmtree(telemetry.folder / "business")
    business.session_started(2, "second")
    business.session_ended("first")
    points = telemetry.points()
    assert points["ada.session.starts"] == {(): 2}
    assert points["ada.sessions.active"] == {(): 1}
    assert points["ada.users.active"][("1h",)] == 2
    assert telemetry.warnings() == []


FORKS = """
import fcntl, os, sys, threading, time
from pathlib import Path

from ada_otel.business._folder import Folder
from ada_otel.business._hosts import Hosts
from ada_otel.business._users import Users
from ada_otel.web.health import _history_file
from ada_otel.web.metrics_page import _folder

here = Path.cwd()
inside, go_on = threading.Event(), threading.Event()

def wait(*_arguments):
    inside.set()
    go_on.wait(10)
    return b"\\0" * 64

users = Users(Folder(str(here)))
users._exchange = wait
ring = _history_file.FileRing(str(here / "history"))

def scrape():
    with _folder._held(here):
        wait()

for work, file in (
    (users.share, "users.lock"),
    (lambda: ring.change(0, wait), "history"),
    (scrape, "lock"),
):
    inside.clear(), go_on.clear()
    thread = threading.Thread(target=work)
    thread.start()
    assert inside.wait(10)
    threading.Timer(0.3, go_on.set).start()
    child = os.fork()
    if not child:
        time.sleep(60)
        os._exit(0)
    thread.join(10)
    with open(file) as other:
        try:
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
            print("free")
        except BlockingIOError:
            print("held by the child")
    os.kill(child, 9)
    os.waitpid(child, 0)
"""


def test_a_child_that_is_forked_meanwhile_keeps_no_lock(tmp_path: Path) -> None:
    done = run_program(FORKS, tmp_path)
    assert done.stdout.split("\n") == ["free", "free", "free", ""], done.stderr


def test_another_process_that_holds_the_lock_costs_a_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_users, "_PATIENCE", 0.05)
    first, second = Users(Folder(str(tmp_path))), Users(Folder(str(tmp_path)))
    first.active("u1")
    with (tmp_path / "users.lock").open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        first.share()
    second.share()
    assert second.counts()["5m"] == 0
    first.share()
    second.share()
    assert second.counts()["5m"] == 1
