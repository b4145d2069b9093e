"""The pages of health: what they say, to whom, and how quickly."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import flask
import pytest
from flask.testing import FlaskClient
from werkzeug.middleware.proxy_fix import ProxyFix

from ada_otel import health as public
from ada_otel.web.health._found import Found
from tests.unit.health.conftest import Start, checks

FAST = {"HEALTH_INTERVAL": "0.1", "HEALTH_TIMEOUT": "0.3"}
#: On a machine that is busy a check must not count as failed.
PATIENT = {"HEALTH_INTERVAL": "0.1", "HEALTH_TIMEOUT": "60"}


def until(true: Callable[[], Any], seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.02)


def no_longer_pending(client: FlaskClient) -> None:
    """Wait until each required check has ended once."""
    until(lambda: client.get("/health/ready").get_json()["status"] != "pending", seconds=60)


@pytest.fixture
def no_databases(monkeypatch: pytest.MonkeyPatch) -> None:
    """What other tests have left of databases is not checked."""
    monkeypatch.setattr(Found, "engines", lambda _self: [])
    monkeypatch.setattr(Found, "pools", lambda _self: [])


@pytest.fixture
def black_hole() -> Iterator[int]:
    """A port where connections are made and nothing is ever said."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen(50)
        yield sock.getsockname()[1]


def test_live_says_status_time_and_version_to_everyone(start: Start) -> None:
    client = start(HEALTH_TOKEN="secret")
    answer = client.get("/health", headers={"X-Forwarded-For": "1.2.3.4"})
    assert answer.status_code == 200
    assert answer.get_json()["status"] == "healthy"
    assert answer.get_json()["timestamp"].endswith("Z")
    assert set(answer.get_json()) == {"status", "timestamp", "version"}
    assert answer.headers["Cache-Control"] == "no-store"
    assert client.head("/health/").data == b""
    assert client.post("/health").status_code == 405


@pytest.mark.usefixtures("no_databases")
def test_a_required_check_that_fails_is_503_and_an_optional_one_degrades(start: Start) -> None:
    state: dict[str, Any] = {"search": True, "mail": True}
    public.check("search", required=True)(lambda: state["search"])
    public.check("mail")(lambda: state["mail"])
    client = start(**FAST)

    def ready() -> tuple[int, str]:
        answer = client.get("/health/ready")
        return answer.status_code, answer.get_json()["status"]

    until(lambda: ready() == (200, "healthy"))
    state["mail"] = False
    until(lambda: ready() == (200, "degraded"))
    state["search"] = public.degraded("index is behind", lag_seconds=7)
    until(lambda: checks(client)["search"]["status"] == "degraded")
    assert checks(client)["search"]["figures"] == {"lag_seconds": 7}
    assert ready() == (200, "degraded")
    state["search"] = public.unhealthy("gone")
    until(lambda: ready() == (503, "unhealthy"))
    assert client.get("/health").status_code == 200
    assert client.get("/health/detailed").status_code == 503


def test_what_fails_says_why_only_when_asked(start: Start) -> None:
    @public.check("search")
    def search() -> None:
        raise OSError("no route to search.internal:9200, password hunter2")

    client = start(**FAST)
    until(lambda: checks(client).get("search", {}).get("status") == "unhealthy")
    text = client.get("/health/detailed").get_data(as_text=True)
    assert "hunter2" not in text
    assert "OSError" not in text


def test_verbose_says_why(start: Start) -> None:
    public.check("search")(lambda: 1 / 0)
    client = start(**FAST, HEALTH_VERBOSE="true")
    until(lambda: checks(client).get("search", {}).get("error") == "ZeroDivisionError: division by zero")


@pytest.mark.usefixtures("no_databases")
def test_the_detail_is_for_this_machine_or_who_has_the_token(start: Start) -> None:
    client = start(**PATIENT)
    no_longer_pending(client)
    for path in ("/health/detailed", "/health/history"):
        assert client.get(path).status_code == 200
        assert client.get(path, environ_base={"REMOTE_ADDR": "::ffff:127.0.0.1"}).status_code == 200
        assert client.get(path, environ_base={"REMOTE_ADDR": "10.0.0.1"}).status_code == 401
        assert client.get(path, environ_base={"REMOTE_ADDR": ""}).status_code == 401
        assert client.get(path, environ_base={"REMOTE_ADDR": "::1"}).status_code == 200
        assert client.get(path, environ_base={"REMOTE_ADDR": "fe80::1%eth0"}).status_code == 401
        assert client.get(path, environ_base={"REMOTE_ADDR": None}).status_code == 401
        for header in (
            "X-Forwarded-For",
            "Forwarded",
            "X-Real-IP",
            "Via",
            "X-Forwarded-Port",
            "X-Forwarded-Server",
            "CF-Connecting-IP",
            "True-Client-IP",
            "X-Client-IP",
        ):
            assert client.get(path, headers={header: "127.0.0.1"}).status_code == 401


def test_a_token_is_asked_for_where_there_is_one(start: Start) -> None:
    client = start(**FAST, HEALTH_TOKEN="s3cret")
    assert client.get("/health/detailed").status_code == 401
    assert client.get("/health/detailed", headers={"Authorization": "Bearer wrong"}).status_code == 401
    answer = client.get(
        "/health/detailed",
        headers={"Authorization": "Bearer s3cret"},
        environ_base={"REMOTE_ADDR": "10.0.0.1"},
    )
    assert "host" in answer.get_json()["checks"]
    assert answer.get_json()["pid"]


@pytest.mark.usefixtures("no_databases")
@pytest.mark.parametrize("token", ["schlüssel-ключ", "not-utf-8-\udcff", "two words"])
def test_a_token_may_be_of_any_characters(start: Start, token: str) -> None:
    client = start(**PATIENT, HEALTH_TOKEN=token)
    no_longer_pending(client)
    # As a WSGI server hands a header on: a character for each byte.
    sent = token.encode("utf-8", "surrogateescape").decode("latin-1")
    for given, status in ((sent, 200), (f"{sent}x", 401), ("", 401), ("\N{SNOWMAN}", 401)):
        environ = {"HTTP_AUTHORIZATION": f"Bearer {given}", "REMOTE_ADDR": "10.0.0.1"}
        assert client.get("/health/detailed", environ_overrides=environ).status_code == status


def test_a_proxy_fix_of_the_app_does_not_make_a_stranger_local(start: Start) -> None:
    app = flask.Flask("shop")
    app.wsgi_app = ProxyFix(app.wsgi_app)  # type: ignore[method-assign]
    client = start(app, **FAST)
    assert client.get("/health/detailed", headers={"X-Forwarded-For": "127.0.0.1"}).status_code == 401


def test_a_route_of_the_app_wins_and_a_catch_all_does_not(start: Start) -> None:
    app = flask.Flask("shop")
    app.get("/health")(lambda: "mine")
    app.get("/<path:rest>", endpoint="rest")(lambda rest: "all")
    client = start(app, **FAST)
    assert client.get("/health").data == b"mine"
    assert client.get("/health/ready").get_json()["version"] == ""
    assert client.get("/other").data == b"all"


def test_a_route_of_the_app_below_the_pages_wins(start: Start) -> None:
    app = flask.Flask("shop")
    app.get("/health/<part>")(lambda part: f"mine: {part}")
    app.get("/<part>/ready", endpoint="rest")(lambda part: part)
    client = start(app, **FAST)
    assert client.get("/health/ready").data == b"mine: ready"
    assert client.get("/health/other").data == b"mine: other"
    assert client.get("/health").get_json()["status"] == "healthy"
    numbers = flask.Flask("numbers")
    numbers.get("/health/<int:part>")(lambda part: f"mine: {part}")
    numbers.post("/health/<part>", endpoint="post")(lambda part: part)
    assert numbers.test_client().get("/health/ready").get_json()["version"] == ""


def test_a_catch_all_above_another_prefix_does_not_win(start: Start) -> None:
    app = flask.Flask("shop")
    app.get("/api/<path:rest>")(lambda rest: "all")
    client = start(app, **FAST, HEALTH_PREFIX="/api/health")
    for path in ("/api/health", "/api/health/ready"):
        assert client.get(path).get_json()["version"] == ""
    assert client.get("/api/other").data == b"all"


def test_another_prefix_and_none_at_all(start: Start) -> None:
    client = start(HEALTH_PREFIX="/ops/state/")
    assert client.get("/ops/state/ready").status_code in {200, 503}
    assert client.get("/health").status_code == 404


def test_switched_off(start: Start) -> None:
    assert start(HEALTH="false").get("/health").status_code == 404


def test_a_check_that_hangs_holds_no_request_and_ends_when_it_may(start: Start) -> None:
    let_go = threading.Event()
    threads: set[int] = set()

    @public.check("search", required=True)
    def search() -> None:
        threads.add(threading.get_ident())
        let_go.wait(20)

    client = start(**FAST)
    until(lambda: checks(client).get("search", {}).get("reason") == "timed out")
    begun = time.perf_counter()
    for _ in range(100):
        assert client.get("/health/ready").status_code == 503
    assert (time.perf_counter() - begun) / 100 < 0.02
    # It is given up after five times its limit, and another is tried; but no more than four threads at once.
    time.sleep(2)
    assert 1 < len(threads) <= 4
    let_go.set()
    until(lambda: client.get("/health/ready").status_code == 200)


def test_a_database_that_is_a_black_hole(start: Start, black_hole: int) -> None:
    sqlalchemy = pytest.importorskip("sqlalchemy")
    pytest.importorskip("psycopg")
    engine = sqlalchemy.create_engine(f"postgresql+psycopg://ada:hunter2@127.0.0.1:{black_hole}/ada")
    client = start(**FAST)
    until(lambda: checks(client).get("database", {}).get("status") == "unhealthy")
    times = []
    for _ in range(50):
        begun = time.perf_counter()
        answer = client.get("/health/ready")
        times.append(time.perf_counter() - begun)
        assert answer.status_code == 503
    assert sorted(times)[25] < 0.01
    assert engine.pool.checkedout() == 0
    text = client.get("/health/detailed").get_data(as_text=True)
    assert "hunter2" not in text
    assert str(black_hole) not in text
    engine.dispose()


def test_an_engine_that_the_app_has_let_go_of_is_not_asked(start: Start, black_hole: int) -> None:
    sqlalchemy = pytest.importorskip("sqlalchemy")
    pytest.importorskip("psycopg")
    engine = sqlalchemy.create_engine(
        f"postgresql+psycopg://ada:a@127.0.0.1:{black_hole}/ada?connect_timeout=2"
    )
    engine.cycle = engine  # only a collection frees it
    del engine
    client = start(HEALTH_INTERVAL="0.1", HEALTH_TIMEOUT="3")
    # It is in the first round's list, or was collected before that; nothing but a collection makes it well.
    until(lambda: "host" in checks(client))
    until(lambda: checks(client).get("database", {"status": "healthy"})["status"] == "healthy")
    assert client.get("/health/ready").status_code == 200


def test_nothing_is_ready_before_it_is_known_what_there_is_to_check(
    start: Start, black_hole: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    sqlalchemy = pytest.importorskip("sqlalchemy")
    pytest.importorskip("psycopg")
    engine = sqlalchemy.create_engine(f"postgresql+psycopg://ada:a@127.0.0.1:{black_hole}/ada")
    look, may_look = Found._look, threading.Event()

    def slow_look(found: Found) -> None:
        assert may_look.wait(20)
        look(found)

    monkeypatch.setattr(Found, "_look", slow_look)
    client = start(**FAST)

    def ready() -> tuple[int, str]:
        answer = client.get("/health/ready")
        return answer.status_code, answer.get_json()["status"]

    assert ready() == (503, "pending")
    may_look.set()
    seen: list[tuple[int, str]] = []

    def failed() -> bool:
        seen.append(ready())
        return seen[-1] == (503, "unhealthy")

    until(failed)
    assert all(status == 503 for status, _ in seen)
    engine.dispose()


def test_redis_that_is_a_black_hole_is_not_required_by_itself(start: Start, black_hole: int) -> None:
    redis = pytest.importorskip("redis")
    client_of_app = redis.Redis(port=black_hole)
    client = start(**FAST, HEALTH_REQUIRED="none")
    until(lambda: checks(client).get("redis", {}).get("status") == "unhealthy")
    assert client.get("/health/ready").status_code == 200
    del client_of_app


def test_a_database_that_answers(start: Start, tmp_path: Any) -> None:
    sqlalchemy = pytest.importorskip("sqlalchemy")
    engine = sqlalchemy.create_engine(f"sqlite:///{tmp_path}/shop.db", pool_size=1, max_overflow=0)
    with engine.connect() as held:  # the only connection of the app's pool is in use
        held.execute(sqlalchemy.text("CREATE TABLE a (b)"))
        client = start(**FAST)
        until(lambda: checks(client).get("database", {}).get("status") == "healthy")
        assert checks(client)["database"]["required"]
        assert engine.pool.checkedout() == 1
    engine.dispose()


def test_resources_over_a_threshold_degrade_and_never_more(start: Start) -> None:
    client = start(**PATIENT, HEALTH_MEMORY="0.001", HEALTH_DISK="0", PERFORMANCE_MEMORY="0.001")
    until(lambda: checks(client).get("host", {}).get("status") == "degraded")
    assert checks(client)["host"]["reason"] == "above the threshold: memory, disk"
    above = "above the threshold: memory_percent"
    until(lambda: checks(client)["performance"].get("reason") == above)
    until(lambda: 0 <= checks(client)["host"]["figures"].get("cpu_percent", -1) <= 100)
    answer = client.get("/health/ready")
    assert (answer.status_code, answer.get_json()["status"]) == (200, "degraded")


def test_dependencies_over_the_network(start: Start, black_hole: int) -> None:
    none = f"search=127.0.0.1:1,odd=a..b:80,long={'x' * 70}:80"  # two names that cannot be looked up
    client = start(**FAST, DEPENDENCIES=f"mail=127.0.0.1:{black_hole},{none}")
    until(lambda: checks(client).get("network", {}).get("status") == "degraded")
    assert checks(client)["network"]["figures"]["failed"] == 3


def test_a_lost_collector_degrades_telemetry(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    from ada_otel.pipeline.export import stats

    figures = stats.SignalStats("traces")
    figures.consecutive_failures = 3
    figures.drop("queue_full", 5)
    figures.last_success = time.time() - 60
    monkeypatch.setattr(stats._process, "signals", {"traces": figures})
    client: FlaskClient = start(HEALTH_TIMEOUT="5")
    until(lambda: checks(client).get("telemetry", {}).get("status") == "degraded")
    found = checks(client)["telemetry"]
    assert found["reason"] == "items were dropped, the collector does not take it"
    assert found["figures"]["traces_dropped"] == 5
    assert 59 < found["figures"]["traces_last_success_age_s"] < 75


@pytest.mark.parametrize(
    ("name", "timeout", "function"),
    [("Bad Name", None, print), ("database", None, print), ("ok", -1, print), ("ok", "2", print),
     ("ok", 1, 7), (None, None, print), ("ok", float("nan"), print)],
)  # fmt: skip
def test_bad_checks_are_reported_once_and_change_nothing(
    name: Any, timeout: Any, function: Any, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        assert public.check(name, timeout=timeout)(function) is function
    assert len([record for record in caplog.records if "is not registered" in record.message]) == 1
    client = start(**FAST)
    until(lambda: checks(client).get("host"))
    assert "ok" not in checks(client)


def test_an_answer_that_is_none_is_reported(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    public.check("odd")(lambda: "fine")
    public.check("nan")(lambda: public.degraded("x", value=float("nan")))
    client = start(**FAST)
    until(lambda: checks(client).get("odd", {}).get("status") == "degraded")
    assert "returned 'fine'" in caplog.text
    assert checks(client)["nan"]["figures"] == {"value": None}
