"""Health over a real PostgreSQL and a real Redis: each worker of a gunicorn notices when one stops."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.support.ports import free_port
from tests.support.process import clean_environment
from tests.support.servers import or_skip
from tools.stack import Stack, free_ports

pytestmark = pytest.mark.integration

APP = """
import os
import flask, redis, sqlalchemy
import ada_otel

app = flask.Flask("shop")
ada_otel.setup(app)
engine = sqlalchemy.create_engine(os.environ["DATABASE_URL"], pool_pre_ping=True)
cache = redis.Redis.from_url(os.environ["REDIS_URL"])

@app.get("/")
def serve():
    with engine.connect() as connection:
        return str(connection.scalar(sqlalchemy.text("SELECT 7"))) + str(cache.ping())
"""

SETTINGS = {
    "OTEL_SERVICE_NAME": "shop",
    "OTEL_TRACES_EXPORTER": "none",
    "OTEL_METRICS_EXPORTER": "none",
    "OTEL_LOGS_EXPORTER": "none",
    "ADA_OTEL_HEALTH_INTERVAL": "0.3",
    "ADA_OTEL_RAISE": "true",
}


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A PostgreSQL and a Redis of this module's own, as it stops them."""
    found = Stack(
        state_dir=tmp_path_factory.mktemp("health-stack"),
        ports=free_ports(),
        servers=["redis", "postgresql"],
    )
    or_skip(found.up)
    yield found
    found.down(purge=True)


class Served:
    """A gunicorn of two workers.

    Args:
        port: Where it listens.

    Attributes:
        answered: How many requests to the app's own page were.
    """

    def __init__(self, port: int) -> None:
        self.answered = 0
        self._address = f"http://127.0.0.1:{port}"

    def get(self, path: str) -> tuple[int, str]:
        """Status and body."""
        try:
            with urllib.request.urlopen(self._address + path, timeout=10) as answer:
                text = answer.read().decode()
                self.answered += path == "/"
                return answer.status, text
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def states(self, check: str) -> dict[int, str]:
        """What each worker that happens to answer says of a check, by its pid."""
        found = {}
        for _ in range(10):
            _, text = self.get("/health/detailed")
            said: dict[str, Any] = json.loads(text)
            found[said["pid"]] = said["checks"].get(check, {}).get("status", "")
        return found

    def all_say(self, check: str, state: str) -> None:
        """Wait until both workers have said this last."""
        said: dict[int, str] = {}

        def agreed() -> bool:
            said.update(self.states(check))
            return len(said) == 2 and set(said.values()) == {state}

        until(agreed, lambda: f"{check}: {said}")


def until(true: Callable[[], Any], said: Callable[[], str], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with suppress(OSError):
            if true():
                return
        time.sleep(0.05)
    raise AssertionError(said())


@contextmanager
def gunicorn(folder: Path, servers: Stack, **settings: str) -> Iterator[Served]:
    (folder / "shop.py").write_text(APP, encoding="utf-8")
    port = free_port()
    addresses = {
        "DATABASE_URL": servers.url("postgresql").replace("postgresql://", "postgresql+psycopg://"),
        "REDIS_URL": servers.url("redis"),
        "ADA_OTEL_HEALTH_HISTORY": str(folder / "history"),
    }
    command = [sys.executable, "-m", "gunicorn", "-b", f"127.0.0.1:{port}", "-w", "2", "shop:app"]
    log = folder / "gunicorn.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=clean_environment({**SETTINGS, **addresses, **settings}),
            stdout=output,
            stderr=output,
        )
    try:
        served = Served(port)
        until(lambda: served.get("/")[0] == 200, log.read_text)
        yield served
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def test_each_worker_notices_what_stops_and_that_it_is_back(servers: Stack, tmp_path: Path) -> None:
    with gunicorn(tmp_path, servers) as served:
        served.all_say("database", "healthy")
        served.all_say("redis", "healthy")
        assert served.get("/") == (200, "7True")
        assert served.get("/health/ready")[0] == 200

        servers.stop("redis")
        served.all_say("redis", "unhealthy")
        status, text = served.get("/health/ready")
        assert (status, json.loads(text)["status"]) == (200, "degraded")  # Redis is not required

        servers.stop("postgresql")
        served.all_say("database", "unhealthy")
        for _ in range(10):
            began = time.monotonic()
            status, text = served.get("/health/ready")
            assert (status, json.loads(text)["status"]) == (503, "unhealthy")
            assert time.monotonic() - began < 1  # nobody waits for the database
            assert served.get("/health")[0] == 200
        assert str(servers.ports["postgresql"]) not in served.get("/health/detailed")[1]

        servers.start("postgresql")
        servers.start("redis")
        served.all_say("database", "healthy")
        served.all_say("redis", "healthy")
        assert served.get("/health/ready")[0] == 200
        assert served.get("/") == (200, "7True")


def test_any_worker_gives_the_history_of_all_the_killed_included(servers: Stack, tmp_path: Path) -> None:
    with gunicorn(tmp_path, servers, ADA_OTEL_METRICS_ENDPOINT="true") as served:

        def columns() -> dict[str, list[Any]]:
            status, text = served.get("/health/history")
            assert status == 200
            found: dict[str, list[Any]] = json.loads(text)["columns"]
            assert len({len(column) for column in found.values()}) == 1
            return found

        def counted() -> float:
            return sum(requests or 0 for requests in columns()["requests"])

        def all_counted() -> bool:
            return counted() == served.answered

        def drive() -> set[int]:
            for _ in range(50):
                served.get("/")
            return set(served.states("database"))

        workers: set[int] = set()

        def both_served() -> bool:
            workers.update(drive())
            return len(workers) == 2

        until(both_served, lambda: f"{workers}")
        until(all_counted, lambda: f"{counted()} of {served.answered}")
        killed = min(workers)
        os.kill(killed, signal.SIGKILL)
        until(lambda: len(drive() - {killed}) == 2, lambda: "no worker in the place of the killed one")
        until(all_counted, lambda: f"{counted()} of {served.answered}")
        assert {counted() for _ in range(10)} == {served.answered}
        found = columns()
        assert max(found["processes"]) >= 2
        assert all(0 < seconds < 10 for seconds in found["response_time"] if seconds is not None)
        assert {rate for rate in found["error_rate"] if rate is not None} == {0}
        assert found["memory"][0] > 0
