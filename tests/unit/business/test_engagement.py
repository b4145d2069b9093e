from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ada_otel import business
from ada_otel.business import _engagement, _sketch, _users
from ada_otel.business._folder import Folder
from ada_otel.business._hosts import Hosts
from ada_otel.business._sessions import Sessions
from ada_otel.business._users import Users
from tests.support.process import clean_environment

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


def test_without_the_package_of_redis_that_is_said(
    telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "redis", None)
    Hosts("redis://127.0.0.1:1/0", "shop", "host", Users(Folder(str(telemetry.folder)))).exchange()
    (warning,) = telemetry.warnings()
    assert "the package redis is not installed" in warning
    assert "ADA_OTEL_BUSINESS_REDIS_URL" in warning
