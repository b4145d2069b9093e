"""The log file: fields, rotation, many processes at once, and disks that are full."""

from __future__ import annotations

import errno
import fcntl
import json
import logging
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter

from ada_otel import logs, settings
from ada_otel._diagnostics import forget_reports
from ada_otel.analysis import FileAnalyzer
from ada_otel.analysis.selection import Selection
from ada_otel.logs import _file
from ada_otel.logs._file import RotatingFile
from tests.drills.programs import environment_of


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("ADA_OTEL_RAISE", "true")
    forget_reports()
    yield tmp_path / "logs" / "ada_app.log"
    logs.stop()


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_the_fields_are_those_of_the_old_monitoring_code(path: Path) -> None:
    logs.configure(file=path)
    try:
        try:
            raise KeyError("tea")
        except KeyError as cause:
            raise ValueError("no tea") from cause
    except ValueError:
        logging.getLogger("shop").exception(
            "sold %d", 3, extra={"user_id": 7, "request_id": "r-1", "line": "x"}
        )
    (line,) = _lines(path)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", line.pop("timestamp"))
    trace = line["exception"].pop("traceback")
    assert trace.startswith("Traceback (most recent call last):\n")
    assert trace.endswith("ValueError: no tea\n")
    line.pop("service", None)  # whatever another test has set up in this process
    number = line.pop("line")
    assert Path(__file__).read_text().splitlines()[number - 1].strip().startswith("logging.getLogger")
    assert line == {
        "level": "ERROR",
        "logger": "shop",
        "message": "sold 3",
        "module": "test_file",
        "function": "test_the_fields_are_those_of_the_old_monitoring_code",
        "exception": {
            "type": "ValueError",
            "message": "no tea",
            "causes": [{"type": "KeyError", "message": "'tea'"}],
        },
        "user_id": 7,
        "request_id": "r-1",
        "line_": "x",
    }


def test_the_log_commands_read_it(path: Path) -> None:
    logs.configure(file=path)
    log = logging.getLogger("ada.requests")
    for number in range(10):
        log.info(
            "Request completed",
            extra={
                "http.request.method": "GET",
                "http.route": "/tea",
                "http.response.status_code": 200,
                "duration_ms": 100 + number,
                "user_id": f"u{number}",
            },
        )
    try:
        raise KeyError("tea")
    except KeyError:
        log.exception("Überweisung \udc80 failed\nreally")
    reader = FileAnalyzer([str(path)])
    assert len(reader.search(Selection())) == 11
    assert reader.skipped == 0
    (error,) = reader.search(Selection(level="error"))
    assert error.message == "Überweisung \udc80 failed\nreally"
    assert error.exception is not None
    assert (error.exception.type, error.exception.message) == ("KeyError", "'tea'")
    assert (error.module, error.get("attributes.code.function.name")) == (
        "test_file",
        "test_the_log_commands_read_it",
    )
    (found,) = reader.search(Selection(user="u3"))
    assert found.attributes["duration_ms"] == 103
    (route,) = reader.slow().routes
    assert (route.method, route.route, route.time.count, route.time.maximum) == ("GET", "/tea", 10, 0.109)


def test_off_unless_it_is_asked_for(path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    logs.configure()
    logging.getLogger("shop").warning("no file")
    assert not (tmp_path / "logs").exists()
    monkeypatch.setenv("ADA_OTEL_LOG_FILE", "true")
    logs.configure()
    logging.getLogger("shop").warning("in the usual one")
    assert [line["message"] for line in _lines(tmp_path / "logs" / "ada_app.log")] == ["in the usual one"]
    logs.configure(file=False)
    logging.getLogger("shop").warning("no more")
    assert len(_lines(tmp_path / "logs" / "ada_app.log")) == 1


def test_the_defaults_are_ten_megabytes_and_five_files() -> None:
    found = settings.load({})
    assert (found.log_file, found.log_file_max_bytes, found.log_file_backups) == ("", 10 * 1024 * 1024, 5)


def test_rotation_keeps_the_newest(path: Path) -> None:
    file = RotatingFile(path, max_bytes=100, backups=3)
    for number in range(50):
        assert file.write(f"line {number:03d} " + "x" * 30)
    names = [path, *(path.with_name(f"{path.name}.{number}") for number in (1, 2, 3))]
    assert sorted(path.parent.iterdir()) == sorted(names)
    kept = [line[5:8] for name in reversed(names) for line in name.read_text().splitlines()]
    assert kept == [f"{number:03d}" for number in range(50 - len(kept), 50)]
    assert len(kept) == 8
    assert all(name.stat().st_size <= 100 for name in names)
    assert path.stat().st_mode & 0o007 == 0, "lines hold personal data"


def test_no_backups_empties_the_file_and_a_long_line_stays_whole(path: Path) -> None:
    file = RotatingFile(path, max_bytes=100, backups=0)
    for text in ("a" * 60, "b" * 60, "c" * 500):
        assert file.write(text)
    assert path.read_text() == "c" * 500 + "\n"


def test_a_file_that_is_moved_or_deleted_is_made_anew(path: Path) -> None:
    file = RotatingFile(path, max_bytes=0, backups=5)
    file.write("one")
    path.rename(path.with_name("moved"))
    file.write("two")
    path.unlink()
    path.parent.joinpath("moved").unlink()
    path.parent.rmdir()
    file.write("three")
    assert path.read_text() == "three\n"


WRITER = """
import os, sys
from pathlib import Path
from ada_otel.logs._file import RotatingFile

name, backups, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
file = RotatingFile(Path(name), 20_000, backups)
file.write("parent %d" % os.getpid())
child = os.fork()  # shares the open file until it is made new
who, pid = ("c", os.getppid()) if child == 0 else ("p", os.getpid())
for number in range(count):
    assert file.write("%s %d %05d %s" % (who, pid, number, "x" * (number % 70)))
if child == 0:
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
"""


def test_processes_that_write_and_rotate_at_once_lose_no_line(path: Path) -> None:
    """Two programs and the fork of each: four processes, 24,000 lines, some sixty rotations."""
    count, programs = 6000, 2
    running = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path), "5000", str(count)], env=environment_of(path.parent)
        )
        for _ in range(programs)
    ]
    assert [process.wait(60) for process in running] == [0] * programs
    found: dict[tuple[str, str], list[int]] = {}
    files = sorted(path.parent.glob("ada_app.log*"))
    for name in files:
        for line in name.read_text().splitlines():
            kind, pid, *rest = line.split(" ")
            if kind != "parent":
                found.setdefault((kind, pid), []).append(int(rest[0]))
    assert len(found) == 2 * programs
    for numbers in found.values():
        assert sorted(numbers) == list(range(count))
    assert len(files) > 40
    assert all(name.stat().st_size <= 20_000 for name in files)


def test_a_process_that_was_stopped_with_the_lock_holds_nobody_up(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_file, "_PATIENCE", 0.05)
    file = RotatingFile(path, max_bytes=1000, backups=1)
    file.write("one")
    with path.open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        assert file.write("two")
    assert path.read_text() == "one\ntwo\n"


def test_a_full_disk_is_said_once_and_survived(caplog: pytest.LogCaptureFixture) -> None:
    """/dev/full: each write fails with ENOSPC, as the kernel says it."""
    forget_reports()
    full = RotatingFile(Path("/dev/full"), max_bytes=0, backups=1)
    with caplog.at_level(logging.WARNING, "ada_otel"):
        assert [full.write("no room") for _ in range(3)] == [False] * 3
    (said,) = caplog.messages
    assert said == (
        "the log file /dev/full cannot be written: No space left on device. "
        "Lines are left out of it until it can; they are still sent."
    )


def test_half_a_line_is_taken_back_when_the_disk_is_full(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A fake: os.write that takes 10 bytes and then says ENOSPC, as a disk does that has 10 bytes left."""
    forget_reports()
    monkeypatch.setattr(_file, "_PAUSE", 0.0)
    file = RotatingFile(path, max_bytes=0, backups=1)
    assert file.write("before")
    real, left = os.write, [10]

    def nearly_full(descriptor: int, data: bytes) -> int:
        if not left[0]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        taken = real(descriptor, data[: left[0]])
        left[0] = 0
        return taken

    with caplog.at_level(logging.WARNING, "ada_otel"):
        with monkeypatch.context() as patched:
            patched.setattr(os, "write", nearly_full)
            assert [file.write("x" * 50) for _ in range(3)] == [False] * 3
        assert file.write("after")
    assert path.read_text() == "before\nafter\n"
    assert [message.split(": ", 1)[-1] for message in caplog.messages] == [
        "No space left on device. Lines are left out of it until it can; they are still sent.",
        f"the log file {path} can be written again; 3 lines were left out of it.",
    ]


def test_lines_are_still_sent_while_the_file_cannot_be_written(
    path: Path, exporter: InMemoryLogRecordExporter
) -> None:
    logs.configure(file="/dev/full")
    logging.getLogger("shop").warning("no room, no harm")
    logging.getLogger("shop").warning("none at all")
    assert [found.log_record.body for found in exporter.get_finished_logs()] == [
        "no room, no harm",
        "none at all",
    ]
