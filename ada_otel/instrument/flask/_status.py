"""What a response's status says, on the span and on the duration."""

from __future__ import annotations

from typing import Any

from opentelemetry import metrics, trace
from opentelemetry.trace.status import Status, StatusCode

from ada_otel.pipeline.metrics import BoundHistogram, bind

_INVALID_STATUS = -1


def set_status(span: trace.Span, status: str) -> None:
    """Set the span's status and status code from a WSGI status line, such as ``404 NOT FOUND``."""
    text = status.partition(" ")[0]
    code = _status_code(text)
    if code == _INVALID_STATUS:
        span.set_attribute("error.type", text)
        span.set_status(Status(StatusCode.ERROR, "Non-integer HTTP status: " + text))
        return
    span.set_attribute("http.response.status_code", code)
    if code >= 500 or code < 100:
        span.set_attribute("error.type", text)
        span.set_status(Status(StatusCode.ERROR))


def _status_code(text: str) -> int:
    try:
        code = int(text)
    except ValueError:
        return _INVALID_STATUS
    return code if code >= 0 else _INVALID_STATUS


def bind_duration(
    histogram: metrics.Histogram,
    method: str,
    scheme: str | None,
    version: str,
    route: str | None,
    status: str | None,
    raised: str | None,
) -> BoundHistogram:
    """Tie the duration histogram to one set of attributes; ``status`` is a WSGI status line, if any."""
    found: dict[str, Any] = {
        "http.request.method": method,
        "url.scheme": scheme,
        "network.protocol.version": version,
        "http.route": route,
        "error.type": raised,
    }
    if status is not None:
        text = status.partition(" ")[0]
        code = _status_code(text)
        if code != _INVALID_STATUS:
            found["http.response.status_code"] = code
        if code >= 500 or code < 100:
            found["error.type"] = text
    return bind(histogram, without_empty(found))


def without_empty(attributes: dict[str, Any]) -> dict[str, Any]:
    """Leave out what a request does not say."""
    return {key: value for key, value in attributes.items() if value not in {None, ""}}
