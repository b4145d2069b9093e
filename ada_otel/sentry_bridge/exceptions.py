"""Sentry's exception interface: the chain of a record's exception, oldest cause first."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ada_otel.sentry_bridge.frames import shortened, stack_frame
from ada_otel.sentry_bridge.records import Record
from ada_otel.sentry_bridge.tracebacks import ParsedException, parse_traceback

if TYPE_CHECKING:
    from ada_otel.sentry_bridge.events import EventSettings

_MAX_VALUE = 8192
#: A chain or group with more exceptions than this is cut off at its far end.
_MAX_EXCEPTIONS = 50
#: The function in which Flask logs what no view or error handler caught.
_UNHANDLED_IN = "log_exception"


def exception_values(record: Record, settings: EventSettings, *, parse: bool) -> list[dict[str, Any]]:
    """The values of the exception interface; none for a record without an exception.

    Args:
        record: The record.
        settings: How frames are made.
        parse: Whether ``exception.stacktrace`` is a traceback of Python's.
    """
    newest = _newest(record.attributes, parse=parse)
    if newest is None:
        return []
    handled = record.attributes.get("code.function.name") != _UNHANDLED_IN
    values = []
    for number, (found, parent, source) in enumerate(_numbered(newest)):
        mechanism: dict[str, Any] = {"type": "chained" if number else "logging", "exception_id": number}
        if number:
            mechanism.update({"parent_id": parent, "source": source})
        else:
            mechanism["handled"] = handled
        if found.members:
            mechanism["is_exception_group"] = True
        values.append(_value(found, mechanism, settings))
    # Sentry shows the last one as the one that was raised.
    return values[::-1]


def _newest(attributes: dict[str, Any], *, parse: bool) -> ParsedException | None:
    """The record's exception. Its attributes win over the traceback, which may have been cut off."""
    kind = str(attributes.get("exception.type") or "")
    message = attributes.get("exception.message")
    stacktrace = attributes.get("exception.stacktrace")
    found = parse_traceback(str(stacktrace)) if parse and stacktrace else None
    if not kind and message is None and found is None:
        return None
    if found is None:
        return ParsedException(kind, "" if message is None else str(message))
    if kind and found.type and _short(found.type) != _short(kind):
        # The end is missing: what was read is the cause of what the attributes name.
        return ParsedException(kind, "" if message is None else str(message), cause=found)
    found.type = kind or found.type
    if message:
        found.value = str(message)
    return found


def _numbered(newest: ParsedException) -> Iterator[tuple[ParsedException, int, str]]:
    """Each exception with the number of the one that it belongs to, and how; numbers count up from 0."""
    waiting: list[tuple[ParsedException, int, str]] = [(newest, 0, "")]
    for number in range(_MAX_EXCEPTIONS):
        if not waiting:
            return
        found, parent, source = waiting.pop(0)
        yield found, parent, source
        if found.cause is not None:
            waiting.append((found.cause, number, found.link))
        waiting.extend((member, number, f"exceptions[{index}]") for index, member in enumerate(found.members))


def _value(found: ParsedException, mechanism: dict[str, Any], settings: EventSettings) -> dict[str, Any]:
    module, _, kind = found.type.rpartition(".")
    value: dict[str, Any] = {
        "type": (kind or "Error")[:256],
        "value": found.value[:_MAX_VALUE],
        "mechanism": mechanism,
    }
    if module:
        value["module"] = module[:256]
    frames = [
        stack_frame(frame, settings.in_app, source=settings.source) for frame in shortened(found.frames)
    ]
    if frames:
        value["stacktrace"] = {"frames": frames}
    return value


def _short(kind: str) -> str:
    return kind.rpartition(".")[2]
