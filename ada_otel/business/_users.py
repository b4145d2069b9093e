"""Active users: sketches over rings of time slots, merged over the workers of a host by one file.

A window is its current slot and as many whole ones before it as fill the window, so it is up to one slot
longer than its name says, and misses nobody.
"""

from __future__ import annotations

import os
import threading
import zlib
from pathlib import Path
from time import time
from typing import NamedTuple, TypeVar

from ada_otel import _flock
from ada_otel.business import _sketch
from ada_otel.business._folder import Folder
from ada_otel.pipeline.fork import no_fork, on_fork


class Window(NamedTuple):
    """A window over which users are counted: seconds of a slot, and whole slots."""

    name: str
    slot: int
    slots: int


#: The windows; for one hour, for instance, 12 slots of five minutes.
WINDOWS = (Window("5m", 30, 10), Window("1h", 300, 12), Window("1d", 3600, 24))

Registers = TypeVar("Registers", bytes, bytearray)

#: The window's number, and the slot's: seconds since the epoch by the length of a slot.
Slot = tuple[int, int]

_MAGIC = b"ada-users-1\n"
_KEY = 10
_RECORD = _KEY + _sketch.SIZE
#: Users whom this process has just counted, and need not count again in this slot.
_REMEMBERED = 20_000
#: Hashes that are kept for other hosts, at most.
_MOST_FRESH = 50_000
#: The most seconds that a collection waits for another process, which takes milliseconds.
_PATIENCE = 1.0


class Users:
    """The users who were active, as this process and the others of the host have seen them."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._slots: dict[Slot, bytearray] = {}
        self._seen: set[int] = set()
        self._seen_slot = 0
        self.fresh: set[int] | None = None
        """Hashes for whoever takes them on to other hosts; ``None`` when nobody does."""
        self._renew()
        on_fork(self._renew)

    def _renew(self) -> None:
        self._lock = threading.Lock()

    def active(self, user: str, now: float | None = None) -> None:
        """Count a user as active.

        Args:
            user: The user's id.
            now: Seconds since the epoch.
        """
        when = int(time() if now is None else now)
        slot = when // WINDOWS[0].slot
        known = hash(user)  # no id is kept, however long it is
        if slot == self._seen_slot and known in self._seen:
            return
        value = _sketch.hashed(user)
        index, rank = _sketch.place(value)
        with self._lock:
            if slot != self._seen_slot or len(self._seen) >= _REMEMBERED:
                self._seen.clear()
                self._seen_slot = slot
            self._seen.add(known)
            if self.fresh is not None and len(self.fresh) < _MOST_FRESH:
                self.fresh.add(value)
            for number, window in enumerate(WINDOWS):
                key = (number, when // window.slot)
                registers = self._slots.get(key)
                if registers is None:
                    # Where metrics are not collected, nothing else takes the old ones away.
                    self._slots = _current(self._slots, when)
                    registers = self._slots[key] = bytearray(_sketch.SIZE)
                registers[index] = max(registers[index], rank)

    def take_fresh(self) -> set[int]:
        """The hashes since the last call."""
        with self._lock:
            found, self.fresh = self.fresh, set()
        return found or set()

    def give_back(self, values: set[int]) -> None:
        """Keep hashes that could not be taken on, as far as there is room."""
        with self._lock:
            if self.fresh is not None and len(self.fresh) + len(values) <= _MOST_FRESH:
                self.fresh |= values

    def share(self) -> None:
        """Add to the file what is new here, and take from it what the others have added."""
        folder = self._folder.path()
        if folder is None or not _flock.AVAILABLE:
            return
        with no_fork():
            descriptor = os.open(folder / "users.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                # Where another process does not let go of it, all of it is done at the next collection.
                if _flock.take(descriptor, _PATIENCE):
                    self._exchange(folder / "users.sketch")
            finally:
                os.close(descriptor)

    def _exchange(self, file: Path) -> None:
        theirs = _read(file)
        with self._lock:
            # Here, too: only the one worker that reports for the host asks for the counts.
            self._slots = _current(self._slots, time())
            ours = {key: bytes(held) for key, held in self._slots.items()}
        both = {**theirs, **{key: _union(held, theirs.get(key)) for key, held in ours.items()}}
        # By comparison, so that all of it is there again after the file was deleted or damaged.
        if both != theirs:
            _write(file, _current(both, time()))
        with self._lock:
            for key, registers in both.items():
                mine = self._slots.get(key)
                if mine is None:
                    self._slots[key] = bytearray(registers)
                elif mine != registers:
                    mine[:] = _sketch.merged((mine, registers))

    def counts(self, now: float | None = None) -> dict[str, int]:
        """The users of each window.

        Args:
            now: Seconds since the epoch.
        """
        when = time() if now is None else now
        with self._lock:
            self._slots = _current(self._slots, when)
            held = {key: bytes(registers) for key, registers in self._slots.items()}
        return {
            window.name: _sketch.estimate(_sketch.merged(held[key] for key in held if key[0] == number))
            for number, window in enumerate(WINDOWS)
        }


def _union(one: bytes, other: bytes | None) -> bytes:
    return one if other is None or other == one else bytes(_sketch.merged((one, other)))


def _current(slots: dict[Slot, Registers], now: float) -> dict[Slot, Registers]:
    return {
        (number, slot): registers
        for (number, slot), registers in slots.items()
        if now // WINDOWS[number].slot - WINDOWS[number].slots <= slot <= now // WINDOWS[number].slot + 1
    }


def _read(file: Path) -> dict[Slot, bytes]:
    try:
        content = file.read_bytes()
        if not content.startswith(_MAGIC):
            return {}
        plain = zlib.decompress(content[len(_MAGIC) :])
    except (OSError, zlib.error):
        # No file yet, or a damaged one: the next write replaces it.
        return {}
    found = {}
    for start in range(0, len(plain) - _RECORD + 1, _RECORD):
        number = int.from_bytes(plain[start : start + 2], "big")
        slot = int.from_bytes(plain[start + 2 : start + _KEY], "big")
        if number < len(WINDOWS):
            found[number, slot] = plain[start + _KEY : start + _RECORD]
    return found


def _write(file: Path, slots: dict[Slot, bytes]) -> None:
    plain = b"".join(
        number.to_bytes(2, "big") + slot.to_bytes(8, "big") + registers
        for (number, slot), registers in slots.items()
    )
    # Nobody else writes it, under the lock; a reader never sees half of it.
    new = file.with_suffix(".new")
    new.write_bytes(_MAGIC + zlib.compress(plain, 1))
    new.replace(file)
