"""The folder that the workers of a server share: which it is, who runs, and what is kept of the dead.

A worker that has ended leaves its file. The next scrape adds what counts on to the archive, and deletes it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from ada_otel import _flock
from ada_otel._diagnostics import contained, report
from ada_otel.pipeline.fork import no_fork
from ada_otel.web.metrics_page import _file
from ada_otel.web.metrics_page._merge import Merged

_ARCHIVE = "archive"
#: An archive that is being written; it takes the place of the old one whole, or not at all.
_UNFINISHED = ".unfinished"
_LOCK = "lock"
#: The archive's first key: the files that it has taken in, in case that they could not be deleted after it.
_TAKEN = b"taken:"
_PATIENCE = 2.0
_OLD = 60.0


class BusyError(OSError):
    """Another process holds the folder for too long."""


def choose(setting: str) -> Path:
    """The folder, which is made if it is not there.

    Args:
        setting: ``ADA_OTEL_METRICS_FOLDER``; without it, or where it cannot be used, a folder in the
            temporary one, named after the process that forks the workers: they find it whether telemetry
            starts before the fork or after.

    Raises:
        OSError: It cannot be made, or belongs to somebody else.
    """
    if setting:
        try:
            return _given(Path(setting))
        except OSError as error:
            report(
                "setting:ADA_OTEL_METRICS_FOLDER",
                f"ADA_OTEL_METRICS_FOLDER is {setting!r}, which cannot be used ({error}); it should be a "
                "folder that every worker may write. One in the temporary folder is used.",
            )
    base = Path(tempfile.gettempdir()) / f"ada-otel-metrics-{os.getuid()}"
    base.mkdir(mode=0o700, exist_ok=True)
    found = base.lstat()
    if base.is_symlink() or found.st_uid != os.getuid() or found.st_mode & 0o022:
        raise PermissionError(f"{base} can be written by others")
    leader = _leader()
    with contained("Clearing folders of metrics that are over"):
        _clear(base)
    folder = base / f"{leader}-{_started(leader)}"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def _given(folder: Path) -> Path:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    return folder


def _leader() -> int:
    """The process that forks the workers: this one, or its parent when this is a worker itself."""
    uwsgi: Any = sys.modules.get("uwsgi")
    if uwsgi is not None:
        return int(uwsgi.masterpid()) or os.getpid()
    if "gunicorn.arbiter" in sys.modules:
        frame: Any = sys._getframe()
        while frame is not None:
            # A worker lives within this call; with --preload the app is loaded outside of it.
            if frame.f_code.co_name == "spawn_worker":
                return os.getppid()
            frame = frame.f_back
    return os.getpid()


def _started(pid: int) -> str:
    """When a process started, so that a later one with its number is another one; empty if it is gone."""
    try:
        # Field 22 of proc(5); the second may hold blanks and brackets.
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        import psutil

        try:
            return str(int(psutil.Process(pid).create_time() * 100))
        except psutil.Error:
            return ""


def _clear(base: Path) -> None:
    """Delete the folders of servers that are over, and whose workers are too."""
    for folder in base.iterdir():
        pid, _, started = folder.name.partition("-")
        if not pid.isdecimal() or _started(int(pid)) == started:
            continue
        with contextlib.suppress(OSError):
            if time.time() - folder.stat().st_mtime > _OLD and not any(
                _runs(path) for path in folder.glob(f"*{_file.SUFFIX}")
            ):
                shutil.rmtree(folder)


def total(folder: Path, own: _file.WorkerFile | None) -> Merged:
    """Everything that the workers have counted, those that have ended included.

    Args:
        folder: The shared one.
        own: The file of this process, which is read from memory.

    Raises:
        OSError: The folder cannot be read.
    """
    found = Merged()
    with _held(folder):
        taken = _take_in_the_dead(folder, own)
        archive = folder / _ARCHIVE
        if archive.exists():
            found.add(_without_taken(_file.read(archive)), alive=False)
        for path in sorted(folder.glob(f"*{_file.SUFFIX}")):
            if path.name not in taken and (own is None or path.name != own.path.name):
                found.add(_file.read(path), alive=True)
    if own is not None:
        found.add(own.records(), alive=True)
    return found


def _take_in_the_dead(folder: Path, own: _file.WorkerFile | None) -> set[str]:
    """Add the files of the dead to the archive; returns the names of those that it holds."""
    archive = folder / _ARCHIVE
    taken = _taken(archive)
    dead = []
    for path in folder.glob(f"*{_file.SUFFIX}"):
        if path.name in taken:
            path.unlink(missing_ok=True)  # the process ended between the archive and this
        elif (own is None or path.name != own.path.name) and not _runs(path):
            dead.append(path)
    if not dead:
        return taken
    for path in folder.glob(f"*{_UNFINISHED}"):
        path.unlink(missing_ok=True)
    sums = Merged()
    if archive.exists():
        sums.add(_without_taken(_file.read(archive)), alive=False)
    for path in dead:
        sums.add(_file.read(path), alive=False)
    names = {path.name for path in dead}
    _write_archive(folder, archive, sums, names)
    for path in dead:
        path.unlink(missing_ok=True)
    return names


def _write_archive(folder: Path, archive: Path, sums: Merged, names: Iterable[str]) -> None:
    made = _file.WorkerFile(folder, _UNFINISHED)
    try:
        for name in names:
            made.add(_TAKEN + name.encode(), 0)
        sums.write(made)
        made.path.replace(archive)
    finally:
        made.close()


def _taken(archive: Path) -> set[str]:
    if not archive.exists():
        return set()
    keys = (record.key for record in _file.read(archive))
    return {key[len(_TAKEN) :].decode() for key in keys if key.startswith(_TAKEN)}


def _without_taken(records: Iterable[_file.Record]) -> Iterator[_file.Record]:
    return (record for record in records if not record.key.startswith(_TAKEN))


def _runs(path: Path) -> bool:
    """Whether the process whose file this is still runs; never asked of one's own file."""
    try:
        descriptor = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    else:
        return False
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Hold the folder, against scrapes by other threads and workers."""
    with no_fork():
        descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            if not _flock.take(descriptor, _PATIENCE):
                raise BusyError(f"{folder} is held by another process")
            yield
        finally:
            os.close(descriptor)
