"""Reads JSON lines from log files, compressed and rotated ones too, and follows them as they grow."""

from __future__ import annotations

import glob
import gzip
import json
import os
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from ada_otel.analysis._documents import from_line
from ada_otel.analysis.errors import AnalysisError, NothingThereError
from ada_otel.analysis.model import LogEntry


def expand(patterns: Sequence[str]) -> list[Path]:
    """The files of glob patterns, those that were written last at the end.

    Raises:
        NothingThereError: A pattern has no file.
    """
    found: dict[Path, float] = {}
    for pattern in patterns:
        # Not Path.glob, which takes no absolute pattern.
        matches = glob.glob(str(Path(pattern).expanduser()))  # noqa: PTH207
        names = [name for name in matches if Path(name).is_file()]
        if not names:
            raise NothingThereError(
                f"--file: there is no file {pattern}; the app writes logs/ada_app.log by default"
            )
        found.update({Path(name): Path(name).stat().st_mtime for name in names})
    return sorted(found, key=lambda path: (found[path], str(path)))


@dataclass
class LineReader:
    """Reads log lines; counts those that are none.

    Attributes:
        skipped: Lines that are no JSON object, or have no time.
    """

    skipped: int = 0

    def read(self, paths: Sequence[Path]) -> Iterator[LogEntry]:
        """All log lines of ``paths``, in their order.

        Raises:
            AnalysisError: A file cannot be read.
        """
        self.skipped = 0
        for path in paths:
            yield from self._read_one(path)

    def _read_one(self, path: Path) -> Iterator[LogEntry]:
        try:
            with _open(path) as file:
                for number, line in enumerate(file, start=1):
                    entry = self.parse(line, f"{path}:{number}")
                    if entry is not None:
                        yield entry
        except FileNotFoundError:
            # It was rotated away just now; its lines are in another file of the same pattern, or gone.
            return
        except (OSError, EOFError, zlib.error) as error:
            reason = getattr(error, "strerror", None) or error
            raise AnalysisError(f"--file: {path} cannot be read: {reason}") from None

    def parse(self, line: bytes, place: str) -> LogEntry | None:
        """One line; ``None`` if it is empty, or no log line, which is counted."""
        if not line.strip():
            return None
        try:
            parsed = json.loads(line)
        except (ValueError, RecursionError):
            parsed = None
        entry = from_line(parsed, place) if isinstance(parsed, dict) else None
        self.skipped += entry is None
        return entry


def _open(path: Path) -> IO[bytes]:
    if path.suffix == ".gz":
        return gzip.open(path, "rb")  # type: ignore[return-value]  # it reads bytes as any file does
    return path.open("rb")


@dataclass
class Tail:
    """The lines that are added to files from now on, through rotation and truncation.

    Attributes:
        patterns: Glob patterns of the files; the rotated ones should be among them, or what is written just
            before a rotation may be missed.
    """

    patterns: Sequence[str]
    reader: LineReader
    _offsets: dict[tuple[int, int], int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for path in expand(self.patterns):
            about = path.stat()
            self._offsets[about.st_dev, about.st_ino] = about.st_size

    def fresh(self) -> Iterator[LogEntry]:
        """The whole lines that came since the last call."""
        known: dict[tuple[int, int], int] = {}
        for path in self._paths():
            try:
                with path.open("rb") as file:
                    about = os.fstat(file.fileno())
                    identity = about.st_dev, about.st_ino
                    offset = self._offsets.get(identity, 0)
                    file.seek(offset if offset <= about.st_size else 0)
                    at = file.tell()
                    for line in file:
                        if not line.endswith(b"\n"):
                            break
                        entry = self.reader.parse(line, f"{path}@{at}")
                        at += len(line)
                        if entry is not None:
                            yield entry
                    known[identity] = at
            except FileNotFoundError:
                continue
        # Files that are gone are forgotten, for a new one may get the number of an old one.
        self._offsets = known

    def _paths(self) -> list[Path]:
        try:
            return [path for path in expand(self.patterns) if path.suffix != ".gz"]
        except (NothingThereError, FileNotFoundError):
            return []
