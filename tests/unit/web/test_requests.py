"""Request ids, the request's context and its log line."""

from __future__ import annotations

import logging

import flask
import pytest
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind
from werkzeug.wrappers import Response

from ada_otel.instrument.flask import _middleware
from ada_otel.pipeline.tracing import TracerProvider
from ada_otel.settings import Settings
from ada_otel.web import requests
from ada_otel.web.context import current, set_user


@pytest.fixture
def app() -> flask.Flask:
    requests.start(Settings(request_log="INFO"))
    app = flask.Flask("web")

    @app.get("/x/<int:number>")
    def x(number: int) -> str:
        set_user("u-7")
        found = current()
        assert found is not None
        return f"{found.request_id} {found.route} {found.user_id} {number}"

    @app.get("/stream")
    def stream() -> flask.Response:
        return flask.Response(iter([b"a", b"b"]))

    return app


def test_a_valid_id_is_kept_and_a_bad_one_replaced(app: flask.Flask) -> None:
    kept = app.test_client().get("/x/1", headers={"X-Request-ID": "abc-1"})
    assert kept.headers["X-Request-ID"] == "abc-1"
    assert kept.text == "abc-1 /x/<int:number> u-7 1"
    replaced = app.test_client().get("/x/1", headers={"X-Request-ID": "a b"})
    assert len(replaced.headers["X-Request-ID"]) == 32
    assert current() is None


def test_traceparent_gives_the_id(app: flask.Flask) -> None:
    trace_id = "0af7651916cd43dd8448eb211c80319c"
    answer = app.test_client().get("/x/1", headers={"traceparent": f"00-{trace_id}-b7ad6b7169203331-01"})
    assert answer.headers["X-Request-ID"] == trace_id


def test_completed_lines(app: flask.Flask, caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("ada.requests")
    logger.addHandler(caplog.handler)  # one of its own: the app's get no lines of the request log
    try:
        with caplog.at_level(logging.INFO, "ada.requests"):
            app.test_client().get("/x/1")
            app.test_client().get("/stream").get_data()
    finally:
        logger.removeHandler(caplog.handler)
    found = {id(record): vars(record) for record in caplog.records if record.message == "Request completed"}
    lines = list(found.values())
    assert [line["http.response.status_code"] for line in lines] == [200, 200]
    assert lines[1]["http.response.body.size"] == 2
    assert all(line["duration_seconds"] >= 0 for line in lines)


def test_a_response_hook_that_fails_takes_nothing_from_the_response(
    app: flask.Flask, caplog: pytest.LogCaptureFixture
) -> None:
    def hook(*_arguments: object) -> None:
        raise ValueError("no such header")

    _middleware.install(app, {"response_hook": hook})
    try:
        with caplog.at_level(logging.WARNING, "ada_otel"):
            answer = app.test_client().get("/x/1", headers={"X-Request-ID": "abc-2"})
    finally:
        _middleware.remove(app)
    assert (answer.status_code, answer.headers["X-Request-ID"]) == (200, "abc-2")
    assert "ValueError: no such header" in caplog.text


def test_an_application_that_answers_by_another_keeps_both_requests_apart(app: flask.Flask) -> None:
    inner = flask.Flask("inner")
    seen = []

    @inner.get("/x/<name>")
    def named(name: str) -> str:
        seen.append(name)
        return "inner"

    @app.before_request
    def hand_over() -> Response | None:
        if flask.request.args.get("to") != "inner":
            return None
        return Response.from_app(inner, flask.request.environ)

    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    for one in (app, inner):
        _middleware.install(one, {"tracer_provider": provider})
    try:
        answer = app.test_client().get("/x/7?to=inner", headers={"X-Request-ID": "abc-3"})
    finally:
        for one in (app, inner):
            _middleware.remove(one)
    assert (answer.text, seen, answer.headers.getlist("X-Request-ID")) == ("inner", ["7"], ["abc-3"])
    below, above = exporter.get_finished_spans()
    assert [(span.name, span.kind) for span in (above, below)] == [
        ("GET /x/<int:number>", SpanKind.SERVER),
        ("GET /x/<name>", SpanKind.INTERNAL),
    ]
    assert below.parent == above.context
    for span in (above, below):
        assert span.attributes is not None
        assert span.attributes["http.response.status_code"] == 200
    assert above.attributes is not None
    assert above.attributes["request_id"] == "abc-3"
