"""Every line of the standard library's ``logging``, whatever its handlers.

The hook is ``Logger.callHandlers``, which each record passes once: it holds through ``dictConfig``, sees
loggers that do not propagate (gunicorn's), and leaves the handlers alone. ``logging.basicConfig``, Flask and
Werkzeug look whether there are handlers, and must find those of the app, not one of ours.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from ada_otel.logs._hub import TAKING, here, hub
from ada_otel.logs._stock_handlers import hush

__all__ = ["install", "uninstall"]


class _Lowered(int):
    """The root logger's level when we lowered it; an app that sets one sets a plain number."""


_class: Any = logging.Logger
_state: dict[str, bool] = {"on": False, "hooked": False, "hushed": False}
_original: Callable[[logging.Logger, logging.LogRecord], None] = logging.Logger.callHandlers


def install(level: str) -> None:
    """Let every stdlib record come by the hub, once.

    Args:
        level: The lowest level that is sent. A root logger still at its default (WARNING) is lowered to it,
            but not for the app's handlers; one that the app has set is left alone.
    """
    global _original  # noqa: PLW0603  # what is put back
    hub.level = logging.getLevelName(level)
    root = logging.getLogger()
    if type(root.level) is _Lowered or (root.level == logging.WARNING and hub.level < logging.WARNING):
        root.setLevel(_Lowered(min(hub.level, logging.WARNING)))
    if _state["on"]:
        return
    _state["on"] = True
    if not _state["hushed"]:
        _state["hushed"] = True
        hush(_has_sent)
    if not _state["hooked"]:
        # Once: what another library has put around ours since would call itself.
        _state["hooked"] = True
        _original = logging.Logger.callHandlers
        _class.callHandlers = _call_handlers


def uninstall() -> None:
    """Let records go by the handlers alone again."""
    _state["on"] = False
    if logging.Logger.callHandlers is _call_handlers:
        _state["hooked"] = False
        _class.callHandlers = _original
    root = logging.getLogger()
    if type(root.level) is _Lowered:
        root.setLevel(logging.WARNING)


def _call_handlers(logger: logging.Logger, record: logging.LogRecord) -> None:
    before = here.at
    if not _state["on"] or before is record:
        # A handler hands the record on to another logger: it has come by already.
        _original(logger, record)
        return
    try:
        printed = before is not TAKING and hub.accept_record(logger, record)
        if (
            record.levelno < logging.WARNING
            and type(logger.root.level) is _Lowered
            and _has_no_level_of_its_own(logger)
        ):
            return
        if printed and not logger.hasHandlers():
            return  # logging.lastResort would print it again
        if before is not TAKING:
            here.at = record
        _original(logger, record)
    finally:
        here.at = before


def _has_sent(record: logging.LogRecord) -> bool:
    """Whether a record, whose handlers are being called, has become an OTLP record."""
    return _state["on"] and here.at is record and hub.sends(record)


def _has_no_level_of_its_own(logger: logging.Logger) -> bool:
    """Whether its level is that of the root logger: then a record was made only because we lowered that."""
    at: logging.Logger | None = logger
    while at is not None and at is not logger.root:
        if at.level:
            return False
        at = at.parent
    return True
