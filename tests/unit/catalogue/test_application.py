"""What the app's requests, statements, commands and cache lookups are measured as."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import flask
import pytest
import redis
import sqlalchemy
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from ada_otel import cache
from ada_otel._diagnostics import forget_reports
from ada_otel.catalogue import metric
from ada_otel.instrument._operations import OTHER, redis_operation, sql_operation
from ada_otel.instrument.flask import _middleware
from ada_otel.instrument.redis._commands import CommandTracing
from ada_otel.instrument.sqlalchemy._engines import EngineTracing
from ada_otel.pipeline.metrics import MeterProvider
from ada_otel.pipeline.tracing import TracerProvider

Points = dict[frozenset[tuple[str, Any]], Any]


class Providers:
    """Our providers, and what was recorded with them."""

    def __init__(self, *, sampled: bool = True, limit: int = 2000) -> None:
        self.reader = InMemoryMetricReader()
        self.metrics = MeterProvider(
            metric_readers=[self.reader], shutdown_on_exit=False, cardinality_limit=limit
        )
        self.tracer_provider = TracerProvider(
            sampler=ALWAYS_ON if sampled else ALWAYS_OFF, shutdown_on_exit=False
        )

    def points(self, name: str) -> Points:
        """Value, or count and sum, by attributes; each point's attributes are in the catalogue."""
        data = self.reader.get_metrics_data()
        listed = {attribute.name for attribute in metric(name).attributes}
        found: Points = {}
        for scope in data.resource_metrics[0].scope_metrics if data else ():
            for entry in scope.metrics:
                points: Any = entry.data.data_points
                for point in points if entry.name == name else ():
                    assert set(point.attributes or {}) <= listed
                    value = (point.count, point.sum) if hasattr(point, "count") else point.value
                    found[frozenset((point.attributes or {}).items())] = value
        return found

    @property
    def options(self) -> dict[str, Any]:
        return {"meter_provider": self.metrics, "tracer_provider": self.tracer_provider}


def only(points: Points) -> tuple[dict[str, Any], Any]:
    """The one point: attributes and value."""
    ((attributes, value),) = points.items()
    return dict(attributes), value


# -- Requests ------------------------------------------------------------------------------------------------


@pytest.fixture
def served() -> tuple[Providers, Any]:
    providers = Providers()
    app = flask.Flask("sizes")

    @app.route("/echo", methods=["GET", "POST", "PURGE"])
    def echo() -> str:
        return "x" * 100

    @app.route("/stream")
    def stream() -> flask.Response:
        return flask.Response(iter([b"ab", b"cde"]))

    _middleware.install(app, providers.options)
    return providers, app.test_client()


def test_sizes_of_bodies(served: tuple[Providers, Any]) -> None:
    providers, client = served
    client.post("/echo", data=b"12345")
    attributes, value = only(providers.points("http.server.request.body.size"))
    assert value == (1, 5)
    assert attributes["http.route"] == "/echo"
    assert attributes["http.response.status_code"] == 200
    assert only(providers.points("http.server.response.body.size"))[1] == (1, 100)


def test_a_streamed_body_is_counted_as_it_is_sent(served: tuple[Providers, Any]) -> None:
    providers, client = served
    assert client.get("/stream").data == b"abcde"
    assert only(providers.points("http.server.response.body.size"))[1] == (1, 5)
    assert providers.points("http.server.request.body.size") == {}


def test_head_has_no_body(served: tuple[Providers, Any]) -> None:
    providers, client = served
    client.head("/echo")
    assert providers.points("http.server.response.body.size") == {}


def test_paths_and_methods_that_nobody_expects_are_one_value(served: tuple[Providers, Any]) -> None:
    providers, client = served
    for number in range(30):
        client.get(f"/nothing/{number}")
        client.open("/echo", method="PURGE")
        client.open("/echo", method=f"M{number}")
    points = [dict(point) for point in providers.points("http.server.request.duration")]
    assert len(points) == 3
    assert {point["http.request.method"] for point in points} == {"GET", "_OTHER"}
    assert [point.get("http.route") for point in points if point["http.request.method"] == "GET"] == [None]


def test_a_nonsense_content_length_breaks_nothing(served: tuple[Providers, Any]) -> None:
    providers, client = served
    assert client.get("/echo", environ_overrides={"CONTENT_LENGTH": "many"}).status_code == 200
    assert providers.points("http.server.request.body.size") == {}


def test_an_error_without_a_text_is_measured_and_its_span_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    class SilentError(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no text")

    monkeypatch.delenv("ADA_OTEL_RAISE", raising=False)
    providers, ended = Providers(), InMemorySpanExporter()
    providers.tracer_provider.add_span_processor(SimpleSpanProcessor(ended))
    app = flask.Flask("silent")

    @app.route("/silent")
    def silent() -> str:
        raise SilentError

    _middleware.install(app, providers.options)
    app.config["PROPAGATE_EXCEPTIONS"] = True
    with pytest.raises(SilentError):
        app.test_client().get("/silent")
    attributes, (count, _) = only(providers.points("http.server.request.duration"))
    assert (attributes["http.route"], count) == ("/silent", 1)
    (span,) = ended.get_finished_spans()
    assert (span.name, span.status.description) == (
        "GET /silent",
        "SilentError: <SilentError without a text>",
    )


# -- Statements ----------------------------------------------------------------------------------------------


@pytest.fixture(params=[True, False], ids=["sampled", "unsampled"])
def traced(request: pytest.FixtureRequest) -> Iterator[Providers]:
    providers = Providers(sampled=request.param)
    tracing = EngineTracing(providers.options)
    tracing.install()
    yield providers
    tracing.remove()


def _engine(folder: Path, **options: Any) -> Any:
    pool = sqlalchemy.pool.QueuePool
    return sqlalchemy.create_engine(f"sqlite:///{folder / 'a.db'}", poolclass=pool, **options)


def test_statements_are_timed_by_operation_without_their_text(traced: Providers, tmp_path: Path) -> None:
    engine = _engine(tmp_path)
    with engine.connect() as connection:
        connection.execute(sqlalchemy.text("SELECT 1"))
        connection.execute(sqlalchemy.text("/* who */ select 2"))
        with pytest.raises(sqlalchemy.exc.OperationalError):
            connection.execute(sqlalchemy.text("FROBNICATE everything"))
    points = {
        (dict(key)["db.operation.name"], dict(key).get("error.type")): value
        for key, value in traced.points("db.client.operation.duration").items()
    }
    assert {key: value[0] for key, value in points.items()} == {
        ("SELECT", None): 2,
        (OTHER, "OperationalError"): 1,
    }
    (key, *_rest) = traced.points("db.client.operation.duration")
    assert dict(key)["db.system.name"] == "sqlite"
    engine.dispose()


def test_the_pool_says_its_limit_who_waits_and_who_waited_in_vain(traced: Providers, tmp_path: Path) -> None:
    engine = _engine(tmp_path, pool_size=1, max_overflow=1, pool_timeout=0.4)
    held = [engine.connect(), engine.connect()]
    failures: list[BaseException] = []

    def wait() -> None:
        try:
            engine.connect()
        except PoolTimeoutError as error:
            failures.append(error)

    waiting = threading.Thread(target=wait)
    waiting.start()
    deadline = time.monotonic() + 5
    seen = 0
    while not seen and time.monotonic() < deadline and waiting.is_alive():
        seen = only(traced.points("db.client.connection.pending_requests"))[1]
    waiting.join()
    assert seen == 1
    assert len(failures) == 1
    name, value = only(traced.points("db.client.connection.timeouts"))
    assert value == 1
    assert only(traced.points("db.client.connection.max")) == (name, 2)
    assert only(traced.points("db.client.connection.pending_requests"))[1] == 0
    usage = {
        dict(key)["state"]: number for key, number in traced.points("db.client.connections.usage").items()
    }
    assert usage == {"idle": 0, "used": 2}
    assert {dict(key)["pool.name"] for key in traced.points("db.client.connections.usage")} == set(
        name.values()
    )
    for connection in held:
        connection.close()
    engine.dispose()


@pytest.mark.parametrize(
    ("statement", "operation"),
    [
        ("select 1", "SELECT"),
        ("  /* a */ -- b\n WITH x AS (SELECT 1) SELECT 1", "WITH"),
        ("COMMIT;", "COMMIT"),
        ("", OTHER),
        ("'; DROP", OTHER),
        ("INSERT INTO t VALUES " + "(1)," * 5000, "INSERT"),
    ],
)
def test_operations_of_sql(statement: str, operation: str) -> None:
    assert sql_operation(statement) == operation


def test_operations_of_redis() -> None:
    names = ("get", "CLIENT SETINFO", "user-defined-1")
    assert [redis_operation(name) for name in names] == ["GET", "CLIENT", OTHER]


# -- Commands and caches -------------------------------------------------------------------------------------


@pytest.fixture(params=[True, False], ids=["sampled", "unsampled"])
def commands(request: pytest.FixtureRequest) -> tuple[Providers, CommandTracing]:
    providers = Providers(sampled=request.param)
    tracer = providers.tracer_provider.get_tracer("test")
    return providers, CommandTracing(tracer, providers.metrics.get_meter("test"), None, None)


def _run(tracing: CommandTracing, answer: Any, *args: Any) -> Any:
    def call(*_args: Any, **_kwargs: Any) -> Any:
        if isinstance(answer, BaseException):
            raise answer
        return answer

    # A client that never connects: what Redis would answer is given by the test.
    return tracing.command(call)(redis.Redis(host="cache.example", port=6380, db=3), *args)


def test_commands_are_timed_by_name_and_server(commands: tuple[Providers, CommandTracing]) -> None:
    providers, tracing = commands
    assert _run(tracing, b"1", "GET", "some:key") == b"1"
    attributes, (count, _seconds) = only(providers.points("db.client.operation.duration"))
    assert count == 1
    assert attributes["db.operation.name"] == "GET"
    assert attributes["db.system.name"] == "redis"
    assert (attributes["server.address"], attributes["server.port"]) == ("cache.example", 6380)
    assert "some:key" not in str(attributes)


def test_a_failed_command_has_its_error(commands: tuple[Providers, CommandTracing]) -> None:
    providers, tracing = commands
    with pytest.raises(redis.ConnectionError):
        _run(tracing, redis.ConnectionError("away"), "GET", "a")
    attributes, _ = only(providers.points("db.client.operation.duration"))
    assert attributes["error.type"] == "ConnectionError"
    assert providers.points("ada.cache.lookups") == {}


def test_lookups_are_hits_and_misses(commands: tuple[Providers, CommandTracing]) -> None:
    providers, tracing = commands
    _run(tracing, b"1", "GET", "a")
    _run(tracing, None, "get", "b")
    _run(tracing, [b"1", None, b"2", None, None], "MGET", *"abcde")
    _run(tracing, None, "HGET", "h", "f")
    _run(tracing, None, "SET", "a", "1")
    found = {dict(key)["ada.cache.result"]: n for key, n in providers.points("ada.cache.lookups").items()}
    assert found == {"hit": 3, "miss": 5}
    assert {dict(key)["ada.cache.name"] for key in providers.points("ada.cache.lookups")} == {"redis"}


def test_a_pipeline_is_one_operation_and_its_lookups_count(
    commands: tuple[Providers, CommandTracing],
) -> None:
    providers, tracing = commands
    pipeline = redis.Redis().pipeline()
    pipeline.command_stack = [(("GET", "a"), {}), (("SET", "a", 1), {}), (("HGET", "h", "f"), {})]
    tracing.pipeline(lambda _pipeline: [b"1", True, None])(pipeline)
    attributes, (count, _seconds) = only(providers.points("db.client.operation.duration"))
    assert (attributes["db.operation.name"], count) == ("PIPELINE", 1)
    found = {dict(key)["ada.cache.result"]: n for key, n in providers.points("ada.cache.lookups").items()}
    assert found == {"hit": 1, "miss": 1}


def test_other_caches_are_counted_by_the_public_function(monkeypatch: pytest.MonkeyPatch) -> None:
    providers = Providers()
    monkeypatch.setattr(cache, "get_meter", providers.metrics.get_meter)
    monkeypatch.setattr(cache, "_names", set())
    cache._lookups.cache_clear()
    forget_reports()
    cache.record_lookup("pages", hit=True)
    cache.record_lookup("pages", hit=False, count=3)
    for bad in ("", "x" * 65, 7, None):
        cache.record_lookup(bad, hit=True)  # type: ignore[arg-type]
    for number in range(80):
        cache.record_lookup(f"flood-{number}", hit=True)
    cache._lookups.cache_clear()
    points = {
        tuple(sorted(dict(key).values())): n for key, n in providers.points("ada.cache.lookups").items()
    }
    assert points["hit", "pages"] == 1
    assert points["miss", "pages"] == 3
    assert points["_OTHER", "hit"] == 31
    assert len({dict(key)["ada.cache.name"] for key in providers.points("ada.cache.lookups")}) == 51
