"""What a response's status line and its declared size say."""

from __future__ import annotations

from functools import lru_cache

from opentelemetry import trace
from opentelemetry.trace.status import Status, StatusCode

from ada_otel.pipeline.tracing.span import put

INVALID_STATUS = -1
#: Of a size in bytes: 1 EB takes 19.
MOST_DIGITS = 19


def set_status(span: trace.Span, status: str) -> None:
    """Set the span's status and status code from a WSGI status line, such as ``404 NOT FOUND``."""
    text, code = parsed(status)
    if code == INVALID_STATUS:
        span.set_attribute("error.type", text)
        span.set_status(Status(StatusCode.ERROR, "Non-integer HTTP status: " + text))
        return
    put(span, "http.response.status_code", code)
    if code >= 500 or code < 100:
        span.set_attribute("error.type", text)
        span.set_status(Status(StatusCode.ERROR))


@lru_cache(256)
def parsed(status: str) -> tuple[str, int]:
    """The first word of a status line, and the code that it is."""
    text = status.partition(" ")[0]
    try:
        code = int(text)
    except ValueError:
        code = INVALID_STATUS
    return text, code if code >= 0 else INVALID_STATUS


def declared_size(text: str | None) -> int | None:
    """The number of bytes that a ``Content-Length`` says; ``None`` for none, or for nonsense."""
    return int(text) if text and text.isdecimal() and len(text) <= MOST_DIGITS else None
