"""The example app: each route and event with its outcomes, without servers, forked, and under its driver."""

from __future__ import annotations

import io
import json
import logging
import os
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select

from examples.ada import drive
from examples.ada.ai_stub import AiStub
from examples.ada.database import Database
from examples.ada.driver.mix import STEPS, parse_mix
from examples.ada.factory import create_app
from examples.ada.models import SEED_PASSWORD, Item, Message, Purchase, Upload
from examples.ada.settings import Settings, SettingsError
from tests.support.ports import free_port

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def redis_url() -> Iterator[str]:
    binary = shutil.which("redis-server")
    if binary is None:
        reason = "redis-server is not on PATH (Debian: apt-get install redis-server)"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    port = free_port()
    server = subprocess.Popen(
        [binary, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"],
        stdout=subprocess.DEVNULL,
    )
    url = f"redis://127.0.0.1:{port}/0"
    try:
        _wait(lambda: redis.Redis.from_url(url).ping())
        yield url
    finally:
        server.terminate()
        server.wait(10)


def _wait(ready: Callable[[], Any], seconds: float = 60.0) -> None:
    """Until ``ready`` raises no more; generous, as the machine may be busy."""
    until = time.monotonic() + seconds
    while not _answers(ready):
        assert time.monotonic() < until, "the server did not come up"
        time.sleep(0.05)


def _answers(ready: Callable[[], Any]) -> bool:
    try:
        ready()
    except (OSError, redis.RedisError):
        return False
    return True


@pytest.fixture(scope="module")
def ai() -> Iterator[AiStub]:
    with AiStub() as stub:
        yield stub


@pytest.fixture(autouse=True)
def _root_logger_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:], root.level = handlers, level


def _settings(tmp_path: Path, **values: Any) -> Settings:
    given: dict[str, Any] = {
        "database_url": f"sqlite:///{tmp_path}/ada.db",
        "redis_url": "redis://127.0.0.1:1/0",
        "ai_url": "http://127.0.0.1:1",
        "ai_timeout_seconds": 0.3,
        "slow_seconds": 0.05,
    }
    return Settings(**{**given, **values})


@pytest.fixture
def app(tmp_path: Path, redis_url: str, ai: AiStub) -> Flask:
    redis.Redis.from_url(redis_url).flushall()
    return create_app(_settings(tmp_path, redis_url=redis_url, ai_url=ai.url, ai_api_key="key-1"))


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


def _sign_in(client: FlaskClient, name: str = "ada", password: str = SEED_PASSWORD) -> int:
    return client.post("/auth/sign-in", json={"name": name, "password": password}).status_code


def _count(app: Flask, table: type) -> int:
    database: Database = app.extensions["ada.database"]
    with database.session() as session:
        return session.scalar(select(func.count()).select_from(table)) or 0


class TestSigningIn:
    def test_right_password_starts_a_session_that_signing_out_ends(self, client: FlaskClient) -> None:
        assert client.get("/auth/me").status_code == 401
        assert _sign_in(client) == 200
        assert client.get("/auth/me").json == {
            "id": 1,
            "name": "ada",
            "permissions": ["chat", "purchase", "upload"],
        }
        assert client.post("/auth/sign-out").status_code == 204
        assert client.get("/auth/me").status_code == 401

    def test_wrong_password_and_unknown_name_get_the_same_answer(self, client: FlaskClient) -> None:
        answers = [
            client.post("/auth/sign-in", json={"name": name, "password": "wrong"})
            for name in ("ada", "nobody")
        ]
        assert [answer.status_code for answer in answers] == [401, 401]
        assert answers[0].json == answers[1].json

    def test_disabled_user_is_refused(self, client: FlaskClient) -> None:
        assert _sign_in(client, "disabled") == 403

    def test_too_many_failures_lock_one_name_until_the_window_ends(
        self, client: FlaskClient, redis_url: str
    ) -> None:
        assert [_sign_in(client, "user01", "wrong") for _ in range(6)] == [401] * 5 + [429]
        answer = client.post("/auth/sign-in", json={"name": "user01", "password": SEED_PASSWORD})
        assert (answer.status_code, answer.headers["Retry-After"]) == (429, "60")
        assert _sign_in(client, "user02") == 200
        store = redis.Redis.from_url(redis_url)
        left = store.ttl("attempts:sign-in:user01")
        assert isinstance(left, int)
        assert 0 < left <= 60
        store.delete("attempts:sign-in:user01")
        assert _sign_in(client, "user01") == 200

    @pytest.mark.parametrize(
        "body", [{}, {"name": "ada"}, {"name": "", "password": "x"}, {"name": 1, "password": "x"}, [], "text"]
    )
    def test_bad_input_is_400_with_a_reason(self, client: FlaskClient, body: Any) -> None:
        answer = client.post("/auth/sign-in", json=body)
        assert answer.status_code == 400
        assert answer.json is not None
        assert "must be" in answer.json["message"]

    def test_password_is_kept_as_a_salted_hash(self, app: Flask, tmp_path: Path) -> None:
        assert SEED_PASSWORD.encode() not in b"".join(path.read_bytes() for path in tmp_path.glob("ada.db*"))


class TestShop:
    def test_list_comes_from_the_database_then_from_the_cache(self, client: FlaskClient) -> None:
        first, second = client.get("/items?search=LOOM"), client.get("/items?search=LOOM")
        assert (first.headers["X-Cache"], second.headers["X-Cache"]) == ("miss", "hit")
        assert first.json == second.json
        assert first.json is not None
        assert [item["title"] for item in first.json["items"]] == ["brass loom", "paper loom", "silver loom"]

    def test_search_text_is_not_a_pattern(self, client: FlaskClient) -> None:
        answer = client.get("/items", query_string={"search": "%' OR 1=1 --"})
        assert (answer.status_code, answer.json) == (200, {"items": []})

    @pytest.mark.parametrize("limit", ["0", "101", "many", "-1", "9" * 30, "²"])
    def test_bad_limit_is_400(self, client: FlaskClient, limit: str) -> None:
        assert client.get("/items", query_string={"limit": limit}).status_code == 400

    def test_one_item_or_404(self, client: FlaskClient) -> None:
        assert client.get("/items/3").json["title"] == "brass loom"  # type: ignore[index]
        assert client.get("/items/99").status_code == 404

    def test_purchase_takes_from_the_stock(self, app: Flask, client: FlaskClient) -> None:
        _sign_in(client)
        answer = client.post("/purchases", json={"item_id": 3, "quantity": 2})
        assert (answer.status_code, answer.json) == (201, {"id": 1, "total_cents": 1500, "currency": "EUR"})
        with app.extensions["ada.database"].session() as session:
            assert session.get(Item, 3).stock == 10_000_000 - 2

    @pytest.mark.parametrize(
        ("body", "status"),
        [
            ({"item_id": 12}, 409),
            ({"item_id": 99}, 404),
            ({}, 400),
            ({"item_id": 1, "quantity": 0}, 400),
            ({"item_id": True}, 400),
            ({"item_id": 1.5}, 400),
        ],
    )
    def test_refused_purchase_changes_nothing(
        self, app: Flask, client: FlaskClient, body: Any, status: int
    ) -> None:
        _sign_in(client)
        assert client.post("/purchases", json=body).status_code == status
        assert _count(app, Purchase) == 0

    def test_purchase_needs_a_session_and_the_permission(self, client: FlaskClient) -> None:
        assert client.post("/purchases", json={"item_id": 1}).status_code == 401
        _sign_in(client, "guest")
        assert client.post("/purchases", json={"item_id": 1}).status_code == 403


class TestChat:
    def test_ai_is_asked_with_the_key_and_both_lines_are_stored(
        self, app: Flask, client: FlaskClient, ai: AiStub
    ) -> None:
        _sign_in(client)
        answer = client.post("/chat", json={"text": "two words"})
        assert answer.status_code == 200
        assert answer.json == {
            "id": 2,
            "text": "You said: two words",
            "model": "ada-small",
            "usage": {"input_tokens": 2, "output_tokens": 4},
        }
        assert ai.requests[-1]["authorization"] == "Bearer key-1"
        assert _count(app, Message) == 2

    @pytest.mark.parametrize("marker", ["[ai:error]", "[ai:overloaded]", "[ai:garbage]", "[ai:slow]"])
    def test_failing_ai_is_502_and_logged_with_its_causes(
        self, client: FlaskClient, caplog: pytest.LogCaptureFixture, marker: str
    ) -> None:
        _sign_in(client)
        answer = client.post("/chat", json={"text": marker})
        assert (answer.status_code, answer.json["error"]) == (502, "ai_failed")  # type: ignore[index]
        logged = [record for record in caplog.records if record.exc_info and record.name.endswith("ada.chat")]
        assert [record.getMessage() for record in logged] == ["The AI step of a chat failed for user 1"]
        assert logged[0].exc_info is not None
        assert logged[0].exc_info[1] is not None
        assert logged[0].exc_info[1].__cause__ is not None

    def test_chat_needs_a_session_a_permission_and_a_text(self, client: FlaskClient) -> None:
        assert client.post("/chat", json={"text": "hello"}).status_code == 401
        _sign_in(client)
        assert client.post("/chat", json={"text": "x" * 2001}).status_code == 400
        _sign_in(client, "guest")
        assert client.post("/chat", json={"text": "hello"}).status_code == 403


class TestFiles:
    def _send(self, client: FlaskClient, content: bytes, kind: str, field: str = "file") -> int:
        return client.post("/files", data={field: (io.BytesIO(content), "a b/../c.txt", kind)}).status_code

    def test_file_comes_back_to_its_owner_only(self, client: FlaskClient) -> None:
        _sign_in(client)
        assert self._send(client, b"some text", "text/plain") == 201
        answer = client.get("/files/1")
        assert (answer.data, answer.content_type) == (b"some text", "text/plain")
        assert answer.headers["Content-Disposition"] == 'attachment; filename="a_b_.._c.txt"'
        _sign_in(client, "user01")
        assert client.get("/files/1").status_code == 404

    @pytest.mark.parametrize(
        ("content", "kind", "status"),
        [
            (b"\x89PNG\r\n\x1a\n...", "image/png", 201),
            (b"no picture", "image/png", 415),
            (b"\xff\xfe", "text/plain", 415),
            (b"MZ", "application/octet-stream", 415),
            (bytes(300_000), "text/plain", 413),
        ],
    )
    def test_type_and_size_are_checked(
        self, app: Flask, client: FlaskClient, content: bytes, kind: str, status: int
    ) -> None:
        _sign_in(client)
        assert self._send(client, content, kind) == status
        assert _count(app, Upload) == (status == 201)

    def test_missing_field_is_400_and_no_session_401(self, client: FlaskClient) -> None:
        assert self._send(client, b"x", "text/plain") == 401
        _sign_in(client)
        assert self._send(client, b"x", "text/plain", field="other") == 400


class TestPages:
    def test_home_slow_and_stream(self, client: FlaskClient) -> None:
        assert client.get("/").json == {"name": "ADA", "version": "1.0.0"}
        for place in ("app", "database"):
            started = time.monotonic()
            assert client.get(f"/slow?in={place}").status_code == 200
            assert time.monotonic() - started >= 0.05
        assert client.get("/slow?in=space").status_code == 400
        assert client.get("/stream?lines=2").text == "line 1 of 2\nline 2 of 2\n"

    @pytest.mark.parametrize(
        ("kind", "error"),
        [
            ("report", "ReportError: The report failed: secret-7"),
            ("chained", "ValueError: invalid literal"),
            ("lookup", "KeyError: 'secret-7'"),
            ("database", "IntegrityError"),
            ("critical", "ReportError: The order book does not add up: secret-7"),
        ],
    )
    def test_boom_is_500_and_the_detail_is_in_the_log_not_in_the_answer(
        self, client: FlaskClient, caplog: pytest.LogCaptureFixture, kind: str, error: str
    ) -> None:
        answer = client.get("/boom", query_string={"kind": kind, "detail": "secret-7"})
        assert (answer.status_code, answer.json["error"]) == (500, "internal_server_error")  # type: ignore[index]
        assert error in caplog.text
        assert "secret-7" in caplog.text
        assert "secret-7" not in answer.text
        assert any(record.levelname == "CRITICAL" for record in caplog.records) == (kind == "critical")

    def test_errors_of_the_framework_are_json_too(self, client: FlaskClient) -> None:
        assert client.get("/boom?kind=other").status_code == 400
        assert client.get("/nowhere").json["error"] == "not_found"  # type: ignore[index]
        answer = client.delete("/items")
        assert (answer.status_code, answer.json["error"]) == (405, "method_not_allowed")  # type: ignore[index]
        assert "GET" in answer.headers["Allow"]


class TestSocket:
    def _connect(self, app: Flask, client: FlaskClient) -> Any:
        return app.extensions["socketio"].test_client(app, namespace="/chat", flask_test_client=client)

    def _call(self, connection: Any, name: str, data: Any) -> Any:
        return connection.emit(name, data, namespace="/chat", callback=True)

    def test_connection_needs_a_session(self, app: Flask, client: FlaskClient) -> None:
        assert not self._connect(app, client).is_connected("/chat")
        _sign_in(client)
        assert self._connect(app, client).is_connected("/chat")

    def test_message_is_stored_and_reaches_the_room_only(self, app: Flask, client: FlaskClient) -> None:
        _sign_in(client)
        ada, other = self._connect(app, client), self._connect(app, client)
        assert self._call(ada, "join", {"room": "one"}) == {"ok": True, "room": "one"}
        self._call(other, "join", {"room": "two"})
        assert self._call(ada, "message", {"room": "one", "text": "hello"}) == {"ok": True, "id": 1}
        got = ada.get_received("/chat")
        assert [(event["name"], event["args"]["text"]) for event in got] == [("message", "hello")]
        assert other.get_received("/chat") == []
        assert _count(app, Message) == 1
        self._call(ada, "leave", {"room": "one"})
        self._call(other, "message", {"room": "one", "text": "anyone?"})
        assert ada.get_received("/chat") == []

    def test_ai_answers_a_room_from_the_background(self, app: Flask, client: FlaskClient) -> None:
        _sign_in(client)
        ada = self._connect(app, client)
        self._call(ada, "join", {"room": "one"})
        self._call(ada, "message", {"room": "one", "text": "@ai hi"})
        until = time.monotonic() + 10
        texts: list[str] = []
        while len(texts) < 2 and time.monotonic() < until:
            texts += [event["args"]["text"] for event in ada.get_received("/chat")]
            time.sleep(0.02)
        assert texts == ["@ai hi", "You said: hi"]
        assert _count(app, Message) == 2

    @pytest.mark.parametrize("data", [None, "text", {}, {"room": "one"}, {"room": "one", "text": 5}])
    def test_bad_message_is_acknowledged_as_an_error(
        self, app: Flask, client: FlaskClient, data: Any
    ) -> None:
        _sign_in(client)
        assert self._call(self._connect(app, client), "message", data)["error"] in {"bad_json", "bad_field"}
        assert _count(app, Message) == 0

    def test_failing_event_is_logged_and_acknowledged(
        self, app: Flask, client: FlaskClient, caplog: pytest.LogCaptureFixture
    ) -> None:
        _sign_in(client)
        ada = self._connect(app, client)
        assert self._call(ada, "report", {})["error"] == "failed"
        assert "RuntimeError: The report over Socket.IO failed" in caplog.text
        ada.disconnect("/chat")
        assert "disconnected" in caplog.text


class TestWithoutItsServers:
    def test_redis_away_is_503_where_it_is_needed_and_bypassed_where_not(self, tmp_path: Path) -> None:
        client = create_app(_settings(tmp_path)).test_client()
        answer = client.post("/auth/sign-in", json={"name": "ada", "password": SEED_PASSWORD})
        assert (answer.status_code, answer.json["error"]) == (503, "unavailable")  # type: ignore[index]
        assert answer.headers["Retry-After"] == "5"
        items = client.get("/items")
        assert (items.status_code, items.headers["X-Cache"]) == (200, "bypass")

    def test_database_away_is_503_until_it_is_there(self, tmp_path: Path) -> None:
        client = create_app(
            _settings(tmp_path, database_url=f"sqlite:///{tmp_path}/sub/ada.db")
        ).test_client()
        assert client.get("/").status_code == 200
        assert client.get("/items/1").status_code == 503
        (tmp_path / "sub").mkdir()
        assert client.get("/items/1").status_code == 200


class TestSettings:
    def test_values_come_from_the_environment(self) -> None:
        settings = Settings.from_env(
            {"AI_URL": "http://ai/", "ADA_SLOW_SECONDS": "0.5", "ADA_POOL_SIZE": "3"}
        )
        assert (settings.ai_url, settings.slow_seconds, settings.pool_size) == ("http://ai", 0.5, 3)
        assert Settings.from_env({}) == Settings()

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("ADA_POOL_SIZE", "0"),
            ("ADA_POOL_SIZE", "1.5"),
            ("ADA_SLOW_SECONDS", "nan"),
            ("AI_TIMEOUT_SECONDS", "x"),
        ],
    )
    def test_bad_number_names_the_variable(self, name: str, value: str) -> None:
        with pytest.raises(SettingsError, match=f"{name}='{value}' is .*number"):
            Settings.from_env({name: value})

    @pytest.mark.parametrize(
        ("values", "variable"),
        [
            ({"database_url": "nonsense"}, "DATABASE_URL"),
            ({"database_url": "sqlite://"}, "DATABASE_URL"),
            ({"database_url": "nosuch://host/name"}, "DATABASE_URL"),
            ({"redis_url": "http://127.0.0.1"}, "REDIS_URL"),
            ({"log_level": "LOUD"}, "LOG_LEVEL"),
        ],
    )
    def test_unusable_value_names_the_variable(
        self, tmp_path: Path, values: dict[str, str], variable: str
    ) -> None:
        with pytest.raises(SettingsError, match=variable):
            create_app(_settings(tmp_path, **values))


def test_app_knows_the_business_api_and_no_other_telemetry() -> None:
    sources = list((ROOT / "examples" / "ada").rglob("*.py"))
    assert len(sources) > 15
    lines = {line for path in sources for line in path.read_text().splitlines() if "import" in line}
    assert {line for line in lines if "ada_otel" in line or "opentelemetry" in line} == {
        "from ada_otel import business"
    }


def _gunicorn(tmp_path: Path, redis_url: str, ai: AiStub, *options: str, module: str, cwd: Path) -> Any:
    port = free_port()
    environ = {
        **os.environ,
        "DATABASE_URL": f"sqlite:///{tmp_path}/served.db",
        "REDIS_URL": redis_url,
        "AI_URL": ai.url,
        "ADA_SLOW_SECONDS": "0.1",
        "SECRET_KEY": "for tests",
    }
    command = [sys.executable, "-m", "gunicorn", "--worker-class", "gthread", "--threads", "40"]
    with (tmp_path / "gunicorn.log").open("w") as log:
        server = subprocess.Popen(
            [*command, *options, "--bind", f"127.0.0.1:{port}", module],
            cwd=cwd,
            env=environ,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    url = f"http://127.0.0.1:{port}"
    try:
        _wait(lambda: urllib.request.urlopen(url, timeout=5).close())
    except AssertionError:
        _stop(server)
        pytest.fail((tmp_path / "gunicorn.log").read_text())
    return server, url


def _stop(server: subprocess.Popen[bytes]) -> None:
    server.terminate()
    try:
        server.wait(15)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait(5)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory, redis_url: str, ai: AiStub) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("served")
    server, url = _gunicorn(folder, redis_url, ai, "--preload", module="examples.ada.wsgi:app", cwd=ROOT)
    yield url
    _stop(server)


class TestDriver:
    def _drive(self, tmp_path: Path, *arguments: str) -> dict[str, Any]:
        file = tmp_path / "report.json"
        assert drive.main([*arguments, "--report", str(file)]) == 0
        result: dict[str, Any] = json.loads(file.read_text())
        return result

    def test_once_sends_each_outcome_and_every_answer_is_the_known_one(
        self, url: str, tmp_path: Path
    ) -> None:
        first = self._drive(tmp_path, "--url", url, "--plan", "once")
        second = self._drive(tmp_path, "--url", url, "--plan", "once")
        assert first["unexpected"] == first["errors"] == second["unexpected"] == second["errors"] == []
        assert (first["requests"], first["events"]) == (second["requests"], second["events"])
        assert (first["requests_total"], first["events_total"]) == (51, 16)
        statuses = {row["status"] for row in first["requests"]}
        assert statuses == {200, 201, 204, 400, 401, 403, 404, 405, 409, 413, 415, 429, 500, 502}
        assert (
            first["events_received"] == {"left": 0, "message": 2} or first["events_received"]["message"] == 2
        )

    def test_load_sends_what_the_seed_says(self, url: str, tmp_path: Path) -> None:
        mix = "items=3,purchase=1,bad-input=1,boom=1,missing=1,socket-message=2,socket-fails=1"
        load = ("--url", url, "--users", "4", "--rate", "24", "--seconds", "1", "--mix", mix)
        first = self._drive(tmp_path, *load, "--seed", "1")
        again = self._drive(tmp_path, *load, "--seed", "1")
        other = self._drive(tmp_path, *load, "--seed", "2")
        for result in (first, again, other):
            assert (result["planned"], result["skipped"], result["errors"]) == (24, 0, [])
            around = {"connect", "join", "disconnect"}
            steps = result["requests_total"] - 4  # each user signs in
            steps += sum(row["count"] for row in result["events"] if row["event"] not in around)
            assert steps == 24
            assert 1 <= result["ended"] - result["started"] < 75
        assert (first["requests"], first["events"]) == (again["requests"], again["events"])
        assert (first["requests"], first["events"]) != (other["requests"], other["events"])
        assert {row["transport"] for row in first["events"]} == {"polling", "websocket"}
        assert first["latency_ms"]["p50"] <= first["latency_ms"]["p99"] <= first["latency_ms"]["max"]

    def test_counts_are_those_the_database_holds(self, url: str, tmp_path: Path, ai: AiStub) -> None:
        asked = len(ai.requests)
        result = self._drive(
            tmp_path, "--url", url, "--users", "3", "--rate", "30", "--seconds", "1", "--mix", "chat=1"
        )
        answered = [row["count"] for row in result["requests"] if row["route"] == "/chat"]
        assert answered == [30] == [len(ai.requests) - asked]

    def test_every_step_runs(self, url: str, tmp_path: Path) -> None:
        for name in STEPS:
            result = self._drive(
                tmp_path,
                "--url",
                url,
                "--users",
                "1",
                "--rate",
                "10",
                "--seconds",
                "0.1",
                "--mix",
                f"{name}=1",
            )
            assert result["errors"] == [], name
            assert result["requests_total"] + result["events_total"] >= 2, name

    def test_app_that_is_away_is_exit_status_1(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert drive.main(["--url", f"http://127.0.0.1:{free_port()}"]) == 1
        assert "no app answers at http://127.0.0.1:" in capsys.readouterr().err

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["--url", "http://192.0.2.1:80"], "drive loads loopback only"),
            (["--url", "http://ada.example"], "drive loads loopback only"),
            (["--url", "ftp://127.0.0.1"], "is not like http://127.0.0.1:8000"),
            (["--url", "http://127.0.0.1:x"], "is no URL"),
            (["--users", "0"], "no whole number from 1"),
            (["--rate", "nan"], "no number above 0"),
            (["--seconds", "-1"], "no number above 0"),
            (["--mix", "nothing=1"], "there is no step 'nothing'"),
            (["--mix", "items=x"], "the weight of 'items' is 'x'"),
            (["--mix", "items=0"], "no step has a weight above 0"),
        ],
    )
    def test_bad_argument_is_named(
        self, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with pytest.raises(SystemExit) as stopped:
            drive.main(arguments)
        assert stopped.value.code == 2
        assert message in capsys.readouterr().err

    def test_default_mix_leaves_out_what_has_no_weight(self) -> None:
        assert "critical" not in parse_mix("")
        assert parse_mix("critical=2, home=0") == {"critical": 2.0}


def test_copied_folder_serves_with_several_workers_forked_after_loading(
    tmp_path: Path, redis_url: str, ai: AiStub
) -> None:
    shutil.copytree(ROOT / "examples" / "ada", tmp_path / "ada", ignore=shutil.ignore_patterns("__pycache__"))
    server, url = _gunicorn(
        tmp_path, redis_url, ai, "--preload", "--workers", "3", module="ada.wsgi:app", cwd=tmp_path
    )
    try:
        report = tmp_path / "report.json"
        mix = "items=1,item=1,purchase=2,chat=1"
        load = ["--url", url, "--users", "6", "--rate", "60", "--seconds", "2", "--mix", mix]
        assert drive.main([*load, "--report", str(report)]) == 0
    finally:
        _stop(server)
    result = json.loads(report.read_text())
    assert result["errors"] == []
    assert result["requests_total"] == 126
    assert {row["status"] for row in result["requests"]} == {200, 201}


def test_several_processes_may_make_the_tables_at_the_same_time(tmp_path: Path) -> None:
    code = "from examples.ada.factory import create_app; create_app().extensions['ada.database'].prepare()"
    environ = {**os.environ, "DATABASE_URL": f"sqlite:///{tmp_path}/shared.db", "LOG_LEVEL": "WARNING"}
    started = [
        subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, env=environ, stderr=subprocess.PIPE)
        for _ in range(3)
    ]
    said = [process.communicate(timeout=120)[1].decode() for process in started]
    assert [process.returncode for process in started] == [0] * 3, said
    assert not [text for text in said if "not there yet" in text], said
    assert (
        Database(_settings(tmp_path, database_url=f"sqlite:///{tmp_path}/shared.db")).session().get(Item, 12)
    )


def test_flask_run_serves_by_path(tmp_path: Path) -> None:
    port = free_port()
    command = [sys.executable, "-m", "flask", "--app", "examples/ada/wsgi", "run", "--port", str(port)]
    environ = {**os.environ, "DATABASE_URL": f"sqlite:///{tmp_path}/ada.db"}
    server = subprocess.Popen(
        command, cwd=ROOT, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        _wait(lambda: urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5).close())
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/items/3", timeout=5) as answer:
            assert json.load(answer)["title"] == "brass loom"
    finally:
        _stop(server)
