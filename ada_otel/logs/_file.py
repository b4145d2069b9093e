"""A log file that rotates, and that several processes may write to and rotate at once.

Each line is one ``write`` to a file opened for appending, under an advisory lock on that very file. Whoever
gets the lock looks whether the path still names the file it locked; if not, another process has rotated it,
and the new one is opened. So no line goes into a file that was put aside, and no two processes rotate for the
same reason.
"""

from __future__ import annotations

import os
import threading
import time
from contextlib import suppress
from pathlib import Path

from ada_otel._diagnostics import report
from ada_otel.pipeline.fork import on_fork

try:
    import fcntl
except ImportError:  # Windows has no such locks: one process per file there
    fcntl = None  # type: ignore[assignment]

__all__ = ["RotatingFile"]

#: Seconds to wait for another process that holds the lock, for instance one that was stopped by a signal.
_PATIENCE = 2.0
#: Seconds without a try after a failure: a full disk does not empty within a request.
_PAUSE = 1.0


class RotatingFile:
    """Appends lines to a file, and puts it aside when it is full: ``name.1`` is the newest put aside.

    Args:
        path: The file; its folder is made when it is not there.
        max_bytes: The file is put aside before a line that would make it larger; 0 never does.
        backups: How many are kept aside; the oldest is deleted. With 0, a full file is emptied.
    """

    def __init__(self, path: Path, max_bytes: int, backups: int) -> None:
        self.path = path.absolute()
        self._max_bytes = max_bytes
        self._backups = backups
        self._failed = 0
        self._not_before = 0.0
        self._descriptor = -1
        self._lock = threading.Lock()
        on_fork(self._renew)

    def write(self, text: str) -> bool:
        """Append a line; says whether it is in the file. Trouble is reported once, and never raised.

        Args:
            text: The line, without its end.
        """
        # A lone surrogate becomes \\udc80, which is what JSON writes for it.
        line = text.encode("utf-8", "backslashreplace") + b"\n"
        with self._lock:
            if self._failed and time.monotonic() < self._not_before:
                self._failed += 1
                return False
            try:
                self._append(line)
            except OSError as error:
                self._close()
                self._failed += 1
                self._not_before = time.monotonic() + _PAUSE
                trouble: OSError | None = error
            else:
                missing, self._failed = self._failed, 0
                trouble = None
        if trouble is not None:
            report(
                f"logs:file:{self.path}",
                f"the log file {self.path} cannot be written: {trouble.strerror or trouble}. "
                "Lines are left out of it until it can; they are still sent.",
            )
            return False
        if missing:
            report(
                f"logs:file-again:{self.path}",
                f"the log file {self.path} can be written again; {missing} lines were left out of it.",
            )
        return True

    def close(self) -> None:
        """Close the file; the next line opens it again."""
        with self._lock:
            self._close()

    def _append(self, line: bytes) -> None:
        while True:
            descriptor = self._open_and_lock()
            try:
                size = os.fstat(descriptor).st_size
                if not self._max_bytes or not size or size + len(line) <= self._max_bytes:
                    _write_whole(descriptor, line, size)
                    return
                self._put_aside(descriptor)
            finally:
                _unlock(descriptor)

    def _open_and_lock(self) -> int:
        """The descriptor of the file that the path names now, locked as far as that can be had in time."""
        while True:
            if self._descriptor < 0:
                self._descriptor = self._open()
            _lock(self._descriptor)
            ours = os.fstat(self._descriptor)
            try:
                named = self.path.stat()
            except FileNotFoundError:
                named = None
            if named is not None and (named.st_ino, named.st_dev) == (ours.st_ino, ours.st_dev):
                return self._descriptor
            self._close()

    def _open(self) -> int:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
        try:
            return os.open(self.path, flags, 0o640)
        except FileNotFoundError:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            return os.open(self.path, flags, 0o640)

    def _put_aside(self, descriptor: int) -> None:
        if not self._backups:
            os.ftruncate(descriptor, 0)
            return
        for number in range(self._backups - 1, 0, -1):
            with suppress(FileNotFoundError):
                os.replace(f"{self.path}.{number}", f"{self.path}.{number + 1}")  # noqa: PTH105
        os.replace(self.path, f"{self.path}.1")  # noqa: PTH105

    def _close(self) -> None:
        if self._descriptor >= 0:
            with suppress(OSError):
                os.close(self._descriptor)
            self._descriptor = -1

    def _renew(self) -> None:
        # A lock belongs to the open file, which a child shares with its parent: it needs one of its own.
        self._lock = threading.Lock()
        self._close()


def _write_whole(descriptor: int, line: bytes, size: int) -> None:
    """Write all of ``line`` or nothing: half of it is taken back, for the next line would be glued to it."""
    written = os.write(descriptor, line)
    try:
        while written < len(line):
            written += os.write(descriptor, line[written:])
    except OSError:
        with suppress(OSError):
            os.ftruncate(descriptor, size)
        raise


def _lock(descriptor: int) -> None:
    if fcntl is None:
        return
    deadline: float | None = None
    while not _try_lock(descriptor):
        now = time.monotonic()
        deadline = deadline or now + _PATIENCE
        if now > deadline:
            return  # appending is whole without it; only a rotation at this very moment is not seen
        time.sleep(0.0005)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True  # this file system has no locks
    return True


def _unlock(descriptor: int) -> None:
    if fcntl is not None:
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_UN)
