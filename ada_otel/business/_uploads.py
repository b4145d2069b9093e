"""Uploaded files: what the app says of them, and what Flask requests show by themselves."""

from __future__ import annotations

import sys
from time import perf_counter
from types import TracebackType
from typing import Any

from typing_extensions import Self

from ada_otel._diagnostics import failed
from ada_otel.business import _check
from ada_otel.business._operation import Operation
from ada_otel.business._telemetry import count, note, record

#: In the environ of a request: the app has told of its uploads itself.
TOLD = "ada_otel.uploads_told"

#: What could not be parsed, or was sent without a media type.
UNKNOWN = "unknown"

_USUAL = """
    application/gzip application/json application/msword application/octet-stream application/pdf
    application/vnd.ms-excel application/vnd.openxmlformats-officedocument.presentationml.presentation
    application/vnd.openxmlformats-officedocument.spreadsheetml.sheet
    application/vnd.openxmlformats-officedocument.wordprocessingml.document
    application/x-tar application/xml application/zip audio/mpeg audio/ogg audio/wav
    image/avif image/gif image/heic image/jpeg image/png image/svg+xml image/tiff image/webp
    text/csv text/html text/markdown text/plain text/xml video/mp4 video/webm
"""
USUAL = frozenset(_USUAL.split())
_TOP_LEVELS = frozenset(
    ("application", "audio", "font", "image", "message", "model", "multipart", "text", "video")
)


def media_type(text: str) -> str:
    """One of a bounded set: the 30 most usual types, ``<top level>/other``, or ``unknown``."""
    kind = text.partition(";")[0].strip().lower()
    if kind in USUAL:
        return kind
    top = kind.partition("/")[0]
    return f"{top}/other" if "/" in kind and top in _TOP_LEVELS else UNKNOWN


def count_upload(kind: str, size: float | None, seconds: float | None, error: str | None) -> None:
    """Record one file.

    Args:
        kind: Of :func:`media_type`.
        size: In bytes.
        seconds: How long it took.
        error: Why it failed; ``None`` when it did not.
    """
    ended = {"ada.upload.type": kind, "ada.outcome": "success" if error is None else "failure"}
    if seconds is not None:
        record("ada.upload.duration", seconds, ended)
    if size is not None:
        record("ada.upload.size", size, {"ada.upload.type": kind})
    count("ada.uploads", ended if error is None else {**ended, "error.type": error})
    seen = {"ada.upload.type": kind}
    note(seen if size is None else {**seen, "ada.upload.size": int(size)})


class Upload(Operation):
    """One upload: a context manager, and a decorator. Made by :func:`ada_otel.business.upload`."""

    def __init__(self, media: object, size: object) -> None:
        self._media = media
        self._size = size
        self._error: str | None = None
        self._started: float | None = None

    def _fresh(self) -> Self:
        return type(self)(self._media, self._size)

    def __enter__(self) -> Self:
        self._started = perf_counter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        started, self._started = self._started, None
        if started is None:
            return
        seconds = perf_counter() - started
        if error is not None:
            self._error = type(error).__qualname__[: _check.LONGEST]
        _tell("upload", self._media, self._size, seconds, self._error)

    @_check.safely
    def file(self, media_type: str | None = None, size: int | None = None) -> None:
        """Say what is known of the file only now.

        Args:
            media_type: Its media type.
            size: Its size in bytes.
        """
        if media_type is not None:
            self._media = media_type
        if size is not None:
            self._size = size

    @_check.safely
    def fail(self, reason: str | BaseException) -> None:
        """Say that the upload failed though no exception leaves the block.

        Args:
            reason: A short name for ``error.type``, such as ``"virus_found"``, or the exception.
        """
        self._error = _check.failure("upload.fail", "reason", reason)


@_check.otherwise(lambda: Upload(None, None))
def upload(media_type: str | None = None, size: int | None = None) -> Upload:
    """Count and time one upload; used with ``with``, or as a decorator.

    An exception that leaves the block makes it a failure and goes on.

    Args:
        media_type: Of the file. Counted as one of the 30 most usual, else by its top level.
        size: In bytes.
    """
    given: Any = media_type
    if _check.decorated("upload", "media_type", given, "Its calls are counted under 'unknown'."):
        return Upload(None, None)(given)  # type: ignore[return-value]  # the function, decorated
    return Upload(media_type, size)


@_check.safely
def uploaded(
    media_type: str | None, size: int | None = None, *, error: str | BaseException | None = None
) -> None:
    """Count one upload that is over.

    Args:
        media_type: Of the file; ``None`` when it is not known.
        size: In bytes.
        error: Why it failed, in short, or the exception; ``None`` when it did not.
    """
    reason = None if error is None else _check.failure("uploaded", "error", error)
    _tell("uploaded", media_type, size, None, reason)


def _tell(function: str, media: object, size: object, seconds: float | None, error: str | None) -> None:
    try:
        kind = UNKNOWN
        if media is not None:
            named = _check.label(function, "media_type", media, then="It is counted as 'unknown'.")
            kind = media_type(named or "")
        bytes_ = None if size is None else _check.amount(function, "size", size, whole=True)
        if size is not None and bytes_ is None:
            return
        count_upload(kind, bytes_, seconds, error)
        _mark_request()
    except Exception as problem:
        failed(f"business.{function}()", problem)


def _mark_request() -> None:
    flask: Any = sys.modules.get("flask")
    if flask is not None and flask.has_request_context():
        flask.request.environ[TOLD] = True
