"""Socket.IO over Redis: two gunicorn servers of one worker each, behind a proxy that keeps clients apart."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sysconfig
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import socketio

from tests.support.otlp_receiver import Received, otlp_receiver
from tests.support.ports import free_port
from tests.support.process import LAUNCHER, clean_environment

pytestmark = pytest.mark.integration

LOOPBACK = "127.0.0.1"
GUNICORN = str(Path(sysconfig.get_path("scripts")) / "gunicorn")
TRACE, PARENT = "ab" * 16, "cd" * 8
TRACEPARENT = f"00-{TRACE}-{PARENT}-01"

APP = textwrap.dedent("""
    import os
    from flask import Flask
    from flask_socketio import SocketIO, emit, join_room

    app = Flask("chat")
    options = {"ping_interval": 1, "ping_timeout": 10}
    sio = SocketIO(app, async_mode=os.environ["MODE"], message_queue=os.environ["QUEUE"], **options)

    @sio.on("connect", namespace="/chat")
    def connect(auth=None):
        join_room("all")

    @sio.on("say", namespace="/chat")
    def say(data):
        emit("said", data, to="all")
        sio.start_background_task(later, data)
        return {"worker": os.getpid()}

    def later(data):
        sio.emit("said later", data, to="all", namespace="/chat")
""")


def _listening(port: int) -> bool:
    with suppress(OSError), closing(socket.create_connection((LOOPBACK, port), timeout=1)):
        return True
    return False


def _eventually(check: Callable[[], Any], seconds: float = 30) -> Any:
    deadline = time.monotonic() + seconds
    while not (answer := check()):
        assert time.monotonic() < deadline, answer
        time.sleep(0.05)
    return answer


@contextmanager
def _process(command: list[str], log: Path, **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, start_new_session=True, **options)
    try:
        yield process
    finally:
        # What is asked of it has arrived by now; an orderly end is the subject of the drills.
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@contextmanager
def _redis(folder: Path) -> Iterator[str]:
    program = shutil.which("redis-server")
    assert program is not None, "redis-server is needed"
    port = free_port()
    command = [program, "--bind", LOOPBACK, "--port", str(port), "--save", "", "--appendonly", "no"]
    with _process(command, folder / "redis.log", cwd=folder):
        _eventually(lambda: _listening(port))
        yield f"redis://{LOOPBACK}:{port}/0"


@contextmanager
def _worker(
    mode: str, folder: Path, queue: str, received: Received, name: str, **extra: str
) -> Iterator[int]:
    port = free_port()
    command = [LAUNCHER, GUNICORN, "app:app", "--bind", f"{LOOPBACK}:{port}", "--workers", "1"]
    command += ["--worker-class", "gevent" if mode == "gevent" else "gthread"]
    command += ["--threads", "20"] if mode == "threading" else []
    environment = {
        "MODE": mode,
        "QUEUE": queue,
        "OTEL_SERVICE_NAME": "chat",
        "OTEL_EXPORTER_OTLP_ENDPOINT": received.endpoint,
        "OTEL_METRIC_EXPORT_INTERVAL": "300",
        "OTEL_BSP_SCHEDULE_DELAY": "200",
        "ADA_OTEL_RAISE": "true",
    }
    with _process(command, folder / f"{name}.log", cwd=folder, env=clean_environment(environment)) as process:
        _eventually(lambda: _listening(port) or process.poll() is not None, 90)
        assert process.poll() is None, (folder / f"{name}.log").read_text()
        yield port


def _pipe(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while part := source.recv(65536):
            target.sendall(part)
    for end in (source, target):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


def _pass_on(client: socket.socket, backends: dict[str, int]) -> None:
    """Send a connection where its first request says, by ``client=``: all of a client's go to one server."""
    with client, suppress(OSError):
        head = b""
        while b"\r\n\r\n" not in head:
            part = client.recv(65536)
            if not part:
                return
            head += part
        line = head.split(b"\r\n", 1)[0].decode()
        name = line.partition("client=")[2][:1]
        with closing(socket.create_connection((LOOPBACK, backends[name]), timeout=30)) as server:
            server.sendall(head)
            back = threading.Thread(target=_pipe, args=(server, client), daemon=True)
            back.start()
            _pipe(client, server)
            back.join(5)


@contextmanager
def _sticky_proxy(backends: dict[str, int]) -> Iterator[str]:
    with closing(socket.create_server((LOOPBACK, 0))) as listener:

        def accept() -> None:
            with suppress(OSError):
                while True:
                    client, _ = listener.accept()
                    threading.Thread(target=_pass_on, args=(client, backends), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield f"http://{LOOPBACK}:{listener.getsockname()[1]}"
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)


@contextmanager
def _client(url: str, name: str, transports: list[str]) -> Iterator[tuple[socketio.Client, list[Any]]]:
    client = socketio.Client(reconnection=False)
    heard: list[Any] = []
    client.on("said", heard.append, namespace="/chat")
    client.on("said later", heard.append, namespace="/chat")
    client.connect(
        f"{url}?client={name}",
        transports=transports,
        namespaces=["/chat"],
        headers={"traceparent": TRACEPARENT},
        wait_timeout=10,
    )
    try:
        yield client, heard
    finally:
        if getattr(client.eio, "ws", None) is not None:
            client.eio.ws.close = partial(client.eio.ws.close, timeout=0.1)
        client.disconnect()


def _values(received: Received, metric: str, **wanted: str) -> list[float]:
    """For each worker, the sum of a metric's points that have the wanted attributes; smallest first."""
    keys = {"event": "socketio.event", "transport": "socketio.transport", "way": "network.io.direction"}
    needed = {(keys[key], text) for key, text in wanted.items()}
    sums: dict[str, float] = {}
    for (name, attributes, instance), value in received.points().items():
        if name == f"socketio.server.{metric}" and needed <= attributes:
            sums[instance] = sums.get(instance, 0) + value
    return sorted(sums.values())


@pytest.mark.parametrize("mode", ["threading", "gevent"])
def test_two_workers_over_redis(mode: str, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APP)
    with ExitStack() as stack:
        received = stack.enter_context(otlp_receiver())
        queue = stack.enter_context(_redis(tmp_path))
        ports = {name: stack.enter_context(_worker(mode, tmp_path, queue, received, name)) for name in "ab"}
        url = stack.enter_context(_sticky_proxy(ports))
        with (
            _client(url, "a", ["polling"]) as (alice, alice_heard),
            _client(url, "b", ["polling", "websocket"]) as (bob, bob_heard),
        ):
            one = alice.call("say", {"n": 1, "traceparent": TRACEPARENT}, namespace="/chat")
            two = bob.call("say", {"n": 2}, namespace="/chat")
            assert one["worker"] != two["worker"]
            _eventually(lambda: len(alice_heard) == len(bob_heard) == 4)
            _eventually(
                lambda: (
                    _values(received, "active_connections") == [1, 1]
                    and sum(_values(received, "active_connections", transport="polling")) == 1
                    and sum(_values(received, "active_connections", transport="websocket")) == 1
                )
            )
        _eventually(lambda: _values(received, "disconnects") == [1, 1])
        _eventually(lambda: _values(received, "active_connections") == [0, 0])
        # Each worker delivers to its own client what either of them was told.
        assert _values(received, "messages", event="said", way="transmit") == [2, 2]
        assert _values(received, "messages", event="said later", way="transmit") == [2, 2]
        assert _values(received, "messages", event="say", way="receive") == [1, 1]
        assert all(value > 0 for value in _values(received, "io", way="receive"))
        _eventually(lambda: [span["name"] for span in received.spans()].count("disconnect /chat") == 2)
        spans = received.spans()
    says = [span for span in spans if span["name"] == "say /chat"]
    assert sorted(span["parent_span_id"] for span in says) == ["", PARENT]
    for say in says:
        emits = [span for span in spans if span["parent_span_id"] == say["span_id"]]
        assert sorted(span["name"] for span in emits) == ["emit said /chat", "emit said later /chat"]
        for emit in emits:
            published = [span for span in spans if span["parent_span_id"] == emit["span_id"]]
            assert [span["name"] for span in published] == ["PUBLISH"]
    assert [span["parent_span_id"] for span in spans if span["name"] == "connect /chat"] == [PARENT] * 2
