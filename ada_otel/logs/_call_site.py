"""Where a line was logged: the first frame that is neither logging's, nor structlog's, nor ours."""

from __future__ import annotations

import sys
from types import FrameType
from typing import NamedTuple

__all__ = ["CallSite", "call_site"]

_INNER = ("structlog", "logging", "ada_otel.logs")


class CallSite(NamedTuple):
    """A place in the source.

    Attributes:
        logger: The name of the module, by which its logger would be called.
        path: The file.
        function: The function.
        line: The line.
    """

    logger: str
    path: str
    function: str
    line: int

    @property
    def module(self) -> str:
        """The file's name without folder and suffix, as ``LogRecord.module``."""
        return self.path.replace("\\", "/").rpartition("/")[2].partition(".")[0]


def call_site() -> CallSite:
    """Where the current line was logged; unknown places are ``"?"`` and line 0."""
    # structlog's async methods log in another thread, and keep the frame that called them.
    calling = getattr(sys.modules.get("structlog.contextvars"), "_ASYNC_CALLING_STACK", None)
    frame: FrameType | None = (calling.get(None) if calling is not None else None) or sys._getframe(1)
    while frame is not None:
        name = frame.f_globals.get("__name__") or "?"
        if not _is_inner(name):
            code = frame.f_code
            return CallSite(name, code.co_filename, code.co_name, frame.f_lineno)
        frame = frame.f_back
    return CallSite("?", "?", "?", 0)


def _is_inner(name: str) -> bool:
    return name.startswith(_INNER) and any(name == own or name.startswith(own + ".") for own in _INNER)
