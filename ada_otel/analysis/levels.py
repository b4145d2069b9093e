"""Log levels: the names of the standard library, of OpenTelemetry, and the numbers of both.

Answers have the standard library's names. Documents of the collector have OpenTelemetry's (WARN, FATAL).
Source of the numbers: OpenTelemetry log data model, severity fields.
"""

from __future__ import annotations

from ada_otel.analysis.errors import QueryError

__all__ = ["LEVELS", "at_least", "level_name", "level_of_number", "spellings"]

#: Each level, lowest first, with the lowest severity number that it has in OpenTelemetry.
LEVELS = {"TRACE": 1, "DEBUG": 5, "INFO": 9, "WARNING": 13, "ERROR": 17, "CRITICAL": 21}
_ALIASES = {"WARN": "WARNING", "FATAL": "CRITICAL", "EXCEPTION": "ERROR"}


def level_name(text: str) -> str:
    """The standard library's name for a level in any spelling; an unknown one in capitals."""
    word = text.strip().upper()
    return _ALIASES.get(word, word)


def level_of_number(number: int) -> str | None:
    """The level of an OpenTelemetry severity number; ``None`` for 0, which stands for none."""
    named = [name for name, lowest in LEVELS.items() if number >= lowest]
    return named[-1] if named else None


def spellings(name: str) -> list[str]:
    """All spellings under which documents may have a level."""
    level = level_name(name)
    words = [level, *(alias for alias, meant in _ALIASES.items() if meant == level)]
    return [*words, *(word.lower() for word in words)]


def at_least(text: str) -> list[str]:
    """The levels from ``text`` up.

    Raises:
        QueryError: There is no such level.
    """
    level = level_name(text)
    if level not in LEVELS:
        raise QueryError(f"level: {text!r} is none; write one of {', '.join(LEVELS).lower()}")
    return [name for name, lowest in LEVELS.items() if lowest >= LEVELS[level]]
