"""Redaction: what must not leave the process, by key and by what a text looks like.

See docs/redaction.md. One redactor serves the process: log lines, spans and business events go through it.
"""

from __future__ import annotations

import re

from ada_otel._diagnostics import contained
from ada_otel.redaction._redactor import MARK, Redactor

__all__ = ["MARK", "Redactor", "add_key", "add_pattern", "redactor"]

_made: list[Redactor] = []


def redactor() -> Redactor:
    """The process-wide redactor, made from the settings when it is first asked for."""
    if not _made:
        from ada_otel import settings

        found = settings.load()
        _made.append(
            Redactor(
                enabled=found.redaction,
                emails=found.redact_emails,
                keys=found.redacted_keys,
                allowed=found.kept_keys,
            )
        )
    return _made[0]


def add_key(key: str) -> None:
    """Redact every value whose key contains ``key``; case and the characters ``-_.`` and space are ignored.

    Never raises: a key without a letter or digit is reported once and left out.
    """
    with contained("ada_otel.redaction.add_key"):
        redactor().add_key(key)


def add_pattern(name: str, regex: str | re.Pattern[str]) -> None:
    """Redact every match of ``regex`` in any text.

    Never raises: an expression that does not compile is reported once and left out. Keep it free of nested
    repetition: it runs on every text that leaves, and its time is its own affair.

    Args:
        name: Shown in the place of what matched, as ``[redacted NAME]``; a second of that name replaces it.
        regex: The expression, or its text.
    """
    with contained("ada_otel.redaction.add_pattern"):
        redactor().add_pattern(name, regex)


def forget() -> None:
    """Let the redactor be made anew; for tests."""
    _made.clear()
