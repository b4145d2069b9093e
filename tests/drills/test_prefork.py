"""Workers that come and go, before a real Prometheus: what was driven is what is counted, to the request.

A worker has a ``service.instance.id`` of its own, so its series end with it and no counter ever jumps. The
total over workers that have ended is ``sum(last_over_time(METRIC[RANGE]))``, over a range that covers them.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.drills.report import LONG, figures
from tools.demo.app import AdaApp, running_app
from tools.demo.arrivals import BackEnds, wait_for
from tools.stack import Stack

pytestmark = [pytest.mark.drill, pytest.mark.integration]


REQUESTS = 2000 if LONG else 120


def _drive(app: AdaApp, count: int) -> int:
    """Send requests until ``count`` were answered 200; one that a stopping worker refused is sent again."""
    answered = 0
    while answered < count:
        try:
            answer = requests.get(f"{app.url}/", timeout=10)
        except requests.ConnectionError:
            time.sleep(0.05)
            continue
        assert answer.status_code == 200
        answered += 1
    return answered


def _count(back_ends: BackEnds) -> dict[tuple[str, str, int], int]:
    return back_ends.request_counts()


@pytest.mark.parametrize(
    ("name", "gunicorn"),
    [
        ("gthread", ("--workers", "2", "--threads", "4")),
        ("gthread-preload", ("--workers", "2", "--threads", "4", "--preload")),
        (
            "recycling",
            ("--workers", "2", "--threads", "2", "--max-requests", "25", "--max-requests-jitter", "5"),
        ),
        ("sync-preload", ("--workers", "2", "--worker-class", "sync", "--preload")),
    ],
)
def test_graceful_stops_lose_no_request(
    stack: Stack, tmp_path: Path, name: str, gunicorn: tuple[str, ...]
) -> None:
    service = f"prefork-{name}-{time.time_ns()}"
    back_ends = BackEnds(
        stack.url("prometheus"), stack.url("elasticsearch"), stack.url("sentry_sink"), service
    )
    environment = {
        **stack.app_env(),
        "OTEL_METRIC_EXPORT_INTERVAL": "1000",
        "DATABASE_URL": f"sqlite:///{tmp_path}/a.db",
    }
    with running_app(tmp_path, environment, gunicorn=gunicorn, service=service) as app:
        sent = _drive(app, REQUESTS // 2)
        app.process.send_signal(signal.SIGHUP)
        time.sleep(2)
        sent += _drive(app, REQUESTS - REQUESTS // 2)
    key = ("GET", "/", 200)
    counts = wait_for(lambda: _count(back_ends), lambda found: found.get(key) == sent, 30)
    instances = back_ends.query(
        f'count(last_over_time(http_server_request_duration_seconds_count{{service_name="{service}"}}[1h]))'
    )
    resets = back_ends.query(
        f'sum(resets(http_server_request_duration_seconds_count{{service_name="{service}"}}[1h]))'
    )
    counted: dict[str, Any] = {
        "sent": sent,
        "found": counts.get(key, 0),
        "instances": int(float(instances[0]["value"][1])),
        "resets": int(float(resets[0]["value"][1])),
    }
    figures("prefork", case=name, **counted)
    assert counted["found"] == sent
    assert counted["resets"] == 0
    # Two workers before the reload, and two after it; gunicorn's master served none.
    assert counted["instances"] >= 3


def test_a_killed_worker_loses_one_interval_at_most(stack: Stack, tmp_path: Path) -> None:
    service = f"prefork-kill-{time.time_ns()}"
    back_ends = BackEnds(
        stack.url("prometheus"), stack.url("elasticsearch"), stack.url("sentry_sink"), service
    )
    environment = {
        **stack.app_env(),
        "OTEL_METRIC_EXPORT_INTERVAL": "1000",
        "DATABASE_URL": f"sqlite:///{tmp_path}/a.db",
    }
    key = ("GET", "/", 200)
    with running_app(
        tmp_path, environment, gunicorn=("--workers", "1", "--threads", "4"), service=service
    ) as app:
        sent = _drive(app, REQUESTS // 2)
        wait_for(lambda: _count(back_ends), lambda found: found.get(key) == sent, 30)
        (worker,) = _children(app.process.pid)
        unsent = _drive(app, 10)
        os.kill(worker, signal.SIGKILL)
        after = _drive(app, REQUESTS // 2)
    counts = wait_for(lambda: _count(back_ends), lambda found: found.get(key, 0) >= sent + after, 30)
    found = counts.get(key, 0)
    everything = sent + unsent + after
    figures("prefork", case="SIGKILL", sent=everything, found=found, lost=everything - found)
    # Only what came within the interval before the kill can be missing.
    assert sent + after <= found <= sent + unsent + after


def _children(pid: int) -> list[int]:
    import psutil

    return [child.pid for child in psutil.Process(pid).children() if "gunicorn" in " ".join(child.cmdline())]
