"""From the text of a variable to its value; each raises ``ValueError`` with what would be right."""

from __future__ import annotations

from collections.abc import Callable

_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off"})
_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


def boolean(text: str) -> bool:
    """Parse ``true`` or ``false`` in any of their usual spellings."""
    word = text.strip().lower()
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise ValueError("true or false")


def level(text: str) -> str:
    """Parse the name of a stdlib logging level."""
    word = text.strip().upper()
    if word == "WARN":
        word = "WARNING"
    if word not in _LEVELS:
        raise ValueError("one of " + ", ".join(_LEVELS))
    return word


def seconds(text: str) -> float:
    """Parse a length of time in seconds, from 0 to one hour."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 3600:
        raise ValueError("a number of seconds from 0 to 3600")
    return value


def count(low: int, high: int) -> Callable[[str], int]:
    """Make a parser for a whole number within bounds."""

    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = low - 1
        if not low <= value <= high:
            raise ValueError(f"a whole number from {low} to {high}")
        return value

    return parse
