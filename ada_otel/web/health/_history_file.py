"""The ring of the history in a file that the workers of a host share, or in memory where there can be none.

It is read and written by system calls, not mapped: a full file system is an error then, and no signal.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path

from ada_otel import _flock
from ada_otel._diagnostics import report
from ada_otel.pipeline.fork import no_fork
from ada_otel.resource import shared_path
from ada_otel.web.health._history import LAYOUT, POINTS

_SIZE = POINTS * LAYOUT.size
#: How long a process waits for another that writes a slot, which takes microseconds.
_PATIENCE = 1.0


class MemoryRing:
    """The slots of one process alone."""

    def __init__(self) -> None:
        self._held = bytearray(_SIZE)

    def change(self, index: int, change: Callable[[bytes], bytes]) -> None:
        """See :class:`~ada_otel.web.health._history.Ring`."""
        place = slice(index * LAYOUT.size, (index + 1) * LAYOUT.size)
        self._held[place] = change(bytes(self._held[place]))

    def read(self) -> bytes:
        """See :class:`~ada_otel.web.health._history.Ring`."""
        return bytes(self._held)


class FileRing:
    """The slots in a file. It is opened each time: a fork shares no lock, and a deleted one is made again.

    Args:
        given: Its path; empty for one in the temporary folder, by service and user.
    """

    def __init__(self, given: str = "") -> None:
        self._given = given
        self._instead: MemoryRing | None = None
        self._written = False
        if not _flock.AVAILABLE:
            self._instead = MemoryRing()

    @cached_property
    def _path(self) -> Path:
        return Path(self._given) if self._given else shared_path("history")

    def change(self, index: int, change: Callable[[bytes], bytes]) -> None:
        """See :class:`~ada_otel.web.health._history.Ring`."""
        if self._instead is None:
            try:
                self._change(index, change)
            except OSError as error:
                self._give_up(error)
        if self._instead is not None:
            self._instead.change(index, change)

    def read(self) -> bytes:
        """See :class:`~ada_otel.web.health._history.Ring`."""
        if self._instead is not None:
            return self._instead.read()
        try:
            with self._open(os.O_RDONLY) as descriptor:
                held = os.pread(descriptor, _SIZE, 0)
        except OSError:
            return b""
        return held if len(held) == _SIZE else b""

    def _change(self, index: int, change: Callable[[bytes], bytes]) -> None:
        with no_fork(), self._open(os.O_RDWR | os.O_CREAT) as descriptor:
            if not _flock.take(descriptor, _PATIENCE):
                return
            size = os.fstat(descriptor).st_size
            if size != _SIZE:
                if size and self._given and not self._written:
                    raise FileExistsError("it holds something else, which is left as it is")
                os.ftruncate(descriptor, 0)
                os.ftruncate(descriptor, _SIZE)
            at = index * LAYOUT.size
            os.pwrite(descriptor, change(os.pread(descriptor, LAYOUT.size, at)), at)
            self._written = True

    @contextlib.contextmanager
    def _open(self, flags: int) -> Iterator[int]:
        # In a temporary folder somebody else may have been first, with a file, a link or a pipe.
        flags |= os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        descriptor = os.open(self._path, flags, 0o600)
        try:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode) or found.st_uid != os.getuid():
                raise PermissionError("it belongs to somebody else, or is no file")
            yield descriptor
        finally:
            os.close(descriptor)

    def _give_up(self, error: OSError) -> None:
        self._instead = MemoryRing()
        report(
            "health-history",
            f"the file {self._path} cannot be used ({error}): the history at /health/history is that of one "
            "process. Set ADA_OTEL_HEALTH_HISTORY to a file that every worker may write.",
        )
