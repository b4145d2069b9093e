"""All that leaves goes through the process's redactor, which is made when the first line comes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

__all__ = ["Redactor", "redactor"]


class Redactor(Protocol):
    """What is used of :class:`ada_otel.redaction.Redactor`."""

    def text(self, text: str) -> str:
        """``text`` without what looks like a secret."""

    def value(self, key: str, value: Any) -> Any:
        """``value``, redacted by its key and by what it looks like, in depth."""

    def mapping(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """``values``, each redacted by its key and by what it looks like."""


_find: Callable[[], Redactor] | None = None


def redactor() -> Redactor:
    """The process-wide redactor, from the settings."""
    global _find  # noqa: PLW0603  # imported with the first line, for start-up's sake
    if _find is None:
        from ada_otel import redaction

        _find = redaction.redactor
    return _find()
