"""A bounded folder for what cannot be sent while the collector is away; off unless a folder is given.

One file holds one encoded request body behind a header with magic, length and checksum. It is written under
another name and renamed, so a process that is killed leaves a whole file or none. Nothing in it is executed
or unpickled: the body goes to the collector as it is. Replay is done by one process at a time and deletes a
file once the collector has taken it; only a kill between the two makes a body arrive twice.

Metrics are not spooled: the next cumulative point says what the lost one said.
"""

from __future__ import annotations

import fcntl
import itertools
import os
import struct
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ada_otel._diagnostics import report
from ada_otel.pipeline.fork import no_fork

if TYPE_CHECKING:
    from ada_otel.pipeline.export.sender import Outcome
    from ada_otel.pipeline.export.stats import SignalStats

_MAGIC = b"AOSP"
_VERSION = 1
_HEADER = struct.Struct(">4sBxxxIQI")  # magic, version, items, length, CRC-32 of the body
_UNFINISHED_AFTER = 600.0


class BodyExporter(Protocol):
    """What the spool needs of an exporter."""

    def encode(self, items: Any) -> bytes:
        """The request body for ``items``."""

    def send_body(self, body: bytes, within: float) -> Outcome:
        """Send a body that is encoded already, in one attempt."""


class Folder:
    """The files of one signal.

    Args:
        path: Where; made if missing, readable by its owner only.
        signal: Part of each file's name.
        max_bytes: The most that this signal's files may take; the oldest are deleted for new ones.
        fsync: Whether a file is on the disk, and not only in the page cache, before it counts as stored: for
            machines that lose power. A killed process loses nothing either way.
    """

    def __init__(self, path: Path, signal: str, *, max_bytes: int, fsync: bool) -> None:
        self._path = path
        self._signal = signal
        self._max_bytes = max_bytes
        self._fsync = fsync
        self._serial = itertools.count()
        self._path.mkdir(mode=0o700, parents=True, exist_ok=True)

    def store(self, body: bytes, items: int) -> int:
        """Write one body; returns how many items were deleted to make room.

        Raises:
            OSError: It could not be written, or is larger than the folder may be.
        """
        size = _HEADER.size + len(body)
        if size > self._max_bytes:
            raise OSError(f"{size} bytes are more than the {self._max_bytes} that the spool may take")
        deleted = self._make_room(size)
        name = f"{time.time_ns():020d}-{os.getpid()}-{next(self._serial)}.{self._signal}"
        unfinished = self._path / f"{name}.part"
        handle = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with open(handle, "wb") as file:  # noqa: PTH123  # it is a handle
            file.write(_HEADER.pack(_MAGIC, _VERSION, items, len(body), zlib.crc32(body)))
            file.write(body)
            if self._fsync:
                file.flush()
                os.fsync(file.fileno())
        unfinished.rename(self._path / f"{name}.otlp")
        if self._fsync:
            self._sync_folder()
        return deleted

    def files(self) -> list[Path]:
        """The whole files, oldest first."""
        return sorted(self._path.glob(f"*.{self._signal}.otlp"))

    def read(self, file: Path) -> tuple[bytes, int]:
        """The body in a file, and how many items are in it.

        Raises:
            ValueError: It is not a whole file of the spool.
        """
        data = file.read_bytes()
        if len(data) < _HEADER.size:
            raise ValueError("shorter than its header")
        magic, version, items, length, checksum = _HEADER.unpack_from(data)
        body = data[_HEADER.size :]
        if magic != _MAGIC or version != _VERSION:
            raise ValueError("not a spool file of this version")
        if length != len(body) or checksum != zlib.crc32(body):
            raise ValueError("damaged")
        return body, items

    @contextmanager
    def alone(self) -> Iterator[bool]:
        """Whether this process is the only one to replay, for as long as the block lasts.

        A POSIX lock: a forked child does not inherit it, and a killed process leaves none behind.
        """
        with (self._path / f".{self._signal}.lock").open("w") as lock:
            try:
                fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                yield False
            else:
                self._sweep()
                yield True

    def _make_room(self, size: int) -> int:
        files = self.files()
        total = size + sum(map(_size, files))
        deleted = 0
        for file in files:
            if total <= self._max_bytes:
                break
            total -= _size(file)
            deleted += _items(file)
            file.unlink(missing_ok=True)
        return deleted

    def _sweep(self) -> None:
        """Delete what a killed process left unfinished."""
        for file in self._path.glob(f"*.{self._signal}.part"):
            with suppress(OSError):
                if time.time() - file.stat().st_mtime > _UNFINISHED_AFTER:
                    file.unlink()

    def _sync_folder(self) -> None:
        handle = os.open(self._path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


class Spool:
    """Stores the batches of one signal while the collector is away, and replays them when it is back.

    Args:
        folder: Where.
        exporter: Encodes and sends.
        figures: Where it counts: ``spooled``, ``replayed``, and the drops ``spool_full``, ``spool_corrupt``.
    """

    def __init__(self, folder: Folder, exporter: BodyExporter, figures: SignalStats) -> None:
        self._folder = folder
        self._exporter = exporter
        self._figures = figures

    @property
    def waiting(self) -> bool:
        """Whether there is something to replay."""
        return bool(self._folder.files())

    def put(self, items: Sequence[Any]) -> bool:
        """Write a batch; false if that failed, which is reported once."""
        if not items:
            return True
        try:
            with no_fork():
                body = self._exporter.encode(items)
            deleted = self._folder.store(body, len(items))
        except Exception as error:
            report(
                f"spool:{self._figures.signal}:{type(error).__name__}",
                f"Telemetry could not be written to the spool ({type(error).__name__}: {error}); "
                "it stays in memory, within the bounds of the queue.",
                exc=error,
            )
            return False
        self._figures.spooled += len(items)
        if deleted:
            self._figures.drop("spool_full", deleted)
        return True

    def replay(self, go_on: Callable[[], bool], within: float) -> None:
        """Send stored bodies, oldest first, while ``go_on()`` and the collector takes them.

        Args:
            go_on: False when there is fresher work.
            within: Seconds for each body.
        """
        if not self.waiting:
            return
        with self._folder.alone() as alone:
            files = self._folder.files() if alone else []
            for file in files:
                if not go_on() or not self._replay_one(file, within):
                    return

    def _replay_one(self, file: Path, within: float) -> bool:
        try:
            body, items = self._folder.read(file)
        except FileNotFoundError:
            return True  # deleted for want of room
        except (OSError, ValueError) as error:
            report(
                f"spool:corrupt:{self._figures.signal}", f"A file of the spool is skipped: {file}: {error}."
            )
            self._figures.drop("spool_corrupt")
            file.unlink(missing_ok=True)
            return True
        outcome = self._exporter.send_body(body, within)
        if outcome.kind == "retry":
            return False
        file.unlink(missing_ok=True)
        refused = items
        if outcome.kind == "sent":
            refused = min(items, outcome.rejection.items) if outcome.rejection else 0
        self._figures.sent += items - refused
        self._figures.replayed += items
        if refused:
            self._figures.drop("rejected", refused)
        return True


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:
        return 0


def _items(file: Path) -> int:
    """How many items a file says that it holds; 1 if it cannot be read."""
    try:
        with file.open("rb") as stream:
            return int(_HEADER.unpack(stream.read(_HEADER.size))[2])
    except (OSError, struct.error):
        return 1
