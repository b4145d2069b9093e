"""Real servers as processes of their own: started, asked, stopped, and their output kept."""

from __future__ import annotations

import http.client
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.support.process import clean_environment

#: A Flask app with one route, for ``opentelemetry-instrument`` or behind ``ada_otel.setup()``.
FLASK_APP = """
from flask import Flask
app = Flask(__name__)

@app.get("/<int:number>")
def one(number):
    return "ok"
"""


class Server:
    """A running server, which is asked on one port of loopback."""

    def __init__(self, process: subprocess.Popen[str], port: int, log: Path) -> None:
        self.process = process
        self._port = port
        self._log = log

    @property
    def output(self) -> str:
        """What it has said so far."""
        return self._log.read_text(errors="replace")

    def get(self, path: str, seconds: float = 60) -> None:
        """Ask until it is answered: one that starts, or recycles a worker, refuses connections for a time."""
        end = time.monotonic() + seconds
        while True:
            # Asked again while it waits for a worker to load the app, it would be answered and counted twice.
            connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=seconds)
            try:
                connection.request("GET", path)
                answer = connection.getresponse()
                assert answer.read() == b"ok", self.output
            except (OSError, http.client.HTTPException):
                assert time.monotonic() < end, self.output
                assert self.process.poll() is None, self.output
                time.sleep(0.1)
            else:
                return
            finally:
                connection.close()

    def stop(self, number: int = signal.SIGTERM, seconds: float = 40) -> float:
        """Send a signal, SIGINT to the whole group, and wait for the end; returns the seconds that took."""
        begun = time.monotonic()
        if number == signal.SIGINT:
            os.killpg(self.process.pid, number)
        else:
            self.process.send_signal(number)
        self.process.wait(seconds)
        return time.monotonic() - begun


@contextmanager
def running(
    command: Sequence[str], folder: Path, port: int, environment: Mapping[str, str]
) -> Iterator[Server]:
    """Run a server in ``folder``, in a process group of its own, for as long as the block lasts."""
    log = folder / "server.log"
    with log.open("w") as output, _interruptible():
        process = subprocess.Popen(
            list(command),
            cwd=folder,
            env=clean_environment({"PYTHONPATH": str(folder), **environment}),
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
    try:
        yield Server(process, port, log)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@contextmanager
def _interruptible() -> Iterator[None]:
    """Start programs that SIGINT ends: tests that run in the background are started with it ignored.

    What is ignored stays ignored in a program; what has a handler is reset.
    """
    earlier = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, earlier)
