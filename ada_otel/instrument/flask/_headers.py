"""Capture of request and response headers, by the stock environment variables.

The stock code reads seven variables and compiles its expressions on every request, 10 µs of it with nothing
to capture. They are read here once, when the app is instrumented; with nothing to capture there is no work.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from opentelemetry.instrumentation.wsgi import (
    collect_custom_request_headers_attributes,
    collect_custom_response_headers_attributes,
)
from opentelemetry.util.http import (
    OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_REQUEST,
    OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_RESPONSE,
    get_custom_headers,
)

Capture = Callable[[Any], dict[str, Any]]


def request_capture() -> Capture | None:
    """A function from the WSGI environment to attributes, or None where no header is asked for."""
    wanted = get_custom_headers(OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_REQUEST)
    return collect_custom_request_headers_attributes if wanted else None


def response_capture() -> Capture | None:
    """A function from the response's header list to attributes, or None where no header is asked for."""
    wanted = get_custom_headers(OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_RESPONSE)
    return collect_custom_response_headers_attributes if wanted else None
