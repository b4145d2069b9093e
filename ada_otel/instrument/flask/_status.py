"""What a response's status says, on the span and on the duration."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from opentelemetry import metrics, trace
from opentelemetry.trace.status import Status, StatusCode

from ada_otel.pipeline.metrics import BoundHistogram, bind
from ada_otel.pipeline.tracing.span import put

_INVALID_STATUS = -1


def set_status(span: trace.Span, status: str) -> None:
    """Set the span's status and status code from a WSGI status line, such as ``404 NOT FOUND``."""
    text, code = _parsed(status)
    if code == _INVALID_STATUS:
        span.set_attribute("error.type", text)
        span.set_status(Status(StatusCode.ERROR, "Non-integer HTTP status: " + text))
        return
    put(span, "http.response.status_code", code)
    if code >= 500 or code < 100:
        span.set_attribute("error.type", text)
        span.set_status(Status(StatusCode.ERROR))


@lru_cache(256)
def _parsed(status: str) -> tuple[str, int]:
    """The first word of a status line, and the code that it is."""
    text = status.partition(" ")[0]
    try:
        code = int(text)
    except ValueError:
        code = _INVALID_STATUS
    return text, code if code >= 0 else _INVALID_STATUS


class RequestMetrics(NamedTuple):
    """The histograms of one set of attributes."""

    duration: BoundHistogram
    request_size: BoundHistogram
    response_size: BoundHistogram


def bind_metrics(
    histograms: Sequence[metrics.Histogram],
    method: str,
    scheme: str | None,
    version: str,
    route: str | None,
    status: str | None,
    raised: str | None,
) -> RequestMetrics:
    """Tie the histograms to one set of attributes.

    Args:
        histograms: In the order of :class:`RequestMetrics`.
        method: ``http.request.method``.
        scheme: ``url.scheme``.
        version: ``network.protocol.version``.
        route: ``http.route``.
        status: A WSGI status line, if a response was begun.
        raised: ``error.type``, if none was.
    """
    found: dict[str, Any] = {
        "http.request.method": method,
        "url.scheme": scheme,
        "network.protocol.version": version,
        "http.route": route,
        "error.type": raised,
    }
    if status is not None:
        text, code = _parsed(status)
        if code != _INVALID_STATUS:
            found["http.response.status_code"] = code
        if code >= 500 or code < 100:
            found["error.type"] = text
    kept = without_empty(found)
    return RequestMetrics(*(bind(histogram, kept) for histogram in histograms))


def declared_size(text: str | None) -> int | None:
    """The number of bytes that a ``Content-Length`` says; ``None`` for none, or for nonsense."""
    return int(text) if text and text.isdecimal() else None


def without_empty(attributes: dict[str, Any]) -> dict[str, Any]:
    """Leave out what a request does not say."""
    return {key: value for key, value in attributes.items() if value not in {None, ""}}
