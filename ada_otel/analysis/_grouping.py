"""Puts errors that differ in numbers, ids and quoted values alone into one group."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from ada_otel.analysis import _fields

#: What varies from line to line, the most special first. Each alternative is linear on any input.
_VARYING = re.compile(
    r"(?P<url>\bhttps?://[^\s'\"<>)\]]+)"
    r"|(?P<uuid>\b[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}\b)"
    r"|(?P<time>\b\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2})?(?:[.,]\d+)?(?:Z|[+-]\d{2}:?\d{2})?)?)"
    r"|(?P<address>\b\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}(?::\d+)?\b)"
    r"|(?P<email>\b[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63})+)"
    r"|(?P<value>(?<!\w)'[^'\n]{0,200}'(?!\w)|\"[^\"\n]{0,200}\")"
    r"|(?P<hex>\b0x[0-9a-fA-F]+\b|\b(?=[0-9a-fA-F]{0,64}\d)[0-9a-fA-F]{16,64}\b)"
    r"|(?P<n>(?<![A-Za-z_])\d+(?:[.,]\d+)*)"
)
#: What stands for a message that is too long to be grouped by.
LONG = "(message of more than 1024 characters)"


@dataclass(frozen=True)
class Key:
    """What errors of one group have in common."""

    type: str | None
    logger: str | None
    pattern: str


@lru_cache(4096)
def pattern_of(message: str) -> str:
    """The message with what varies replaced by ``<…>``: ``order <n> of <uuid>``."""
    return _VARYING.sub(lambda match: f"<{match.lastgroup}>", message)


def key_of(kind: str | None, logger: str | None, message: str | None) -> Key:
    """The group of an error; a message of more than 1,024 characters, or ``None``, counts as long."""
    if message is None or len(message) > _fields.LONGEST_KEYWORD:
        return Key(kind, logger, LONG)
    return Key(kind, logger, pattern_of(message))


@dataclass
class Tally:
    """What is counted for one group; times are milliseconds since 1970.

    Attributes:
        last_message: The message of the last error, as it is indexed; ``None`` if it is too long for that.
    """

    count: int = 0
    before: int = 0
    first: float = float("inf")
    last: float = float("-inf")
    last_message: str | None = None

    def add(self, count: int, before: int, first: float, last: float, message: str | None) -> None:
        """Add errors with one and the same message."""
        self.count += count
        self.before += before
        self.first = min(self.first, first)
        if last >= self.last:
            self.last, self.last_message = last, message


def largest(tallies: dict[Key, Tally], size: int) -> list[tuple[Key, Tally]]:
    """The groups of this period, the largest first; the one that was seen last, among equals."""
    present = [(key, tally) for key, tally in tallies.items() if tally.count]
    present.sort(key=lambda pair: (-pair[1].count, -pair[1].last, str(pair[0])))
    return present[:size]
