"""Requests to a Flask app."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import flask
from opentelemetry import baggage, trace
from opentelemetry import context as context_api
from opentelemetry.instrumentation.utils import suppress_instrumentation
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.test import EnvironBuilder, run_wsgi_app

from tests.parity.kit import Case, Kit

_TRACE, _SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
_COMMENTER = "SQLCOMMENTER_ORM_TAGS_AND_VALUES"
_CAPTURE = {
    "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_REQUEST": "X-One,x-many.*,Authorization",
    "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_RESPONSE": "content-type,x-reply,set-cookie",
    "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SANITIZE_FIELDS": "authorization,set-cookie",
}


def _views(app: flask.Flask, kit: Kit) -> None:  # one small view each
    app.config["SECRET_KEY"] = "parity"

    @app.route("/plain")
    def plain() -> str:
        span: Any = trace.get_current_span()
        kit.notes["current"] = [span.name, span.is_recording()]
        kit.notes["baggage"] = dict(baggage.get_all())
        kit.notes["tags"] = context_api.get_value(_COMMENTER)
        return "plain"

    @app.route("/user/<int:number>", methods=["GET", "PUT", "DELETE"])
    def user(number: int) -> str:
        return str(number)

    @app.route("/spans")
    def spans() -> str:
        with kit.tracer.start_as_current_span("inner", attributes={"tuple": (1, 2)}) as span:
            span.add_event("seen", {"n": 1})
            trace.get_current_span().set_attribute("from.user", True)
        current = trace.get_current_span()
        current.set_attribute("on.server", ["a", "b"])
        current.add_link(span.get_span_context(), {"why": "because"})
        return "spans"

    @app.route("/handled")
    def handled() -> str:
        try:
            raise ValueError("handled")
        except ValueError as error:
            trace.get_current_span().record_exception(error, {"more": 1})
        return "handled"

    @app.route("/raise")
    def raises() -> str:
        raise ValueError("on purpose")

    @app.route("/abort/<int:code>")
    def abort(code: int) -> str:
        flask.abort(code)

    @app.route("/teapot")
    def teapot() -> tuple[str, int, dict[str, str]]:
        return "", 418, {"X-Reply": "tea", "Set-Cookie": "a=b"}

    @app.route("/stream")
    def stream() -> flask.Response:
        def body() -> Iterator[str]:
            yield "one"
            yield "two"

        return flask.Response(flask.stream_with_context(body()))

    @app.route("/stream-raises")
    def stream_raises() -> flask.Response:
        def body() -> Iterator[str]:
            yield "one"
            raise OSError("midway")

        return flask.Response(body())

    @app.route("/session")
    def session() -> str:
        flask.session["count"] = flask.session.get("count", 0) + 1
        return "session"

    blueprint = flask.Blueprint("shop", __name__, url_prefix="/shop")

    @blueprint.route("/<path:item>")
    def item(item: str) -> str:
        return item

    @blueprint.errorhandler(KeyError)
    def missing(error: KeyError) -> tuple[str, int]:
        return "missing", 410

    @blueprint.route("/missing")
    def is_missing() -> str:
        raise KeyError("item")

    app.register_blueprint(blueprint)

    @app.after_request
    def after(response: flask.Response) -> flask.Response:
        trace.get_current_span().set_attribute("after", True)
        return response

    @app.teardown_request
    def teardown(error: BaseException | None) -> None:
        kit.notes.setdefault("teardown", []).append(repr(error))


def make_app(kit: Kit, way: str = "app", **options: Any) -> flask.Flask:
    """An app that is instrumented by ``instrument_app`` (``app``) or by its class (``class``)."""
    if way == "class":
        kit.instrument("flask", **options)
        app = flask.Flask(__name__)
    else:
        app = flask.Flask(__name__)
        kit.instrumentor("flask").instrument_app(app, **kit.providers, **options)
    _views(app, kit)
    return app


def send(
    kit: Kit, app: Any, path: str = "/plain", method: str = "GET", read: str = "all", **options: Any
) -> None:
    """Send a request as a WSGI server does, and note the answer."""
    environ_changes = options.pop("environ", {})
    builder = EnvironBuilder(path=path, method=method, **options)
    environ = {**builder.get_environ(), **environ_changes}
    answers = kit.notes.setdefault("answers", [])
    try:
        body, status, headers = run_wsgi_app(app, environ)
    except Exception as error:
        answers.append(repr(error))
        return
    try:
        text = b"".join(body) if read == "all" else next(iter(body))
        answers.append([status, text.decode(), headers.get("traceresponse") is not None])
    except Exception as error:
        answers.append(repr(error))
    finally:
        close = getattr(body, "close", None)
        if close is not None:
            close()
    kit.notes["left"] = trace.get_current_span().get_span_context().is_valid


def _case(
    name: str,
    *differs: str,
    path: str = "/plain",
    app: dict[str, Any] | None = None,
    prepare: Callable[[flask.Flask], None] | None = None,
    env: dict[str, str] | None = None,
    way: str = "app",
    **request: Any,
) -> Case:
    def run(kit: Kit) -> None:
        made = make_app(kit, way, **(app or {}))
        if prepare is not None:
            prepare(made)
        send(kit, made, path, **request)
        send(kit, made, path, **request)

    return Case(f"flask: {name}", run, differs, env or {})


def _traceparent(flags: str = "01", **more: str) -> dict[str, str]:
    return {"traceparent": f"00-{_TRACE}-{_SPAN}-{flags}", **more}


def _proxied(app: flask.Flask) -> None:
    app.wsgi_app = ProxyFix(app.wsgi_app, x_for=1, x_proto=1, x_host=1, x_prefix=1)  # type: ignore[method-assign]


def _proxied_inside(kit: Kit) -> None:
    app = flask.Flask(__name__)
    _proxied(app)
    kit.instrumentor("flask").instrument_app(app, **kit.providers)
    _views(app, kit)
    send(kit, app, headers=_FORWARDED)


_FORWARDED = {
    "X-Forwarded-For": "203.0.113.9",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Host": "shop.example",
}


def _propagating(app: flask.Flask) -> None:
    app.config["PROPAGATE_EXCEPTIONS"] = True


def _answering_early(app: flask.Flask) -> None:
    app.before_request(lambda: ("stopped", 403))


def _broken_after(app: flask.Flask) -> None:
    @app.after_request
    def after(response: flask.Response) -> flask.Response:
        raise RuntimeError("after_request is broken")


def _dispatched(kit: Kit) -> None:
    one, two = make_app(kit), make_app(kit)
    both = DispatcherMiddleware(one, {"/two": two})
    send(kit, both, "/plain")
    send(kit, both, "/two/plain")


def _nested_in_view(kit: Kit) -> None:
    outer, inner = make_app(kit), make_app(kit)

    @outer.route("/nest")
    def nest() -> str:
        send(kit, inner, "/user/7")
        return "nested"

    send(kit, outer, "/nest")


def _inside_span(kit: Kit) -> None:
    app = make_app(kit)
    with kit.tracer.start_as_current_span("outside"):
        send(kit, app, headers={"X-One": "1", **_traceparent()})


def _suppressed(kit: Kit) -> None:
    app = make_app(kit)
    with suppress_instrumentation():
        send(kit, app)


def _uninstrumented(kit: Kit) -> None:
    app = make_app(kit)
    send(kit, app)
    kit.instrumentor("flask").uninstrument_app(app)
    send(kit, app)


def _session(kit: Kit) -> None:
    app = make_app(kit)
    opened = app.session_interface.open_session

    def open_session(*args: Any) -> Any:
        with kit.tracer.start_as_current_span("open session"):
            return opened(*args)

    app.session_interface.open_session = open_session  # type: ignore[assignment, method-assign]
    send(kit, app, "/session")


def _before_request(kit: Kit) -> None:
    app = flask.Flask(__name__)

    @app.before_request
    def before() -> None:
        kit.tracer.start_span("before request").end()

    kit.instrumentor("flask").instrument_app(app, **kit.providers)
    _views(app, kit)
    send(kit, app)


def _request_hook(span: trace.Span, environ: dict[str, Any]) -> None:
    if span.is_recording():
        span.update_name("named by hook")
        span.set_attribute("hook.path", environ["PATH_INFO"])


def _response_hook(span: trace.Span, status: str, headers: list[tuple[str, str]]) -> None:
    span.set_attribute("hook.status", status)
    headers.append(("X-Hook", "yes"))


def _hooked(way: str) -> Case:
    hooks = {"request_hook": _request_hook, "response_hook": _response_hook}
    return _case(f"hooks, {way}", app=hooks, way=way, path="/user/3")


def _failing_hook(kit: Kit) -> None:
    def hook(span: trace.Span, environ: dict[str, Any]) -> None:
        raise RuntimeError("hook")

    send(kit, make_app(kit, request_hook=hook))


_OTHER_ADDRESSES = {"REMOTE_ADDR": "198.51.100.7", "REMOTE_PORT": "5123", "REMOTE_HOST": "client.example"}
_BOT = {"User-Agent": "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"}
_STATE = "congo=t61rcWkgMzE,rojo=00f067aa0ba902b7"

CASES: list[Case] = [
    *(_case(f"plain, {way}", way=way) for way in ("app", "class")),
    _case("route with parameter", path="/user/42"),
    _case("route with parameter, PUT", path="/user/42", method="PUT"),
    _case("query", path="/plain?a=1&token=x%20y"),
    _case("no query, no raw URI", environ={"RAW_URI": "", "REQUEST_URI": ""}),
    _case("blueprint", path="/shop/a/b/c"),
    _case("error handler of a blueprint", path="/shop/missing"),
    _case("spans, events and links of the user", path="/spans"),
    _case("handled exception", path="/handled"),
    _case("418 with headers", path="/teapot"),
    *(_case(f"abort {code}", path=f"/abort/{code}") for code in (400, 401, 404, 429, 500, 503)),
    _case("404", "unmatched-name", path="/nowhere"),
    _case("405", "unmatched-name", path="/plain", method="POST"),
    _case("route with a wrong parameter", "unmatched-name", path="/user/x"),
    _case("redirect of a slash", "unmatched-name", path="/shop"),
    _case("HEAD", method="HEAD"),
    _case("OPTIONS", method="OPTIONS"),
    _case("method nobody knows", method="BREW"),
    _case("lower-case method", method="get"),
    _case("500", path="/raise"),
    _case("500, class", path="/raise", way="class"),
    _case("exception that is propagated", "raised-through", path="/raise", prepare=_propagating),
    _case("after_request that raises", prepare=_broken_after),
    _case("before_request that answers", prepare=_answering_early),
    _case("stream", path="/stream"),
    _case("stream, HEAD", path="/stream", method="HEAD"),
    _case("stream closed early", path="/stream", read="one"),
    _case("stream that raises midway", "stream-end", path="/stream-raises"),
    _case("user agent", headers={"User-Agent": "curl/8.1"}),
    _case("user agent of a bot", headers=_BOT),
    _case("addresses", environ=_OTHER_ADDRESSES),
    _case("HTTP/2 and https", base_url="https://shop.example:8443", environ={"SERVER_PROTOCOL": "HTTP/2"}),
    _case("mounted below a path", base_url="http://localhost/mounted/"),
    _case("forwarded headers, nobody reads them", headers=_FORWARDED),
    _case("ProxyFix around", prepare=_proxied, headers=_FORWARDED),
    Case("flask: ProxyFix inside", _proxied_inside),
    _case("traceparent", headers=_traceparent()),
    _case("traceparent and tracestate", headers=_traceparent(tracestate=_STATE)),
    _case("traceparent, not sampled", headers=_traceparent("00")),
    _case("traceparent, random flag", headers=_traceparent("03")),
    _case("traceparent, invalid", headers={"traceparent": f"00-{'0' * 32}-{_SPAN}-01"}),
    _case("traceparent, no sense", headers={"traceparent": "hello"}),
    _case("tracestate, invalid", headers=_traceparent(tracestate="=,;=;")),
    _case("tracestate alone", headers={"tracestate": _STATE}),
    _case("baggage", headers={"baggage": "user=42,tier=gold;ttl=1"}),
    _case("baggage and traceparent", headers=_traceparent(baggage="user=42")),
    _case("baggage, invalid", headers={"baggage": "===,"}),
    _case("excluded by the environment", "excluded-urls", path="/user/900"),
    _case("excluded by argument", "excluded-urls", app={"excluded_urls": "plain,other"}),
    _case("excluded by nothing", app={"excluded_urls": ""}),
    _case(
        "captured headers", env=_CAPTURE, path="/teapot", headers={"X-One": "1", "Authorization": "secret"}
    ),
    _case("captured headers, several", env=_CAPTURE, headers={"X-Many-A": "1", "X-Many-B": "2,3"}),
    _case("captured headers, class", env=_CAPTURE, way="class", headers={"x-one": "1"}),
    Case("flask: captured headers, inside a span", _inside_span, env=_CAPTURE),
    Case("flask: inside a span", _inside_span),
    _hooked("app"),
    _hooked("class"),
    Case("flask: hook that raises", _failing_hook, ("hook-errors",)),
    _case("sqlcommenter tags off", app={"enable_commenter": False}),
    _case("sqlcommenter tags, some", app={"commenter_options": {"route": False, "framework": False}}),
    Case("flask: DispatcherMiddleware", _dispatched),
    Case("flask: app within a view of another", _nested_in_view),
    Case("flask: suppressed", _suppressed),
    Case("flask: uninstrumented", _uninstrumented),
    Case("flask: session", _session, ("span-covers-request",)),
    Case("flask: earlier before_request", _before_request, ("span-covers-request",)),
]


def describe(record: Any) -> str:
    """A record as text that a diff can be made of."""
    return json.dumps(record, indent=1, sort_keys=True, default=repr)
