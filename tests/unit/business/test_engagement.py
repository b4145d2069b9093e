from __future__ import annotations

import errno
import fcntl
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ada_otel import business
from ada_otel.business import _engagement, _sessions, _sketch, _users
from ada_otel.business._folder import Folder
from ada_otel.business._sessions import Sessions
from ada_otel.business._users import Users
from tests.support.process import clean_environment, run_program

from .conftest import Telemetry

NOON = 1_800_000_000


@pytest.mark.parametrize("users", [0, 1, 10, 1_000, 10_000, 60_000])
def test_estimate_is_within_three_standard_errors(users: int) -> None:
    registers = bytearray(_sketch.SIZE)
    for user in range(users):
        index, rank = _sketch.place(_sketch.hashed(f"user-{user}"))
        registers[index] = max(registers[index], rank)
    assert abs(_sketch.estimate(registers) - users) <= 3 * 0.01625 * users


def test_standard_error_is_as_documented() -> None:
    errors = []
    for run in range(20):
        registers = bytearray(_sketch.SIZE)
        for user in range(5_000):
            index, rank = _sketch.place(_sketch.hashed(f"{run}:{user}"))
            registers[index] = max(registers[index], rank)
        errors.append(_sketch.estimate(registers) / 5_000 - 1)
    assert (sum(error * error for error in errors) / len(errors)) ** 0.5 < 0.0225  # 1.6 %, and chance


def test_users_leave_the_windows_as_time_goes_by(tmp_path: Path) -> None:
    users = Users(Folder(str(tmp_path)))
    for user in range(100):
        users.active(f"early-{user}", NOON)
    for user in range(50):
        users.active(f"late-{user}", NOON + 3000)
    users.active("late-1", NOON + 3000)

    def near(now: float) -> list[int]:
        return [round(count / 10) * 10 for count in users.counts(now).values()]

    assert near(NOON + 3000) == [50, 150, 150]
    assert near(NOON + 3400) == [0, 150, 150]
    assert near(NOON + 4500) == [0, 50, 150]
    assert near(NOON + 7200) == [0, 0, 150]
    assert near(NOON + 100_000) == [0, 0, 0]


def test_workers_merge_by_file_and_a_damaged_file_is_replaced(tmp_path: Path) -> None:
    now = time.time()
    first, second = Users(Folder(str(tmp_path))), Users(Folder(str(tmp_path)))
    for user in range(100):
        first.active(f"u{user}", now)
        second.active(f"u{user + 50}", now)
    first.share()
    second.share()
    first.share()
    assert first.counts(now) == second.counts(now)
    assert abs(first.counts(now)["1h"] - 150) <= 5
    (tmp_path / "users.sketch").write_bytes(b"ada-users-1\nnot zlib")
    third = Users(Folder(str(tmp_path)))
    third.share()
    third.active("u1", now)
    third.share()
    assert third.counts(now)["1d"] == 1
    first.share()
    third.share()
    assert abs(third.counts(now)["1d"] - 150) <= 5, "what the others know is in the new file, too"


def test_a_worker_that_does_not_report_keeps_no_more_than_the_windows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = float(NOON)
    monkeypatch.setattr(_users, "time", lambda: now)
    worker = Users(Folder(str(tmp_path)))
    for step in range(500):
        now = NOON + 30.0 * step
        worker.active(f"u{step}", now)
        worker.share()
    assert len(worker._slots) <= sum(window.slots + 2 for window in _users.WINDOWS)
    assert worker.counts(now)["1h"] >= 120


def test_session_of_one_worker_ends_in_another_exactly_once(tmp_path: Path) -> None:
    first, second = (Sessions(Folder(str(tmp_path)), 1800) for _ in range(2))
    assert first.start("a")
    assert not second.start("a")
    assert first.start("b")
    assert second.open() == 2
    ended, seconds = second.end("a")
    assert ended
    assert seconds is not None
    assert 0 <= seconds < 5
    assert first.end("a") == (False, None)


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


def test_idle_session_expires_once_and_an_active_one_does_not(telemetry: Telemetry) -> None:
    telemetry.start()
    engagement = _engagement._engagement
    assert engagement is not None
    business.session_started(1, "idle")
    business.session_started(2, "used")
    folder = telemetry.folder / "business" / "sessions"
    for file in folder.iterdir():
        os.utime(file, (time.time() - 4000, time.time() - 5000))
    business.session_active("used")
    points = telemetry.points()
    assert points["ada.sessions.active"] == {(): 1}
    # Asynchronous counts of this collection come with the next one.
    points = telemetry.points()
    assert points["ada.session.ends"] == {("expired",): 1}
    assert points["ada.session.duration"][()] == (1, pytest.approx(1000, abs=5))
    business.session_ended("idle")
    business.session_ended("used", "replaced")
    assert telemetry.points()["ada.session.ends"] == {("expired",): 1, ("replaced",): 1}
    assert telemetry.points()["ada.session.starts"] == {(): 2}


def test_folder_that_cannot_be_used_is_said_once(telemetry: Telemetry) -> None:
    (telemetry.folder / "file").write_text("")
    telemetry.start(ADA_OTEL_BUSINESS_FOLDER=str(telemetry.folder / "file"))
    business.session_started(1, "s")
    business.session_ended("s")
    points = telemetry.points()
    assert points["ada.session.starts"] == {(): 1}
    assert points["ada.users.active"][("1h",)] == 1
    assert "ada.sessions.active" not in points
    (warning,) = (text for text in telemetry.warnings() if "BUSINESS_FOLDER" in text)
    assert "Set ADA_OTEL_BUSINESS_FOLDER" in warning


WORKERS = """
import json, os, sys
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from ada_otel import business, settings
from ada_otel.business import _telemetry

def setup():
    reader = InMemoryMetricReader()
    _telemetry.telemetry.use(MeterProvider([reader]))
    business.start(settings.load())
    return reader

def read(reader):
    data = reader.get_metrics_data()
    return {
        metric.name: [point.value for point in metric.data.data_points]
        for resource in (data.resource_metrics if data else ())
        for scope in resource.scope_metrics
        for metric in scope.metrics if metric.name.endswith(".active")
    }

reader = setup()
business.session_started("parent", "parent")
mine = read(reader)
pipes = []
for number in range(4):
    ours, theirs = os.pipe()
    go, gone = os.pipe()
    if os.fork() == 0:
        for user in range(20):
            business.session_started(f"u{number * 10 + user}", f"s{number}-{user}")
        # The reporter is the parent: a child reports nothing, but shares what it has seen.
        os.write(theirs, json.dumps(read(reader)).encode())
        os._exit(0)
    os.wait()
    pipes.append(json.loads(os.read(ours, 65536)))
import time
time.sleep(0.6)
_e = business._engagement._engagement
_e.sessions._counted_until = 0
print(json.dumps([mine, pipes, read(reader)]))
"""


def test_forked_workers_are_counted_together_and_reported_once(tmp_path: Path) -> None:
    import json

    done = subprocess.run(
        [sys.executable, "-c", WORKERS],
        env=clean_environment({"ADA_OTEL_BUSINESS_FOLDER": str(tmp_path), "ADA_OTEL_RAISE": "true"}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    before, children, after = json.loads(done.stdout)
    assert before == {"ada.sessions.active": [1], "ada.users.active": [1, 1, 1]}
    assert children == [{}] * 4
    assert after["ada.sessions.active"] == [81]
    assert all(abs(count - 51) <= 3 for count in after["ada.users.active"])


def test_services_and_environments_are_kept_apart_in_one_redis(
    telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch
) -> None:
    prefixes = set()
    monkeypatch.delenv("OTEL_SERVICE_NAME", raising=False)
    for named in ("service.name=a", "service.name=b", "service.name=a,deployment.environment.name=test"):
        monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", named)
        telemetry.start(ADA_OTEL_BUSINESS_REDIS_URL="redis://127.0.0.1:1/0")
        engagement = _engagement._engagement
        assert engagement is not None
        assert engagement.hosts is not None
        prefixes.add(engagement.hosts._prefix)
        assert engagement.hosts._prefix.startswith("ada_otel:{")
    assert len(prefixes) == 3
