"""What a log line says, put together from what was known when it was logged."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from opentelemetry._logs import SeverityNumber
from opentelemetry.instrumentation.log_utils import std_to_otel

from ada_otel.pipeline.grouped import Group

__all__ = [
    "MOST_ATTRIBUTES",
    "OWN_LOGGERS",
    "Client",
    "Deferred",
    "Finish",
    "Pairs",
    "Said",
    "made",
    "severity",
]

#: Loggers whose lines never become OTLP records: they speak of the export itself.
OWN_LOGGERS = frozenset({"opentelemetry", "ada_otel"})
#: A line with more is made when it is logged.
MOST_ATTRIBUTES = 73

#: The severity text of OpenTelemetry's log data model, where it differs from the stdlib's level name.
_SEVERITY_TEXT = {"WARNING": "WARN", "CRITICAL": "FATAL"}

Pairs = Sequence[tuple[str, Any]]


class Client(Group):
    """What the lines of a client have in common; found again by the object, as any group.

    Args:
        pairs: Keys and values.
        secretive: Those that are yet to be redacted.
    """

    __slots__ = ("secretive",)

    def __init__(self, pairs: tuple[tuple[str, Any], ...], secretive: tuple[tuple[str, Any], ...]) -> None:
        super().__init__(pairs)
        self.secretive = secretive


#: What a line says: its message, yet to be redacted; attributes that recur together; those of the client, if
#: it is of a request; those with another value in each line or request; others; and those that are yet to be
#: redacted. Values are str, bool, int and float, and ``None`` for what is not there.
Said = tuple[str, "Group | None", "Client | None", Pairs, Pairs, Pairs]
#: A line on its way: what is known of lines like it (a ``LineKind``), when it was logged in nanoseconds since
#: the epoch, the span context in which it was, what puts it together, and then what that needs: nothing that
#: changes, and nothing that keeps a request alive. One plain tuple, as the garbage collector looks at each
#: container that waits to be sent, and CPython takes plain ones apart several times faster than named ones.
Deferred = tuple[Any, ...]
#: Puts a line together.
Finish = Callable[[Deferred], Said]


@lru_cache(64)
def severity(level: int, name: str) -> tuple[SeverityNumber, str]:
    """OpenTelemetry's severity number and text of a stdlib level."""
    return std_to_otel(level), _SEVERITY_TEXT.get(name, name)


def made(said: Said) -> tuple[str, dict[str, Any]]:
    """The message and all attributes, redacted. Our encoder does the same by its caches."""
    from ada_otel.redaction import redactor  # what is redacted elsewhere does not load it

    message, group, client, fresh, pairs, secretive = said
    redact = redactor()
    found: dict[str, Any] = {} if group is None else dict(group.pairs)
    if client is not None:
        found.update(client.pairs)
        found.update([(key, redact.value(key, value)) for key, value in client.secretive])
    found.update(fresh)
    found.update(pairs)
    found.update([(key, redact.value(key, value)) for key, value in secretive])
    return redact.text(message), {key: value for key, value in found.items() if value is not None}
