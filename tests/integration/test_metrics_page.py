"""The page of metrics: a real Prometheus scrapes a real gunicorn while its workers are killed."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.support.ports import free_port
from tests.support.process import clean_environment
from tools.builds import go
from tools.builds.targets import PROMETHEUS
from tools.errors import ToolError

pytestmark = pytest.mark.integration

APP = """
import os, signal
import flask
import ada_otel

app = flask.Flask("shop")
ada_otel.setup(app)

@app.get("/")
def serve():
    return str(os.getpid())

@app.get("/die")
def die():
    os.kill(os.getpid(), signal.SIGKILL)
"""

OPEN_METRICS = "application/openmetrics-text;version=1.0.0"

ALONE = {
    "OTEL_SERVICE_NAME": "shop",
    "OTEL_METRICS_EXPORTER": "none",
    "OTEL_TRACES_EXPORTER": "none",
    "OTEL_LOGS_EXPORTER": "none",
    "ADA_OTEL_METRICS_ENDPOINT": "true",
    "ADA_OTEL_RAISE": "true",
}


def get(port: int, path: str, accept: str = "text/plain") -> str | None:
    """What is answered; None if the worker died over it."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    with suppress(OSError, http.client.HTTPException):
        connection.request("GET", path, headers={"Accept": accept})
        answer = connection.getresponse()
        text = answer.read().decode()
        assert answer.status == 200, (path, answer.status, text)
        return text
    connection.close()
    return None


def until(found: Callable[[], Any], what: str, seconds: float = 120) -> Any:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with suppress(OSError):
            if value := found():
                return value
        time.sleep(0.1)
    raise AssertionError(what)


@contextmanager
def running(
    command: list[str], folder: Path, environment: dict[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    with (folder / f"{Path(command[-1]).name[:20]}.log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=folder, env=clean_environment(environment), stdout=log, stderr=log
        )
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@contextmanager
def gunicorn(folder: Path, *options: str, **environment: str) -> Iterator[int]:
    (folder / "shop.py").write_text(APP, encoding="utf-8")
    (folder / "tmp").mkdir(exist_ok=True)
    port = free_port()
    command = [sys.executable, "-m", "gunicorn", "-b", f"127.0.0.1:{port}", "-w", "4", *options, "shop:app"]
    with running(command, folder, {**ALONE, "TMPDIR": str(folder / "tmp"), **environment}):
        until(lambda: get(port, "/health"), "gunicorn does not answer")
        yield port


@contextmanager
def prometheus(folder: Path, target: int) -> Iterator[Callable[[str, str], Any]]:
    """A function from an API and a query to the result."""
    try:
        binary = go.build(PROMETHEUS) / "prometheus"
    except ToolError as error:
        if os.environ.get("CI", "").lower() == "true":
            raise
        pytest.skip(f"Prometheus could not be had: {error}")
    port = free_port()
    jobs = [{"job_name": "shop", "static_configs": [{"targets": [f"127.0.0.1:{target}"]}]}]
    config = {"global": {"scrape_interval": "500ms", "scrape_timeout": "500ms"}, "scrape_configs": jobs}
    (folder / "prometheus.yml").write_text(json.dumps(config), encoding="utf-8")
    command = [
        str(binary),
        "--config.file=prometheus.yml",
        f"--web.listen-address=127.0.0.1:{port}",
        "--enable-feature=exemplar-storage",
        "--log.level=warn",
        "--storage.tsdb.path=data",
    ]

    def ask(api: str, query: str) -> Any:
        words = {"query": query, "start": str(time.time() - 300), "end": str(time.time() + 60)}
        if api == "query":
            words = {"query": query}
        url = f"http://127.0.0.1:{port}/api/v1/{api}?{urllib.parse.urlencode(words)}"
        with urllib.request.urlopen(url, timeout=10) as answer:
            found = json.load(answer)["data"]
        return found["result"] if isinstance(found, dict) else found

    with running(command, folder, {}):
        until(lambda: ask("query", "up") or True, "Prometheus does not answer")
        yield ask


def number(ask: Callable[[str, str], Any], query: str) -> float | None:
    found = ask("query", query)
    return float(found[0]["value"][1]) if found else None


COUNT = 'http_server_request_duration_seconds_count{http_route="/"}'


def test_counters_survive_killed_workers_and_equal_what_was_driven(tmp_path: Path) -> None:
    with gunicorn(tmp_path, "--preload") as port, prometheus(tmp_path, port) as ask:
        served: list[str] = []
        end = time.monotonic() + 8

        def drive() -> None:
            while time.monotonic() < end:
                answer = get(port, "/")
                # A sync worker holds one connection at a time: nobody's request dies but the one to /die.
                assert answer is not None
                served.append(answer)
                time.sleep(0.01)

        drivers = [threading.Thread(target=drive) for _ in range(3)]
        for driver in drivers:
            driver.start()
        killed = 0
        while time.monotonic() < end - 1:
            killed += get(port, "/die") is None
            time.sleep(0.6)
        for driver in drivers:
            driver.join()
        assert killed >= 5
        # And some that are idle, from outside.
        for pid in sorted({int(text) for text in served[-20:]}):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                killed += 1
        assert len(set(served)) > 4
        until(
            lambda: number(ask, COUNT) == len(served), f"{len(served)} served, {number(ask, COUNT)} counted"
        )
        time.sleep(1.2)  # two more scrapes, by workers that are all new
        assert number(ask, COUNT) == len(served)
        groups = ask("query", "group by (__name__) ({__name__=~'.+_(total|bucket)',job='shop'})")
        counters = []
        for name in (found["metric"]["__name__"] for found in groups):
            base = name.removesuffix("_bucket")
            counters += [name] if base == name else [name, f"{base}_count", f"{base}_sum"]
        assert len(counters) > 8
        for name in counters:
            assert number(ask, f"max(resets({name}[2m]))") == 0, name
        assert number(ask, 'ada_requests_total{endpoint="/",method="GET",status="200"}') == len(served)
        assert number(ask, "ada_request_duration_seconds_count") == len(served)
        # A worker that is killed from outside may be at a scrape; that is a gap.
        assert (number(ask, "avg_over_time(up{job='shop'}[1m])") or 0) > 0.5
        # Requests that a killed worker was at are not under way any more; new ones have no such point yet.
        assert number(ask, "sum(http_server_active_requests) or vector(0)") == 0
        exemplars = ask("query_exemplars", "http_server_request_duration_seconds_bucket")
        labels = exemplars[0]["exemplars"][0]["labels"]
        assert len(labels["trace_id"]) == 32
        assert len(labels["span_id"]) == 16
        # No file of a dead worker stays.
        (folder,) = (tmp_path / "tmp").glob("ada-otel-metrics-*/*")
        assert len(list(folder.glob("*.worker"))) <= 5


@pytest.mark.parametrize(
    "options",
    [("-k", "gthread", "--threads", "4"), ("-k", "gevent", "--max-requests", "9", "--preload")],
    ids=["gthread", "gevent-recycled"],
)
def test_each_worker_gives_the_sum_over_all(options: tuple[str, ...], tmp_path: Path) -> None:
    with gunicorn(tmp_path, *options, "-w", "2") as port:
        served: list[str] = []
        line = 'ada_requests_total{{endpoint="/",method="GET",status="200"}} {}.0'

        def drive() -> bool:
            served.extend(until(lambda: get(port, "/"), "no worker answers") for _ in range(10))
            return len(set(served)) > 1

        until(drive, "one worker serves everything")
        for _ in range(6):
            page = until(lambda: get(port, "/metrics", OPEN_METRICS), "no worker answers")
            assert page.endswith("# EOF\n")
            (found,) = (text for text in page.splitlines() if text.startswith("ada_requests_total{"))
            assert found.split(" # ")[0] == line.format(len(served))


def test_under_the_launcher_the_master_chooses_the_folder(tmp_path: Path) -> None:
    app = APP.replace("ada_otel.setup(app)", "").replace("import ada_otel", "")
    (tmp_path / "shop.py").write_text(app, encoding="utf-8")
    port = free_port()
    launcher = str(Path(sys.executable).with_name("opentelemetry-instrument"))
    command = [launcher, sys.executable, "-m", "gunicorn", "-b", f"127.0.0.1:{port}", "-w", "3", "shop:app"]
    with running(command, tmp_path, {**ALONE, "TMPDIR": str(tmp_path)}):
        until(lambda: get(port, "/health"), "gunicorn does not answer")
        for _ in range(20):
            get(port, "/")
        for _ in range(5):
            assert 'status="200"} 20.0\n' in (get(port, "/metrics") or "")
