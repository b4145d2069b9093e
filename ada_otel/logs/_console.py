"""Lines on standard error: readable and coloured in a terminal, JSON elsewhere."""

from __future__ import annotations

import json
import logging
import os
import re
import sys
from datetime import datetime
from typing import Any

from ada_otel.logs._json import as_dict, render
from ada_otel.logs._line import Line

__all__ = ["Console", "pretty", "prints_to_console"]

_COLOURS = ((logging.ERROR, "31"), (logging.WARNING, "33"), (logging.INFO, "32"), (0, "2"))
#: Shown in places of their own, or not at all, in a terminal.
_LEFT_OUT = frozenset(
    {
        "timestamp",
        "level",
        "logger",
        "message",
        "service",
        "module",
        "function",
        "line",
        "exception",
        "span_id",
        "client.address",
        "user_agent.original",
        "session.id",
        "code.stacktrace",
    }
)
#: Control characters, but for tab and line break: a terminal would obey them.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_NEEDS_QUOTES = re.compile(r'[\s"=]|^$')


class Console:
    """Writes lines to standard error.

    Args:
        style: ``auto`` (by whether it is a terminal), ``pretty`` or ``json``.
    """

    def __init__(self, style: str) -> None:
        self.style = style

    def write(self, line: Line) -> None:
        """Write ``line``; a console that is gone is no trouble."""
        stream = sys.stderr
        if stream is None:
            return
        try:
            terminal = stream.isatty()
            readable = self.style == "pretty" or (self.style == "auto" and terminal)
            text = pretty(line, colour=_colour(terminal)) if readable else render(line)
            try:
                stream.write(f"{text}\n")
            except UnicodeEncodeError:
                # Escapes of JSON's, for the line may be JSON.
                stream.write("".join(c if c.isascii() else json.dumps(c)[1:-1] for c in text) + "\n")
            stream.flush()
        except (OSError, ValueError):
            return


def pretty(line: Line, *, colour: bool) -> str:
    """The line for people: local time, level, message, logger, other fields, and the traceback below.

    Args:
        line: The line.
        colour: Whether to use ANSI colours.
    """

    def paint(text: str, code: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if colour and text else text

    fields = as_dict(line)
    moment = datetime.fromtimestamp(line.timestamp / 1e9).astimezone()
    code = next(code for lowest, code in _COLOURS if line.level >= lowest)
    rest = [
        f"{paint(_safe(key), '36')}={_safe(_shown(value))}"
        for key, value in fields.items()
        if key not in _LEFT_OUT and value is not None
    ]
    head = " ".join(
        [
            paint(f"{moment:%H:%M:%S}.{moment.microsecond // 1000:03d}", "2"),
            paint(f"{line.level_name:<8}", code),
            paint(_safe(line.message), "1"),
            paint(f"[{_safe(line.logger)}]", "34"),
            *rest,
        ]
    )
    below = [
        _safe(str(text)).rstrip()
        for text in (line.attributes.get("exception.stacktrace"), line.attributes.get("code.stacktrace"))
        if text
    ]
    return "\n".join([head, *below])


def prints_to_console(logger: logging.Logger, *, any_handler: bool) -> bool:
    """Whether a handler of the app's prints what ``logger`` logs.

    Args:
        logger: The logger of the line.
        any_handler: Whether a handler that writes elsewhere counts too.
    """
    at: logging.Logger | None = logger
    while at is not None:
        for handler in at.handlers:
            if any_handler or _is_console(handler):
                return True
        at = at.parent if at.propagate else None
    return False


def _is_console(handler: logging.Handler) -> bool:
    stream = getattr(handler, "stream", None)
    standard = (sys.stderr, sys.stdout, sys.__stderr__, sys.__stdout__)
    # Rich's handler has a console in place of a stream.
    return (stream is not None and stream in standard) or hasattr(handler, "console")


def _colour(terminal: bool) -> bool:
    if os.environ.get("NO_COLOR"):
        return False
    return bool(os.environ.get("FORCE_COLOR")) or (terminal and os.environ.get("TERM") != "dumb")


def _shown(value: Any) -> str:
    if not isinstance(value, str):
        return json.dumps(value, ensure_ascii=False, default=str)
    return json.dumps(value, ensure_ascii=False) if _NEEDS_QUOTES.search(value) else value


def _safe(text: str) -> str:
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text)
