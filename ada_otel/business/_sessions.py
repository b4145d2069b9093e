"""Open sessions, by file: a session is an empty file, named by a hash of its id.

Its times say when it began (modified) and when it was last active (accessed). Creating and removing a file
are atomic, so that of several workers exactly one counts a start or an end, and a worker that is killed
loses nothing. No id is written anywhere.
"""

from __future__ import annotations

import math
import os
import re
import stat
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from time import monotonic, time

from ada_otel._diagnostics import report
from ada_otel.business._folder import Folder
from ada_otel.business._telemetry import count, record

_COUNT = "sessions.count"
_OURS = re.compile(r"[0-9a-f]{32}").fullmatch
#: The most sessions of a host that are tracked.
MOST = 100_000
#: A session is noted as active at most once in so many seconds, or a quarter of the timeout, by each process.
_NOTED = 30.0
_REMEMBERED = 10_000
#: Counting 100,000 files takes a moment: a count holds for so many seconds.
_COUNTED = 10.0
#: Nobody has counted for so long: metrics are not collected, and sessions have to expire all the same.
_LONG_AGO = 3600.0


class Sessions:
    """The sessions of a host."""

    def __init__(self, folder: Folder, timeout: float) -> None:
        """Take a folder.

        Args:
            folder: Shared by the workers of a host.
            timeout: Seconds without activity after which a session has expired.
        """
        self._folder = folder
        self._timeout = timeout
        self._pause = min(_NOTED, timeout / 4)
        self._noted: dict[int, float] = {}
        self._open = 0
        self._counted_until = 0.0
        self._known = 0
        self._asked_until = 0.0

    def start(self, session: str) -> bool:
        """Note a session; False if it is open already, which only makes it active."""
        file = self._file(session)
        if file is None or self._full():
            return True
        try:
            os.close(os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        except FileExistsError:
            self.active(session)
            return False
        except OSError as error:
            report(
                "business-session-file",
                f"sessions cannot be kept in {file.parent} ({error}): they are counted at their start alone. "
                "Give the folder room, or set ADA_OTEL_BUSINESS_FOLDER to another one.",
            )
        return True

    def active(self, session: str) -> None:
        """Note that an open session is in use."""
        now, known = monotonic(), hash(session)  # no id is kept, however long it is
        if self._noted.get(known, -math.inf) > now - self._pause:
            return
        if len(self._noted) >= _REMEMBERED:
            self._noted.clear()
        self._noted[known] = now
        file = self._file(session)
        if file is not None:
            with suppress(FileNotFoundError):
                os.utime(file, ns=(int(time() * 1e9), file.stat().st_mtime_ns))

    def end(self, session: str) -> tuple[bool, float | None]:
        """Close a session.

        Returns:
            Whether this call closed it, and its length in seconds where its start is known.
        """
        self._noted.pop(hash(session), None)
        file = self._file(session)
        if file is None:
            return True, None
        try:
            began = file.stat().st_mtime
            file.unlink()
        except FileNotFoundError:
            return False, None
        return True, max(0.0, time() - began)

    def open(self) -> int | None:
        """How many are open; those that have expired are closed, and counted as that."""
        folder = self._folder.path("sessions")
        if folder is None:
            return None
        if monotonic() >= self._counted_until:
            self._open = self._count(folder)
            self._counted_until = monotonic() + _COUNTED
        return self._open

    def _count(self, folder: Path) -> int:
        found, bound = 0, time() - self._timeout
        with os.scandir(folder) as entries:
            for entry in entries:
                with suppress(FileNotFoundError):
                    status = entry.stat(follow_symlinks=False)
                    if status.st_size or not stat.S_ISREG(status.st_mode) or not _OURS(entry.name):
                        continue  # of somebody else, who has a folder of that name there too
                    if max(status.st_atime, status.st_mtime) >= bound:
                        found += 1
                    else:
                        Path(entry.path).unlink()
                        _expired(max(0.0, status.st_atime - status.st_mtime))
        with suppress(OSError):
            (folder.parent / _COUNT).write_text(str(found), encoding="ascii")
        return found

    def _file(self, session: str) -> Path | None:
        folder = self._folder.path("sessions")
        digest = blake2b(session.encode("utf-8", "surrogatepass"), digest_size=16)
        return folder and folder / digest.hexdigest()

    def _full(self) -> bool:
        if monotonic() >= self._asked_until:
            self._known = self._last_count()
            self._asked_until = monotonic() + _COUNTED
        if self._known < MOST:
            return False
        report(
            "business-sessions",
            f"more than {MOST} sessions are open on this host: further ones are not in ada.sessions.active. "
            "Set ADA_OTEL_SESSION_TIMEOUT to a shorter time, or end sessions with business.session_ended().",
        )
        return True

    def _last_count(self) -> int:
        """How many were open when a worker last counted; one of them does, for all."""
        folder = self._folder.path()
        if folder is None:
            return 0
        file = folder / _COUNT
        with suppress(OSError, ValueError):
            if time() - file.stat().st_mtime < _LONG_AGO:
                return int(file.read_text(encoding="ascii"))
        return self._count(folder / "sessions")


def _expired(seconds: float) -> None:
    count("ada.session.ends", {"ada.session.end_reason": "expired"})
    record("ada.session.duration", seconds, {})
