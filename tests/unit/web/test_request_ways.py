"""Request ids and the request log as users get them: both ways in, both pipelines, over OTLP."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path
from typing import Any

import pytest

from tests.support.otlp_receiver import Received, otlp_receiver
from tests.support.process import run_program

APP = textwrap.dedent("""
    import logging
    import flask
    from opentelemetry import baggage

    app = flask.Flask("shop")
    app.secret_key = "for-this-test"
    log = logging.getLogger("shop")

    @app.get("/in")
    def sign_in():
        flask.session["user_id"] = 7
        return "ok"

    @app.get("/items/<int:number>")
    def item(number):
        log.info("item")
        return str(baggage.get_baggage("request.id"))

    @app.get("/stream")
    def stream():
        def lines():
            log.info("streaming")
            yield b"one"
            yield b"two"
        return flask.Response(lines())

    @app.get("/boom")
    def boom():
        raise RuntimeError("no")
""")

DRIVE = textwrap.dedent("""
    import json
    client = app.test_client()
    client.get("/in")
    answers = {
        path: client.get(path, headers={"X-Request-ID": "id" + path.replace("/", ".")})
        for path in ("/items/3?api_key=S3CRET", "/stream", "/boom", "/nowhere")
    } | {"bad": client.get("/items/4", headers={"X-Request-ID": "a b"})}
    aborted = client.get("/stream", headers={"X-Request-ID": "aborted"}, buffered=False)
    next(iter(aborted.response))
    aborted.close()
    app.config["PROPAGATE_EXCEPTIONS"] = True
    try:
        client.get("/boom", headers={"X-Request-ID": "through"})
    except RuntimeError:
        pass
    print(json.dumps({key: [dict(one.headers), one.text] for key, one in answers.items()}))
""")

WAYS = {
    "setup-before": ("import ada_otel\nada_otel.setup()\n" + APP + DRIVE, False),
    "setup-after": (APP + "import ada_otel\nada_otel.setup(app)\n" + DRIVE, False),
    "launcher": (APP + DRIVE, True),
}


def _run(
    folder: Path, source: str, *, launcher: bool = False, **extra: str
) -> tuple[Received, dict[str, Any]]:
    with otlp_receiver() as received:
        environment = {
            "OTEL_SERVICE_NAME": "shop",
            "OTEL_EXPORTER_OTLP_ENDPOINT": received.endpoint,
            "ADA_OTEL_RAISE": "true",
            **extra,
        }
        done = run_program(source, folder, launcher=launcher, environment=environment, timeout=180)
    assert done.returncode == 0, done.stderr
    return received, json.loads(done.stdout.splitlines()[-1])


def _lines(received: Received, body: str) -> dict[str, dict[str, Any]]:
    """By request id, the lines of one text; none comes twice."""
    found = [record for record in received.records() if record["body"] == body]
    by_id = {record["attributes"]["request_id"]: record for record in found}
    assert len(found) == len(by_id)
    return by_id


@pytest.mark.parametrize(
    ("way", "fast"),
    [("setup-before", "true"), ("setup-after", "false"), ("launcher", "true"), ("launcher", "false")],
)
def test_ids_on_answers_spans_and_lines(tmp_path: Path, way: str, fast: str) -> None:
    source, launcher = WAYS[way]
    received, answers = _run(tmp_path, source, launcher=launcher, ADA_OTEL_FAST_PATH=fast)
    ids = {path: headers["X-Request-ID"] for path, (headers, _) in answers.items()}
    assert (ids["/stream"], ids["/boom"]) == ("id.stream", "id.boom")
    assert len(ids["bad"]) == 32
    # An id that looks like a secret is replaced.
    assert "S3CRET" not in str([*answers.values()])
    assert not any("Vary" in headers for headers, _ in answers.values())

    spans = {span["attributes"]["request_id"]: span for span in received.spans()}
    completed = _lines(received, "Request completed")
    assert set(completed) == {*ids.values(), "aborted", "through", *_sign_in(completed)}
    assert {key: spans[key]["trace_id"] for key in completed} == {
        key: line["trace_id"] for key, line in completed.items()
    }
    assert "S3CRET" not in str([*received.spans(), *received.records()])
    _check_lines({key: line["attributes"] for key, line in completed.items()}, ids)


def _sign_in(completed: dict[str, dict[str, Any]]) -> list[str]:
    (found,) = [key for key, line in completed.items() if line["attributes"].get("http.route") == "/in"]
    return [found]


def _check_lines(completed: dict[str, dict[str, Any]], ids: dict[str, str]) -> None:
    item = completed[ids["/items/3?api_key=S3CRET"]]
    assert item["duration_seconds"] >= 0
    assert {key: item[key] for key in item if key not in {"duration_seconds", "user_agent.original"}} == {
        "http.request.method": "GET",
        "http.route": "/items/<int:number>",
        "url.path": "/items/3",
        "url.query": "api_key=[redacted]",
        "http.response.status_code": 200,
        "http.response.body.size": 4,
        "client.address": "127.0.0.1",
        "user_id": "7",
        "request_id": item["request_id"],
        **{key: item[key] for key in item if key.startswith("code.")},
    }
    assert item["user_agent.original"].startswith("Werkzeug/")
    outcome = ("http.response.status_code", "http.response.body.size", "error.type", "aborted")
    found = {key: tuple(line.get(name) for name in outcome) for key, line in completed.items()}
    assert found["id.stream"] == (200, 6, None, None)
    assert found["aborted"] == (200, 3, None, True)
    assert found["through"] == (500, 0, "RuntimeError", None)
    assert (found["id.boom"][0], found["id.nowhere"][0]) == (500, 404)
    assert "http.route" not in completed["id.nowhere"]
    assert {line.get("user_id") for line in completed.values()} == {"7"}


def test_started_lines_and_baggage_by_opt_in(tmp_path: Path) -> None:
    received, answers = _run(
        tmp_path,
        WAYS["setup-after"][0],
        ADA_OTEL_REQUEST_LOG_STARTED="INFO",
        ADA_OTEL_REQUEST_ID_BAGGAGE="true",
    )
    headers, text = answers["bad"]
    assert text == headers["X-Request-ID"]
    started, completed = _lines(received, "Request started"), _lines(received, "Request completed")
    assert set(started) == set(completed)
    assert all(started[key]["trace_id"] == completed[key]["trace_id"] for key in started)
    assert started["id.stream"]["attributes"]["url.path"] == "/stream"


def test_switched_off(tmp_path: Path) -> None:
    received, answers = _run(tmp_path, WAYS["setup-after"][0], ADA_OTEL_REQUESTS="false")
    assert not any("X-Request-ID" in headers for headers, _ in answers.values())
    assert "Request completed" not in {record["body"] for record in received.records()}
    assert not any("request_id" in span["attributes"] for span in received.spans())


def test_a_share_of_the_lines_and_all_that_fail(tmp_path: Path) -> None:
    received, _ = _run(tmp_path, WAYS["setup-after"][0], ADA_OTEL_REQUEST_LOG_RATIO="0")
    completed = _lines(received, "Request completed")
    assert set(completed) == {"id.boom", "through"}
    assert "id.stream" in {span["attributes"]["request_id"] for span in received.spans()}
