"""What ada-otel says of itself: each kind of trouble once, and never an exception into the app."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager

logger = logging.getLogger("ada_otel")

_reported: set[str] = set()


def report(
    kind: str, message: str, *, level: int = logging.WARNING, exc: BaseException | None = None
) -> None:
    """Log ``message`` the first time that ``kind`` comes by in this process; later ones are dropped.

    Args:
        kind: Names the trouble, for instance ``"setting:OTEL_EXPORTER_OTLP_PROTOCOL"``.
        message: A full sentence: what was wrong, and what would be right.
        level: A stdlib logging level.
        exc: The error behind it; its traceback is logged at debug level only.
    """
    if kind in _reported:
        return
    _reported.add(kind)
    logger.log(level, "%s", message)
    if exc is not None:
        logger.debug("the error behind it:", exc_info=exc)


def text_of(value: object, most: int | None = 500) -> str:
    """``str(value)``, cut, also where the object is one whose ``__str__`` raises."""
    try:
        return str(value)[:most]
    except Exception:
        return f"<{type(value).__name__} without a text>"


def repr_of(value: object, most: int = 80) -> str:
    """``repr(value)``, likewise."""
    try:
        return repr(value)[:most]
    except Exception:
        return f"<{type(value).__name__} without a text>"


def raising() -> bool:
    """Whether errors inside telemetry go on to the caller: only in ada-otel's own tests."""
    return os.environ.get("ADA_OTEL_RAISE", "").strip().lower() in {"1", "true", "yes", "on"}


def failed(what: str, error: Exception) -> None:
    """Keep an error inside telemetry away from the app: report it once, by name. Call it in an ``except``.

    Args:
        what: What was being done, as it should read in "… failed".
        error: The error, which goes on to the caller only in ada-otel's own tests.
    """
    if raising():
        raise error
    report(
        f"contained:{what}:{type(error).__name__}",
        f"{what} failed: {type(error).__name__}: {text_of(error)}. The app goes on, with less telemetry.",
        exc=error,
    )


@contextmanager
def contained(what: str) -> Iterator[None]:
    """Do :func:`failed` with whatever is raised in the block; for places that are not on a request's way."""
    try:
        yield
    except Exception as error:
        failed(what, error)


def forget_reports() -> None:
    """Let every kind be reported again; for tests."""
    _reported.clear()
