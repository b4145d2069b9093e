"""Socket.IO under gevent: a real server in a process of its own, the real client, and tasks that end late."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.otlp_receiver import Received, otlp_receiver
from tests.support.process import clean_environment
from tests.unit.socketio.serving import client, eventually

ROUNDS = 100
SERVER = textwrap.dedent("""
    from gevent import monkey

    monkey.patch_all()
    import os

    import ada_otel

    ada_otel.setup()
    import gevent
    from flask import Flask
    from flask_socketio import SocketIO
    from gevent.pywsgi import WSGIServer

    app = Flask("chat")
    sio = SocketIO(app, async_mode="gevent", ping_interval=1, ping_timeout=int(os.environ["PING_TIMEOUT"]))

    @sio.on("work", namespace="/chat")
    def work(number):
        sio.start_background_task(task, number)
        if number % 2:
            gevent.sleep(0.01)  # the task runs first; else when the handler has ended

    def task(number):
        sio.emit("done", number, namespace="/chat")

    server = WSGIServer(("127.0.0.1", 0), app, log=None)
    server.start()
    print(server.server_port, flush=True)
    server.serve_forever()
""")


@contextmanager
def _serving(folder: Path, received: Received, *, ping_timeout: int = 10) -> Iterator[str]:
    (folder / "server.py").write_text(SERVER)
    environment = {
        "OTEL_SERVICE_NAME": "chat",
        "OTEL_EXPORTER_OTLP_ENDPOINT": received.endpoint,
        "OTEL_BSP_SCHEDULE_DELAY": "200",
        "OTEL_METRIC_EXPORT_INTERVAL": "200",
        "PING_TIMEOUT": str(ping_timeout),
        "ADA_OTEL_RAISE": "true",
    }
    with (
        (folder / "server.log").open("wb") as log,
        subprocess.Popen(
            [sys.executable, "server.py"],
            cwd=folder,
            env=clean_environment(environment),
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        ) as process,
    ):
        try:
            assert process.stdout is not None
            port = process.stdout.readline().strip()
            assert port, (folder / "server.log").read_text()
            yield f"http://127.0.0.1:{port}"
        finally:
            process.kill()


@pytest.mark.parametrize("transport", ["polling", "websocket"])
def test_each_emit_of_a_background_task_has_a_span(transport: str, tmp_path: Path) -> None:
    """Whether it emits before or after the handler that started it has ended."""
    heard: set[Any] = set()
    all_heard = threading.Event()

    def done(number: int) -> None:
        heard.add(number)
        if len(heard) == ROUNDS:
            all_heard.set()

    with otlp_receiver() as received, _serving(tmp_path, received) as url:
        with client(url, transports=[transport], namespaces=["/chat"]) as sio:
            sio.on("done", done, namespace="/chat")
            for number in range(ROUNDS):
                sio.call("work", number, namespace="/chat")
            assert all_heard.wait(30), len(heard)
        eventually(lambda: "disconnect /chat" in [span["name"] for span in received.spans()], 30)
        spans = received.spans()
    works = [span for span in spans if span["name"] == "work /chat"]
    emits = [span for span in spans if span["name"] == "emit done /chat"]
    assert len(works) == len(emits) == ROUNDS
    assert {span["parent_span_id"] for span in emits} == {span["span_id"] for span in works}
    ends = {span["span_id"]: span["end"] for span in works}
    late = [span["start"] > ends[span["parent_span_id"]] for span in emits]
    assert any(late) and not all(late)


@pytest.mark.parametrize("transport", ["polling", "websocket"])
def test_a_client_that_vanishes_is_counted_off_by_its_ping_time_out(transport: str, tmp_path: Path) -> None:
    with otlp_receiver() as received, _serving(tmp_path, received, ping_timeout=1) as url:
        with client(url, transports=[transport], namespaces=["/chat"]) as sio:
            eventually(lambda: _points(received, "active_connections") == {transport: 1}, 20)
            # It reads on, but whatever it would send, the answers to pings too, is lost.
            sio.eio._send_packet = lambda *_arguments: None
            eventually(lambda: _points(received, "disconnects") == {"ping timeout": 1}, 30)
        eventually(lambda: _points(received, "active_connections") == {transport: 0}, 20)
        (disconnect,) = eventually(
            lambda: [span for span in received.spans() if span["name"] == "disconnect /chat"], 20
        )
    assert disconnect["attributes"]["socketio.disconnect.reason"] == "ping timeout"


def _points(received: Received, metric: str) -> dict[Any, Any]:
    """The values of a metric by transport or reason."""
    keys = ("socketio.transport", "socketio.disconnect.reason")
    return {
        next(text for key, text in attributes if key in keys): value
        for (name, attributes, _), value in received.points().items()
        if name == f"socketio.server.{metric}"
    }
