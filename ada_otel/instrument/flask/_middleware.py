"""The way of a request: one WSGI wrapper around the app, one around what it does before the view.

The first starts the span before Flask does anything, so that session loading is inside it, and ends it when
the response body has been sent. The second gives the span its route, which Flask knows by then; as a function
of ``before_request``, Flask would ask for each request whether it is a coroutine's: 1.5 µs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache, partial
from time import perf_counter, time_ns
from typing import TYPE_CHECKING, Any

import flask
from flask.globals import _cv_request
from flask.signals import got_request_exception
from opentelemetry import metrics, propagate, trace
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.context import Context
from opentelemetry.instrumentation import flask as stock
from opentelemetry.instrumentation import propagators as response_propagators
from opentelemetry.instrumentation.flask import (
    _excluded_urls_from_env,  # noqa: F401  # read from the module, where tests set it; here to fail early
)
from opentelemetry.instrumentation.flask.version import __version__ as _stock_version
from opentelemetry.instrumentation.propagators import (
    _RESPONSE_PROPAGATOR,  # noqa: F401  # read from the module, as it changes; here to fail early
    get_global_response_propagator,
)
from opentelemetry.instrumentation.wsgi import default_response_propagation_setter, wsgi_getter
from opentelemetry.propagate import (
    _HTTP_TEXT_FORMAT,  # noqa: F401  # likewise
)
from opentelemetry.propagators.composite import CompositePropagator
from opentelemetry.semconv.schemas import Schemas
from opentelemetry.trace import INVALID_SPAN, NonRecordingSpan, SpanKind
from opentelemetry.trace.propagation import _SPAN_KEY
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.http import parse_excluded_urls

from ada_otel import catalogue
from ada_otel._diagnostics import contained, failed
from ada_otel.instrument.flask._attributes import method_of, request_attributes
from ada_otel.instrument.flask._body import StreamedBody
from ada_otel.instrument.flask._headers import request_capture, response_capture
from ada_otel.instrument.flask._measures import ActiveRequests, Entry, bind_metrics
from ada_otel.instrument.flask._routes import COMMENTER_KEY, Route, Routes
from ada_otel.instrument.flask._status import MOST_DIGITS, declared_size, set_status
from ada_otel.pipeline.current import attach, detach, get_current, reset
from ada_otel.pipeline.tracing.begin import begin_with
from ada_otel.pipeline.tracing.span import RecordingSpan, error_status, put
from ada_otel.web._served import Served, respond

if TYPE_CHECKING:
    from flask import Flask

#: The scope of the stock instrumentation: what reads its telemetry goes on working.
SCOPE = "opentelemetry.instrumentation.flask"

#: In the order of :class:`~ada_otel.instrument.flask._measures.RequestMetrics`.
_HISTOGRAMS = (
    "http.server.request.duration",
    "http.server.request.body.size",
    "http.server.response.body.size",
)

_EMPTY = Context()
_SERVER = SpanKind.SERVER  # what is on a class is looked up anew each time

#: Where the request is kept in the WSGI environment, as long as it is served.
_TRACED = "ada_otel.request"


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
        self._entries = lru_cache(256)(partial(Entry, ActiveRequests(active)))
        self._metrics = lru_cache(2048)(partial(bind_metrics, histograms))
        self._request_hook = options.get("request_hook")
        self._response_hook = options.get("response_hook")
        excluded = options.get("excluded_urls")
        found = stock._excluded_urls_from_env if excluded is None else parse_excluded_urls(excluded)
        self._excluded = found if found._excluded_urls else None
        self._capture_request = request_capture()
        self._capture_response = response_capture()
        self._tells = self._response_hook is not None or self._capture_response is not None
        self._routes = Routes(
            enable_commenter=options.get("enable_commenter", True),
            options=options.get("commenter_options") or {},
        )
        # With a middleware between, ProxyFix say, Flask sees another request than the server sent.
        self._rewritten = getattr(app.wsgi_app, "__func__", None) is not flask.Flask.wsgi_app
        self._propagator: Any = None
        self._standard_headers = False

    def __call__(  # noqa: C901, PLR0912, PLR0915  # one body: each call into a helper costs every request
        self, environ: dict[str, Any], start_response: Any
    ) -> Iterable[bytes]:
        """Serve one request (PEP 3333)."""
        if self._excluded is not None and self._excluded.url_disabled(_url(environ)):
            return self.wsgi_app(environ, start_response)
        started = perf_counter()
        request: Served | None = None
        if type(start_response) is partial and start_response.func is respond:
            request = start_response.args[0]
        if request is None or request.span is not None:
            # Nobody stands in front, or an application called this one with what it was given itself.
            request = Served(environ)
            start_response = partial(respond, request, start_response)
        context, kind = get_current(), _SERVER
        # Inside another span, of a WSGI middleware say, this one is internal, as in the stock code.
        if context.get(_SPAN_KEY, INVALID_SPAN) is not INVALID_SPAN:
            kind = SpanKind.INTERNAL
        elif (
            self._standard_headers
            and propagate._HTTP_TEXT_FORMAT is self._propagator  # without the call that asks for it
            and "HTTP_TRACEPARENT" not in environ
            and "HTTP_BAGGAGE" not in environ
        ):
            context = _EMPTY
        else:
            context = self._extract(environ)
        # Held by a name first: what an instance holds and is called at once, CPython 3.11 looks up slowly.
        entries, begin, wsgi_app = self._entries, self._begin, self.wsgi_app
        entry = entries(environ.get("REQUEST_METHOD", ""), environ.get("wsgi.url_scheme"))
        request.span = span = begin(
            entry.name, kind, context, partial(request_attributes, environ), start_time=time_ns()
        )
        if type(span) is RecordingSpan or type(span) is NonRecordingSpan:
            known: Any = span._context
            request.span_context = known
            if context is _EMPTY and known[0] and "HTTP_X_REQUEST_ID" not in environ:
                # As RequestContext.request_id would find it, without two calls.
                request._request_id = format(known[0], "032x")
        else:
            request.span_context = span.get_span_context()
        if (
            self._tells
            or type(span) is not NonRecordingSpan
            or response_propagators._RESPONSE_PROPAGATOR is not None  # without the call that asks for it
        ):
            request.answered = self._answered
        outer = environ.get(_TRACED)
        environ[_TRACED] = request
        inner = Context(context)
        dict.__setitem__(inner, _SPAN_KEY, span)
        request.context = inner
        token = attach(inner)
        next(entry.begun)
        try:
            body = wsgi_app(environ, start_response)
        except BaseException as error:
            request.error = error
            self._finish(request, environ, started, entry)
            raise
        finally:
            try:
                reset(token)
            except Exception:
                detach(token)  # which says so
            if outer is None:
                # It holds its environ: together they would wait for the garbage collector.
                environ.pop(_TRACED, None)
            else:
                # An application called this one with its own environ, and is not done with it.
                environ[_TRACED] = outer
        if request.length is None and _is_streamed(body, environ):
            request.streamed = 0
            return StreamedBody(body, inner, request, partial(self._finish, request, environ, started, entry))
        self._finish(request, environ, started, entry)
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
            flask_context = _cv_request.get()
            flask_request = flask_context.request
            environ = flask_request.environ
            request = environ.get(_TRACED)
            if request is not None:
                request._flask_context = flask_context
                rule = flask_request.url_rule
                known = self._routes.get(id(rule)) or self._routes.learn(rule)
                request._route = known.route
                if known.tags is not None:
                    dict.__setitem__(request.context, COMMENTER_KEY, known.tags)
                span = request.span
                if type(span) is not NonRecordingSpan and span.is_recording():
                    self._describe(span, known, environ)
                if self._request_hook is not None:
                    self._request_hook(span, environ)
        except Exception as error:
            failed("Tracing a request", error)
        preprocessing = self.preprocessing
        return preprocessing(*arguments)

    def _describe(self, span: Any, known: Route, environ: dict[str, Any]) -> None:
        if self._rewritten:
            span.set_attributes(request_attributes(environ).together())
        if known.route is not None:
            name = _name(environ.get("REQUEST_METHOD", ""), known.route)
            if type(span) is RecordingSpan:
                span._name = name
            else:
                span.update_name(name)
            put(span, "http.route", known.route)
        if self._capture_request is not None and span.kind is SpanKind.SERVER:
            span.set_attributes(self._capture_request(environ))

    def _answered(self, span: Any, status: str, headers: list[tuple[str, str]]) -> None:
        """Tell span, propagator and hook of the response that begins."""
        try:
            propagator = get_global_response_propagator()
            if propagator is not None:
                propagator.inject(headers, setter=default_response_propagation_setter)
            if span.is_recording():
                set_status(span, status)
                if self._capture_response is not None and span.kind is SpanKind.SERVER:
                    span.set_attributes(self._capture_response(headers))
            if self._response_hook is not None:
                self._response_hook(span, status, headers)
        except Exception as error:
            failed("Tracing a response", error)

    def _finish(self, request: Served, environ: dict[str, Any], started: float, entry: Entry) -> None:
        try:
            span, error, length = request.span, request.error, request.length
            next(entry.ended)
            raised = type(error).__qualname__ if error is not None and request.status is None else None
            metrics_of = self._metrics
            duration, request_size, response_size = metrics_of(
                entry, environ.get("SERVER_PROTOCOL", ""), request._route, request.status, raised
            )
            # Its exemplars lead from slow requests to their traces; the other metrics need none.
            duration.record(perf_counter() - started, None, request.span_context)
            received = environ.get("CONTENT_LENGTH")
            if received and (size := declared_size(received)) is not None:
                request_size.take(size)
            size = request.streamed
            if length is not None:  # as declared_size, without that call
                size = int(length) if length.isdecimal() and len(length) <= MOST_DIGITS else None
            if size is not None and entry.method != "HEAD":
                response_size.take(size)
            if type(span) is not NonRecordingSpan:
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
    got_request_exception.connect(_note_error, app)
    app._ada_otel_middleware = middleware  # type: ignore[attr-defined]
    app._is_instrumented_by_opentelemetry = True  # type: ignore[attr-defined]


def remove(app: Flask) -> bool:
    """Take the instrumentation off again; False if this module did not put it there."""
    middleware = getattr(app, "_ada_otel_middleware", None)
    if middleware is None:
        return False
    app.wsgi_app = middleware.wsgi_app  # type: ignore[method-assign]
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
    request = _cv_request.get().request.environ.get(_TRACED)
    if request is not None:
        request.error = exception


def _is_streamed(body: Any, environ: dict[str, Any]) -> bool:
    """Whether a body of unknown length is still to be made; what has none is an empty tuple to Werkzeug."""
    return type(body) is not tuple and not isinstance(body, environ.get("wsgi.file_wrapper", ()))


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
