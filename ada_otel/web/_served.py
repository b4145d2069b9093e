"""A request while it is served, and what its response says of it: for span, metrics and log line."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import Any

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import NonRecordingSpan

from ada_otel._diagnostics import failed
from ada_otel.pipeline.tracing.span import put
from ada_otel.web.context import RequestContext, flask_context

__all__ = ["Served", "note_span", "respond"]


class Served(RequestContext):
    """A request while it is served; one for the request log and for the fast path of Flask's instrumentation.

    Args:
        environ: The WSGI environment.

    Attributes:
        began: When, by ``perf_counter``.
        named: Whether its response and its span are given a request id.
        span: Its server span, where the fast path has begun it.
        answered: Told of span, status and headers when the response begins, where there is anything to tell.
        status: The status line of the response, once it has begun.
        length: The response's ``Content-Length``.
        sent: The bytes of a response without one that have left so far.
        streamed: The bytes that the app has made so far, where its span ends with the body.
        error: What was raised, in a view or through the app.
        context: The context in which the app serves it.
    """

    # Here is what most requests set before it is read.
    named = False
    context: Context | None = None
    status: str | None = None
    length: str | None = None
    sent = 0

    def __init__(self, environ: dict[str, Any]) -> None:
        self.environ = environ
        self.began = perf_counter()
        # And here what most requests only read: on the class it would be looked for in the bases each time.
        self.span: Any = None
        self.answered: Callable[[Any, str, list[tuple[str, str]]], None] | None = None
        self.streamed: int | None = None
        self.error: BaseException | None = None
        self._session = None
        self._user_id = None


def respond(  # noqa: C901  # one body, as it is run in each request
    request: Served, start_response: Any, status: str, headers: list[tuple[str, str]], *rest: Any
) -> Any:
    """Take up what a response says, and give it its request id; the ``start_response`` of PEP 3333."""
    try:
        request.status = status
        own = False
        for name, value in headers:
            size = len(name)
            if size == 14 and name.lower() == "content-length":
                request.length = value
            elif size == 12 and name.lower() == "x-request-id":
                own = True
        span = request.span
        if request.answered is not None:
            request.answered(span, status, headers)
        if request.named:
            if span is None:
                note_span(request)
            elif type(span) is not NonRecordingSpan:
                put(span, "request_id", request._request_id or request.request_id)
            if not own:
                headers.append(("X-Request-ID", request._request_id or request.request_id))
            if request._flask_context is None:
                request._flask_context = flask_context(request.environ)
    except Exception as error:
        failed("Taking up a response", error)
    return start_response(status, headers, *rest)


def note_span(request: Served) -> None:
    """Take up the span that is current, and give it the request's id."""
    span = request.span
    if span is None:
        span = trace.get_current_span()
        request.span_context = span.get_span_context()
    put(span, "request_id", request.request_id)
