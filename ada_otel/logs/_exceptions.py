"""An exception in words: type, message, traceback, and the causes behind it."""

from __future__ import annotations

import re
import sys
import traceback
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, cast

from ada_otel.logs._redaction import redactor
from ada_otel.logs._values import text_of

__all__ = ["Description", "describe", "describe_rendered", "resolve", "type_name"]

ExcInfo = tuple[type[BaseException], BaseException, "TracebackType | None"]

#: Of a longer traceback the middle is left out: the raise and the first calls are at its ends.
_LONGEST = 65_536
_MOST_CAUSES = 16
#: The last line of a traceback that was rendered already.
_LAST_LINE = re.compile(r"([A-Za-z_][\w.]*)(?:: (.*))?", re.DOTALL)


@dataclass(frozen=True)
class Description:
    """An exception in words, redacted.

    Attributes:
        type: Its class, with the module but for builtins.
        message: What ``str()`` gives.
        traceback: As Python prints it, causes included; empty if it was never raised and has none.
        causes: Type and message of each cause, the nearest first.
    """

    type: str
    message: str
    traceback: str
    causes: list[dict[str, str]] = field(default_factory=list)


def resolve(exc_info: Any) -> ExcInfo | None:
    """The triple that ``exc_info`` stands for: a triple, an exception, or ``True`` for the current one."""
    if isinstance(exc_info, BaseException):
        return type(exc_info), exc_info, exc_info.__traceback__
    if not isinstance(exc_info, tuple):
        exc_info = sys.exc_info() if exc_info else (None, None, None)
    if len(exc_info) != 3 or not isinstance(exc_info[1], BaseException):
        return None
    return cast("ExcInfo", exc_info)


def describe(exc_info: ExcInfo) -> Description:
    """The exception of a triple, in words; never raises for an exception that cannot be shown."""
    kind, error, trace = exc_info
    redact = redactor().text
    try:
        text = "".join(traceback.format_exception(kind, error, trace))
    except Exception as trouble:
        text = f"<no traceback: {type(trouble).__name__}>"
    return Description(
        type_name(kind),
        redact(text_of(error)),
        redact(_shortened(text)),
        [
            {"type": type_name(type(cause)), "message": redact(text_of(cause))}
            for cause in _causes(error)[:_MOST_CAUSES]
        ],
    )


def describe_rendered(rendered: Any) -> Description | None:
    """The exception behind what a structlog processor made of it: a text, or a list of dictionaries."""
    active = sys.exc_info()
    redact = redactor().text
    if isinstance(rendered, list) and rendered and isinstance(rendered[0], dict):
        first = rendered[0]
        if active[1] is not None and type(active[1]).__name__ == first.get("exc_type"):
            return describe(active)
        kind, message = text_of(first.get("exc_type", "")), text_of(first.get("exc_value", ""))
        return Description(kind, redact(message), "") if kind else None
    if isinstance(rendered, dict):
        parts = [text_of(rendered.get(name) or "") for name in ("type", "message", "traceback")]
        return Description(parts[0], redact(parts[1]), redact(parts[2]), rendered.get("causes") or [])
    if not isinstance(rendered, str) or not rendered.strip():
        return None
    # The text is kept as it is: a processor of the app's may have taken something out of it.
    lines = rendered.rstrip().splitlines()
    frames = [number for number, line in enumerate(lines) if line.startswith((" ", "\t"))]
    found = _LAST_LINE.fullmatch("\n".join(lines[frames[-1] + 1 if frames else 0 :]))
    if found is None:
        return Description("", "", redact(_shortened(rendered)))
    return Description(found[1], redact(found[2] or ""), redact(_shortened(rendered)))


def type_name(kind: type[BaseException]) -> str:
    """The class as ``exception.type`` has it: with its module, but for builtins."""
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _causes(error: BaseException) -> list[BaseException]:
    found: list[BaseException] = []
    seen = {id(error)}
    while True:
        cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        if cause is None or id(cause) in seen:
            return found
        seen.add(id(cause))
        found.append(cause)
        error = cause


def _shortened(text: str) -> str:
    if len(text) <= _LONGEST:
        return text
    half = _LONGEST // 2
    return f"{text[:half]}\n… {len(text) - _LONGEST} characters left out …\n{text[-half:]}"
