"""What a log line says, put together from what was known when it was logged."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from opentelemetry._logs import SeverityNumber
from opentelemetry.instrumentation.log_utils import std_to_otel

from ada_otel.pipeline.grouped import Group

__all__ = ["MOST_ATTRIBUTES", "OWN_LOGGERS", "Finish", "Said", "made", "severity"]

#: Loggers whose lines never become OTLP records: they speak of the export itself.
OWN_LOGGERS = frozenset({"opentelemetry", "ada_otel"})
#: A line with more is made when it is logged.
MOST_ATTRIBUTES = 73

#: The severity text of OpenTelemetry's log data model, where it differs from the stdlib's level name.
_SEVERITY_TEXT = {"WARNING": "WARN", "CRITICAL": "FATAL"}

Pairs = Sequence[tuple[str, Any]]

#: Its message; attributes that recur together; others; and those that may hold a secret. Message and the last
#: ones are yet to be redacted. Values are str, bool, int and float, and ``None`` for what is not there.
Said = tuple[str, tuple[Group, ...], Pairs, Pairs]

#: Makes it of the line's parts.
Finish = Callable[..., Said]


@lru_cache(64)
def severity(level: int, name: str) -> tuple[SeverityNumber, str]:
    """OpenTelemetry's severity number and text of a stdlib level."""
    return std_to_otel(level), _SEVERITY_TEXT.get(name, name)


def made(said: Said) -> tuple[str, dict[str, Any]]:
    """The message and all attributes, redacted. Our encoder does the same by its caches."""
    from ada_otel.redaction import redactor  # what is redacted elsewhere does not load it

    message, groups, pairs, secretive = said
    redact = redactor()
    found = {key: value for group in groups for key, value in group.pairs}
    found.update(pairs)
    found.update([(key, redact.value(key, value)) for key, value in secretive])
    return redact.text(message), {key: value for key, value in found.items() if value is not None}
