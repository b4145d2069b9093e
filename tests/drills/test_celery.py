"""Celery's prefork pool, on a real Redis: each task is counted by the process that ran it."""

from __future__ import annotations

import importlib
import shutil
import signal
import subprocess
import sysconfig
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.drills.faults import collector
from tests.drills.report import LONG, figures
from tests.drills.servers import running
from tests.support.ports import free_port
from tests.support.process import LAUNCHER

pytestmark = pytest.mark.drill

TASKS = 2000 if LONG else 60

APP = """
import logging, os
from celery import Celery
from opentelemetry import metrics, trace
app = Celery("drill", broker=os.environ["BROKER"])
app.conf.worker_hijack_root_logger = False
counter = metrics.get_meter("drill").create_counter("drill.count")
tracer = trace.get_tracer("drill")

@app.task
def work(number):
    with tracer.start_as_current_span(f"task {number}"):
        logging.getLogger("drill").warning(f"task {number}")
        counter.add(1)
"""


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[str]:
    program = shutil.which("redis-server")
    assert program is not None, "redis-server is not on PATH (Debian: apt-get install redis-server)"
    port = free_port()
    command = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL) as server:
        url = f"redis://127.0.0.1:{port}/0"
        try:
            _wait(url)
            yield url
        finally:
            server.terminate()


def _wait(url: str) -> None:
    end = time.monotonic() + 30
    while not _answers(url):
        assert time.monotonic() < end
        time.sleep(0.05)


def _answers(url: str) -> bool:
    try:
        return bool(redis.Redis.from_url(url).ping())
    except redis.ConnectionError:
        return False


def test_prefork_with_recycled_children(broker: str, tmp_path: Path) -> None:
    (tmp_path / "drillapp.py").write_text(APP)
    command = [LAUNCHER, str(Path(sysconfig.get_path("scripts")) / "celery"), "-A", "drillapp", "worker"]
    command += ["--pool", "prefork", "--concurrency", "2", "--max-tasks-per-child", "10"]
    command += ["--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel", "WARNING"]
    with collector() as server:
        environment = {
            "BROKER": broker,
            "OTEL_EXPORTER_OTLP_ENDPOINT": server.endpoint,
            "OTEL_SERVICE_NAME": "drill",
            "ADA_OTEL_EXIT_TIMEOUT": "10",
        }
        with running(command, tmp_path, 0, environment) as worker:
            queue: Any = importlib.import_module("celery").Celery("drill", broker=broker)  # it has no types
            for number in range(TASKS):
                queue.send_task("drillapp.work", (number,))
            pending = redis.Redis.from_url(broker)
            # The long form starts 200 children, half a second each or more on a machine that does other work.
            assert server.wait_for(
                lambda: not pending.llen("celery") and not pending.hlen("unacked"), 600 if LONG else 90
            ), worker.output
            seconds = worker.stop(signal.SIGTERM)
            output = worker.output
        expected = {f"task {number}" for number in range(TASKS)}
        found = [name for name in server.names() if name in expected]
        lines = [body for body in server.bodies() if body in expected]
        totals = server.totals("drill.count")
    counted = sum(totals.values())
    figures("celery", sent=TASKS, found=len(found), lines=len(lines), counted=counted, instances=len(totals),
            seconds=round(seconds, 2))  # fmt: skip
    assert (len(found), len(lines), counted) == (TASKS, TASKS, TASKS), output
    assert set(found) == expected
    assert max(totals.values()) <= 10  # a child runs ten tasks, and no other repeats them
