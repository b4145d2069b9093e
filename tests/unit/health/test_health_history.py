"""24 hours of figures, added up over the processes that share a file."""

from __future__ import annotations

import fcntl
import math
import os
import stat
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ada_otel._diagnostics import forget_reports
from ada_otel.web.health import _history, _history_file
from ada_otel.web.health._history import History
from ada_otel.web.health._history_file import FileRing, MemoryRing
from ada_otel.web.health._requests import Totals
from tests.support.process import run_program

UNKNOWN = (math.nan, math.nan, math.nan)


class Clock:
    """The time that the history goes by: a full minute at first."""

    def __init__(self) -> None:
        self.now = 28_000_000 * 60.0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(_history, "time", SimpleNamespace(time=lambda: found.now))
    return found


def test_the_ring_holds_a_day_and_no_more(clock: Clock, tmp_path: Path) -> None:
    history = History(FileRing(str(tmp_path / "ring")))
    assert history.columns() == {"time": [], **{name: [] for name in _history.COLUMNS}}
    begun = clock.now
    for number in range(1500):
        clock.now = begun + 60 * number
        history.add(number, math.nan, 1.5, None)
    columns = history.columns()
    assert columns["time"] == [begun + 60 * number for number in range(60, 1500)]
    assert columns["cpu"] == list(range(60, 1500))
    assert columns["disk"] == [1.5] * 1440
    assert columns["memory"] == columns["requests"] == columns["error_rate"] == [None] * 1440
    assert (tmp_path / "ring").stat().st_size == 1440 * 64
    assert stat.S_IMODE((tmp_path / "ring").stat().st_mode) == 0o600
    clock.now += 3600
    assert columns["time"][60:] == history.columns()["time"], "what is older than a day is not shown"


def test_processes_are_added_up_and_what_a_dead_one_counted_stays(clock: Clock, tmp_path: Path) -> None:
    first, second = (History(FileRing(str(tmp_path / "ring"))) for _ in range(2))
    first.add(40, 50, 60, Totals(ended=10, seconds=2.0, failed=1, active=3))
    second.add(*UNKNOWN, Totals(ended=30, seconds=2.0, failed=3, active=2))
    clock.now += 20
    first.add(41, 50, 60, Totals(ended=20, seconds=4.0, failed=1, active=1))
    expected = {
        "time": [clock.now - 20],
        "cpu": [41],
        "memory": [50],
        "disk": [60],
        "active_requests": [3],
        "response_time": [0.12],
        "error_rate": [0.08],
        "requests": [50],
        "processes": [2],
    }
    assert first.columns() == second.columns() == expected
    # The second is gone, a third one begins at nothing, and a minute has nobody at all.
    clock.now += 100
    third = History(FileRing(str(tmp_path / "ring")))
    third.add(*UNKNOWN, Totals(ended=1, seconds=0.5, failed=0, active=0))
    first.add(42, 51, 61, Totals(ended=20, seconds=4.0, failed=1, active=0))
    columns = third.columns()
    assert columns["requests"] == [50, None, 1]
    assert columns["processes"] == [2, 0, 2]
    assert columns["response_time"] == [0.12, None, 0.5]
    assert columns["cpu"] == [41, None, 42]


def test_sums_that_begin_again_and_a_fork(clock: Clock) -> None:
    history = History(MemoryRing())
    history.add(*UNKNOWN, Totals(ended=10, seconds=1.0, failed=0, active=0))
    history.add(*UNKNOWN, Totals(ended=4, seconds=0.4, failed=4, active=0))  # delta temporality
    history.forget()
    history.add(*UNKNOWN, Totals(ended=2, seconds=0.2, failed=0, active=0))
    columns = history.columns()
    assert (columns["requests"], columns["error_rate"], columns["processes"]) == ([16], [0.25], [2])


def test_the_minute_under_way_is_shown_once_every_process_has_added_to_it(clock: Clock) -> None:
    history = History(MemoryRing(), settled=11)
    history.add(1, 1, 1, None)
    assert history.columns()["cpu"] == [1], "the very first is all there is"
    clock.now += 60
    history.add(2, 1, 1, None)
    assert history.columns()["cpu"] == [1]
    clock.now += 11
    assert history.columns()["cpu"] == [1, 2]


def test_another_process_that_holds_the_file_costs_nothing(
    clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_history_file, "_PATIENCE", 0.05)
    path = tmp_path / "ring"
    history = History(FileRing(str(path)))
    history.add(1, 1, 1, Totals(ended=1, seconds=1.0))
    with path.open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        history.add(1, 1, 1, Totals(ended=3, seconds=3.0))
        assert history.columns()["requests"] == [1], "who reads waits for nobody"
    history.add(1, 1, 1, Totals(ended=4, seconds=4.0))
    assert history.columns()["requests"] == [4]


def test_a_file_that_is_deleted_or_damaged_is_made_anew(clock: Clock, tmp_path: Path) -> None:
    path = tmp_path / "ring"
    history = History(FileRing(str(path)))
    history.add(1, 1, 1, None)
    path.unlink()
    assert history.columns()["cpu"] == []
    history.add(2, 1, 1, None)
    assert history.columns()["cpu"] == [2]
    path.write_bytes(b"\xff" * 100)
    assert history.columns()["cpu"] == []
    history.add(3, 1, 1, None)
    assert history.columns()["cpu"] == [3]
    path.write_bytes(os.urandom(1440 * 64))
    assert history.columns()["cpu"] == [], "no minute of it can be of the last day"


@pytest.mark.parametrize("kind", ["folder", "link", "pipe"])
def test_what_is_no_file_of_ours_is_said_once_and_memory_takes_its_place(
    kind: str, clock: Clock, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    forget_reports()
    path = tmp_path / "ring"
    make: dict[str, Any] = {
        "folder": path.mkdir,
        "link": lambda: path.symlink_to(tmp_path / "other"),
        "pipe": lambda: os.mkfifo(path),
    }
    make[kind]()
    history = History(FileRing(str(path)))
    assert history.columns()["time"] == []
    for number in range(3):
        history.add(number, 1, 1, Totals(ended=number))
    assert (history.columns()["cpu"], history.columns()["requests"]) == ([2], [2])
    (said,) = caplog.messages
    assert f"the file {path} cannot be used" in said
    assert "ADA_OTEL_HEALTH_HISTORY" in said
    assert not (tmp_path / "other").exists()


def test_a_file_of_somebody_else_is_left_as_it_is(
    clock: Clock, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    forget_reports()
    path = tmp_path / "settings.yaml"
    path.write_text("precious: true\n")
    history = History(FileRing(str(path)))
    history.add(7, 1, 1, None)
    assert path.read_text() == "precious: true\n"
    assert history.columns()["cpu"] == [7]
    (said,) = caplog.messages
    assert f"the file {path} cannot be used (it holds something else" in said


def test_processes_that_add_at_once_lose_nothing(tmp_path: Path) -> None:
    source = """
import math, os, sys
from ada_otel.web.health._history import History
from ada_otel.web.health._history_file import FileRing
from ada_otel.web.health._requests import Totals

children = []
for _ in range(4):
    pid = os.fork()
    if pid == 0:
        history = History(FileRing("ring"))
        for number in range(1, 501):
            history.add(math.nan, math.nan, math.nan, Totals(ended=number, seconds=number / 4))
        os._exit(0)
    children.append(pid)
assert [os.waitpid(pid, 0)[1] for pid in children] == [0] * 4
columns = History(FileRing("ring")).columns()
print(sum(columns["requests"]), {round(value, 3) for value in columns["response_time"]})
"""
    done = run_program(source, tmp_path)
    assert done.stdout == "2000.0 {0.25}\n", done.stderr


def test_each_service_and_user_has_a_file_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    paths = set()
    for service in ("shop", "chat"):
        monkeypatch.setenv("OTEL_SERVICE_NAME", service)
        FileRing().change(0, lambda held: held)
        paths = set(tmp_path.iterdir())
    assert len(paths) == 2
    assert all(path.name.endswith(f"-{os.getuid()}.history") for path in paths)
