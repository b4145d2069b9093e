"""A worker's file: values in shared memory, which the kernel keeps however the worker ends.

The file grows by chunks. Each begins with the number of bytes that are in use, and holds records one after
the other: the length of the key, the number of slots, the key, the slots. A slot is 8 bytes, aligned, and is
written by one store. Only the worker writes; what it has written stays when it is killed, as the pages are
the kernel's.

The worker holds a POSIX lock on its file: it goes when the process goes, in whatever way, a forked child does
not inherit it, and no reuse of process ids can feign it.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
import time
from _thread import RLock
from collections.abc import Iterator, Sequence
from pathlib import Path
from secrets import token_hex
from typing import Any, NamedTuple

CHUNK = 131_072
SUFFIX = ".worker"
_HEAD = struct.Struct("<QQ")
_MAGIC = 0x31_41_44_41_4F_54_45_4C
_RECORD = struct.Struct("<II")


class Place(NamedTuple):
    """Where a record's slots are.

    Attributes:
        slots: The chunk as doubles, in a memoryview.
        at: The index of the first.
        memory: The chunk itself, for what is no double.
    """

    slots: Any  # typeshed does not know that a cast view takes doubles
    at: int
    memory: mmap.mmap


class Record(NamedTuple):
    """What was read of a record: its key, its slots as doubles, and the same as bytes."""

    key: bytes
    values: Sequence[float]
    raw: bytes


class WorkerFile:
    """The file of this process.

    Args:
        folder: Where the workers of a server have theirs.
        suffix: What its name ends with; another one for a file that is no worker's.

    Raises:
        OSError: It cannot be made, or there is no room for it.
    """

    def __init__(self, folder: Path, suffix: str = SUFFIX) -> None:
        self.path = folder / f"{os.getpid()}-{time.time_ns():x}-{token_hex(4)}{suffix}"
        self._lock = RLock()
        self._chunks: list[mmap.mmap] = []
        self._used = 0
        unready = self.path.with_suffix(".new")
        self._descriptor = os.open(unready, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        fcntl.lockf(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self._grow()
        # Under its final name it is locked from the first moment, or it would be taken for a dead worker's.
        unready.rename(self.path)

    def add(self, key: bytes, slots: int, first: float = 0.0) -> Place:
        """Make a record.

        Args:
            key: Of the series.
            slots: How many it needs.
            first: What the first slot holds in the beginning; the others hold 0.

        Raises:
            OSError: There is no room on the device.
            ValueError: The record is longer than a chunk.
        """
        padded = key + b"\0" * (-len(key) % 8)
        size = _RECORD.size + len(padded) + 8 * slots
        if size > CHUNK - _HEAD.size:
            raise ValueError(f"a series of {size} bytes is too long")
        with self._lock:
            if self._used + size > CHUNK:
                self._grow()
            memory = self._chunks[-1]
            start = self._used
            at = start + _RECORD.size + len(padded)
            memory[start:at] = _RECORD.pack(len(key), slots) + padded
            place = Place(memoryview(memory).cast("d"), at // 8, memory)
            if slots:
                place.slots[place.at] = first
            self._used = start + size
            # Last: who reads meanwhile sees the record whole, or not at all.
            memory[:8] = self._used.to_bytes(8, "little")
            return place

    def records(self) -> Iterator[Record]:
        """What is in it now, from memory: to open and close the file would give up its lock."""
        for memory in list(self._chunks):
            yield from _records(memory[:])

    def close(self) -> None:
        """Give up the lock, as if the process had ended. The memory stays while cells hold it."""
        os.close(self._descriptor)

    def _grow(self) -> None:
        offset = len(self._chunks) * CHUNK
        # Blocks that are there for sure: to write to a hole on a full device would kill the process (SIGBUS).
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(self._descriptor, offset, CHUNK)
        else:
            os.pwrite(self._descriptor, bytes(CHUNK), offset)
        memory = mmap.mmap(self._descriptor, CHUNK, offset=offset)
        memory[: _HEAD.size] = _HEAD.pack(_HEAD.size, _MAGIC)
        self._chunks.append(memory)
        self._used = _HEAD.size


def read(path: Path) -> Iterator[Record]:
    """What is in another process's file; what cannot be read of it is left out."""
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            yield from _records(chunk)


def _records(chunk: bytes) -> Iterator[Record]:
    if len(chunk) < CHUNK:
        return
    used, magic = _HEAD.unpack_from(chunk)
    if magic != _MAGIC or used > CHUNK:
        return
    position = _HEAD.size
    while position + _RECORD.size <= used:
        length, slots = _RECORD.unpack_from(chunk, position)
        start = position + _RECORD.size
        values = start + length + (-length % 8)
        position = values + 8 * slots
        if position > used:
            return
        raw = chunk[values:position]
        yield Record(chunk[start : start + length], memoryview(raw).cast("d"), raw)
