"""The way of a request: one WSGI wrapper around the app, one around what it does before the view.

The first starts the span before Flask does anything, so that session loading is inside it, and ends it when
the response body has been sent. The second gives the span its route, which Flask knows by then; as a function
of ``before_request``, Flask would ask for each request whether it is a coroutine's: 1.5 µs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache, partial
from time import perf_counter_ns, time_ns
from typing import TYPE_CHECKING, Any

import flask
from flask.globals import _cv_request
from flask.signals import got_request_exception
from opentelemetry import metrics, propagate, trace
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.context import Context
from opentelemetry.instrumentation import flask as stock
from opentelemetry.instrumentation.flask import (
    _excluded_urls_from_env,  # noqa: F401  # read from the module, where tests set it; here to fail early
)
from opentelemetry.instrumentation.flask.version import __version__ as _stock_version
from opentelemetry.instrumentation.propagators import get_global_response_propagator
from opentelemetry.instrumentation.wsgi import default_response_propagation_setter, wsgi_getter
from opentelemetry.propagators.composite import CompositePropagator
from opentelemetry.semconv.schemas import Schemas
from opentelemetry.trace import INVALID_SPAN, SpanKind
from opentelemetry.trace.propagation import _SPAN_KEY
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.http import parse_excluded_urls

from ada_otel import catalogue
from ada_otel._diagnostics import contained, failed
from ada_otel.instrument.flask._attributes import method_of, protocol_version, request_attributes
from ada_otel.instrument.flask._body import StreamedBody
from ada_otel.instrument.flask._commenter import COMMENTER_KEY, request_tags
from ada_otel.instrument.flask._headers import request_capture, response_capture
from ada_otel.instrument.flask._status import bind_metrics, declared_size, set_status, without_empty
from ada_otel.pipeline.current import attach, detach, get_current
from ada_otel.pipeline.metrics import bind
from ada_otel.pipeline.tracing.begin import begin_with
from ada_otel.pipeline.tracing.span import RecordingSpan, error_status, put
from ada_otel.web.context import TRACED

if TYPE_CHECKING:
    from flask import Flask

#: The scope of the stock instrumentation: what reads its telemetry goes on working.
SCOPE = "opentelemetry.instrumentation.flask"

#: In the order of :class:`~ada_otel.instrument.flask._status.RequestMetrics`.
_HISTOGRAMS = (
    "http.server.request.duration",
    "http.server.request.body.size",
    "http.server.response.body.size",
)

_EMPTY = Context()


class Request:
    """What is known of one request while it is served."""

    __slots__ = ("context", "error", "length", "route", "sent", "span", "status", "streamed", "tags")

    def __init__(self, span: trace.Span) -> None:
        self.span = span
        #: The span's context, which the request log asks for, too.
        self.context = span.get_span_context()
        self.route: str | None = None
        self.status: str | None = None
        self.error: BaseException | None = None
        self.streamed = False
        #: The response's Content-Length, and the bytes that a streamed one has sent so far.
        self.length: str | None = None
        self.sent = 0
        self.tags: dict[str, str] | None = None


class Middleware:
    """Wraps ``Flask.wsgi_app``; see :func:`install` for the options."""

    def __init__(self, app: Flask, options: dict[str, Any]) -> None:
        schema = Schemas.V1_21_0.value
        tracer = trace.get_tracer(SCOPE, _stock_version, options.get("tracer_provider"), schema_url=schema)
        meter = metrics.get_meter(SCOPE, _stock_version, options.get("meter_provider"), schema_url=schema)
        self.app = app
        self.wsgi_app: Callable[..., Iterable[bytes]] = app.wsgi_app
        self.preprocessing: Callable[..., Any] = app.preprocess_request
        self._begin = begin_with(tracer)
        histograms = [catalogue.create(meter, catalogue.metric(name)) for name in _HISTOGRAMS]
        active = catalogue.create(meter, catalogue.metric("http.server.active_requests"))
        # One handle per set of attributes; the sets are few (routes, not paths), and the caches bounded.
        self._active = lru_cache(256)(
            lambda method, scheme: bind(
                active, without_empty({"http.request.method": method, "url.scheme": scheme})
            )
        )
        self._metrics = lru_cache(2048)(partial(bind_metrics, histograms))
        self._request_hook = options.get("request_hook")
        self._response_hook = options.get("response_hook")
        excluded = options.get("excluded_urls")
        found = stock._excluded_urls_from_env if excluded is None else parse_excluded_urls(excluded)
        self._excluded = found if found._excluded_urls else None
        self._capture_request = request_capture()
        self._capture_response = response_capture()
        self._tags = (
            request_tags(options.get("commenter_options") or {})
            if options.get("enable_commenter", True)
            else None
        )
        # With a middleware between, ProxyFix say, Flask sees another request than the server sent.
        self._rewritten = getattr(app.wsgi_app, "__func__", None) is not flask.Flask.wsgi_app
        self._propagator: Any = None
        self._standard_headers = False

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Serve one request (PEP 3333)."""
        if self._excluded is not None and self._excluded.url_disabled(_url(environ)):
            return self.wsgi_app(environ, start_response)
        started = perf_counter_ns()
        context, kind = get_current(), SpanKind.SERVER
        # Inside another span, of a WSGI middleware say, this one is internal, as in the stock code.
        if context.get(_SPAN_KEY, INVALID_SPAN) is not INVALID_SPAN:
            kind = SpanKind.INTERNAL
        elif (
            self._standard_headers
            and propagate.get_global_textmap() is self._propagator
            and "HTTP_TRACEPARENT" not in environ
            and "HTTP_BAGGAGE" not in environ
        ):
            context = _EMPTY
        else:
            context = self._extract(environ)
        method = method_of(environ.get("REQUEST_METHOD", ""))[0]
        scheme = environ.get("wsgi.url_scheme")
        span = self._begin(
            "HTTP" if method == "_OTHER" else method,
            kind,
            context,
            partial(request_attributes, environ),
            start_time=time_ns(),
        )
        request = Request(span)
        outer = environ.get(TRACED)
        environ[TRACED] = request
        inner = Context(context)
        dict.__setitem__(inner, _SPAN_KEY, span)
        if self._tags is not None:
            request.tags = {}
            dict.__setitem__(inner, COMMENTER_KEY, request.tags)
        token = attach(inner)
        active = self._active(method, scheme)
        active.add(1, None, None)
        try:
            body = self.wsgi_app(environ, partial(self._respond, request, start_response))
        except BaseException as error:
            request.error = error
            self._finish(request, environ, method, scheme, started, active)
            raise
        finally:
            detach(token)
            if outer is not None:
                # An application called this one with its own environ, and is not done with it.
                environ[TRACED] = outer
        if request.streamed and not isinstance(body, environ.get("wsgi.file_wrapper", ())):
            finish = partial(self._finish, request, environ, method, scheme, started, active)
            return StreamedBody(body, inner, request, finish)
        self._finish(request, environ, method, scheme, started, active)
        return body

    def _extract(self, environ: dict[str, Any]) -> Context:
        propagator = propagate.get_global_textmap()
        if propagator is not self._propagator:
            self._propagator = propagator
            self._standard_headers = _reads_only_w3c(propagator)
        return propagator.extract(environ, getter=wsgi_getter)

    def preprocess_request(self, *arguments: Any) -> Any:
        """In the place of ``Flask.preprocess_request``: give the span what Flask knows by now, the route."""
        try:
            flask_request = _cv_request.get().request
            environ = flask_request.environ
            request = environ.get(TRACED)
            if request is not None:
                rule = flask_request.url_rule
                if rule is not None:
                    request.route = rule.rule
                if self._tags is not None and request.tags is not None:
                    request.tags.update(self._tags(None if rule is None else rule.endpoint, request.route))
                if request.span.is_recording():
                    self._describe(request.span, rule, environ)
                if self._request_hook is not None:
                    self._request_hook(request.span, environ)
        except Exception as error:
            failed("Tracing a request", error)
        return self.preprocessing(*arguments)

    def _describe(self, span: Any, rule: Any, environ: dict[str, Any]) -> None:
        if self._rewritten:
            span.set_attributes(request_attributes(environ).together())
        if rule is not None:
            name = _name(environ.get("REQUEST_METHOD", ""), rule.rule)
            if type(span) is RecordingSpan:
                span._name = name
            else:
                span.update_name(name)
            put(span, "http.route", rule.rule)
        if self._capture_request is not None and span.kind is SpanKind.SERVER:
            span.set_attributes(self._capture_request(environ))

    def _respond(
        self, request: Request, start_response: Any, status: str, headers: list[tuple[str, str]], *rest: Any
    ) -> Any:
        try:
            request.status = status
            for name, text in headers:
                if len(name) == 14 and name.lower() == "content-length":
                    request.length = text
            span = request.span
            propagator = get_global_response_propagator()
            if propagator is not None:
                propagator.inject(headers, setter=default_response_propagation_setter)
            if span.is_recording():
                set_status(span, status)
                if self._capture_response is not None and span.kind is SpanKind.SERVER:  # type: ignore[attr-defined]
                    span.set_attributes(self._capture_response(headers))
            if self._response_hook is not None:
                self._response_hook(span, status, headers)
        except Exception as error:
            failed("Tracing a response", error)
        return start_response(status, headers, *rest)

    def _finish(
        self,
        request: Request,
        environ: dict[str, Any],
        method: str,
        scheme: str | None,
        started: int,
        active: Any,
    ) -> None:
        try:
            span, context, error = request.span, request.context, request.error
            active.add(-1, None, None)
            version = protocol_version(environ.get("SERVER_PROTOCOL", ""))
            raised = type(error).__qualname__ if error is not None and request.status is None else None
            measures = self._metrics(method, scheme, version, request.route, request.status, raised)
            # Its exemplars lead from slow requests to their traces; the other metrics need none.
            measures.duration.record((perf_counter_ns() - started) / 1e9, None, context)
            received = environ.get("CONTENT_LENGTH")
            if received and (size := declared_size(received)) is not None:
                measures.request_size.record(size, None, None)
            size = (
                request.sent if request.length is None and request.streamed else declared_size(request.length)
            )
            if size is not None and method != "HEAD":
                measures.response_size.record(size, None, None)
            if error is not None and span.is_recording():
                if raised is not None:
                    span.set_attribute("error.type", raised)
                span.record_exception(error)
                span.set_status(error_status(error))
            span.end()
        except Exception as problem:
            failed("Ending a request's span", problem)


def install(app: Flask, options: dict[str, Any]) -> None:
    """Instrument one application.

    Args:
        app: The application.
        options: ``request_hook``, ``response_hook``, ``tracer_provider``, ``meter_provider``,
            ``excluded_urls``, ``enable_commenter``, ``commenter_options``; as for the stock instrumentor.
    """
    middleware = Middleware(app, options)
    app.wsgi_app = middleware  # type: ignore[method-assign]
    app.preprocess_request = middleware.preprocess_request  # type: ignore[method-assign]
    process_response = app.process_response

    def process_and_note(response: flask.Response) -> flask.Response:
        # The span of a streamed response ends with the body. Error pages come as iterators as well, but their
        # length is known.
        processed = process_response(response)
        if not isinstance(processed.response, (list, tuple)) and "Content-Length" not in processed.headers:
            request = _cv_request.get().request.environ.get(TRACED)
            if request is not None:
                request.streamed = True
        return processed

    app.process_response = process_and_note  # type: ignore[method-assign]
    got_request_exception.connect(_note_error, app)
    app._ada_otel_middleware = (middleware, process_response)  # type: ignore[attr-defined]
    app._is_instrumented_by_opentelemetry = True  # type: ignore[attr-defined]


def remove(app: Flask) -> bool:
    """Take the instrumentation off again; False if this module did not put it there."""
    installed = getattr(app, "_ada_otel_middleware", None)
    if installed is None:
        return False
    middleware, process_response = installed
    app.wsgi_app = middleware.wsgi_app  # type: ignore[method-assign]
    app.process_response = process_response  # type: ignore[method-assign]
    app.preprocess_request = middleware.preprocessing  # type: ignore[method-assign]
    got_request_exception.disconnect(_note_error, app)
    del app._ada_otel_middleware  # type: ignore[attr-defined]
    app._is_instrumented_by_opentelemetry = False  # type: ignore[attr-defined]
    return True


def instrumented_class(base: type[Flask], options: dict[str, Any]) -> type[Flask]:
    """Make the class that takes the place of ``flask.Flask``: its applications are instrumented at birth."""

    class InstrumentedFlask(base):  # type: ignore[misc, valid-type]
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            with contained("Instrumenting a Flask application"):
                install(self, options)

    InstrumentedFlask.__name__ = base.__name__
    InstrumentedFlask.__qualname__ = base.__qualname__
    return InstrumentedFlask


def _note_error(_app: Flask, exception: BaseException, **_extra: Any) -> None:
    request = _cv_request.get().request.environ.get(TRACED)
    if request is not None:
        request.error = exception


def _reads_only_w3c(propagator: Any) -> bool:
    parts = propagator._propagators if type(propagator) is CompositePropagator else [propagator]
    return all(type(part) in {TraceContextTextMapPropagator, W3CBaggagePropagator} for part in parts)


@lru_cache(2048)
def _name(method: str, route: str) -> str:
    """The span's name (semantic conventions, HTTP spans)."""
    known = method_of(method)[0]
    return f"{'HTTP' if known == '_OTHER' else known} {route}"


def _url(environ: dict[str, Any]) -> str:
    from werkzeug.wrappers import Request as WerkzeugRequest

    return WerkzeugRequest(environ).url
