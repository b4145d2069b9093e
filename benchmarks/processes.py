"""The processes of a run: Redis, the sink, and the app, in process or behind gunicorn."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.environments import python
from benchmarks.variants import Case, Variant
from tools.errors import ToolError

PROGRAMS = Path(__file__).with_name("programs")
LOOPBACK = "127.0.0.1"
_START_SECONDS = 60.0
#: Telemetry variables of whoever runs the benchmark must not reach the apps.
_FOREIGN = ("OTEL_", "ADA_", "DD_", "SENTRY_", "LOGFIRE_", "SPLUNK_", "ELASTIC_", "PYTHON", "VIRTUAL_ENV")


@dataclass(frozen=True)
class Surroundings:
    """What all apps of a run share.

    Attributes:
        redis_port: Of the Redis server.
        sinks: The sink's address for each variant, by name.
        folder: For the logs of the processes.
    """

    redis_port: int
    sinks: dict[str, str]
    folder: Path

    def counts(self, variant: str) -> dict[str, int]:
        """What has come to the sink from a variant so far: requests, bytes, spans, log_records and so on."""
        with urllib.request.urlopen(f"{self.sinks[variant]}/_counts", timeout=10) as answer:  # noqa: S310
            found: dict[str, int] = json.load(answer)
        return found


@contextmanager
def surroundings(variants: list[str], folder: Path) -> Iterator[Surroundings]:
    """Start Redis and the sink, and end them.

    Raises:
        ToolError: redis-server is not installed or did not start.
    """
    with ExitStack() as stack:
        sink = subprocess.Popen(
            [sys.executable, str(PROGRAMS / "sink.py"), str(len(variants))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        stack.callback(_end, sink)
        assert sink.stdout is not None
        ports = json.loads(sink.stdout.readline())
        redis_port = free_port()
        stack.callback(_end, _start_redis(redis_port, folder))
        sinks = {name: f"http://{LOOPBACK}:{port}" for name, port in zip(variants, ports, strict=True)}
        yield Surroundings(redis_port, sinks, folder)


class Worker:
    """An app in a process of its own, driven through its WSGI callable.

    Attributes:
        started: What its start used: ``cpu_s``, with that of its children, and ``rss_kib``.

    Raises:
        ToolError: It did not start, or ended; has the end of its log.
    """

    def __init__(self, variant: Variant, case: Case, around: Surroundings) -> None:
        self._log = around.folder / f"{variant.name}-{case.name}.log"
        self._case = case
        self._name = variant.title
        command = [*_launcher(variant), str(python(variant.pins)), str(PROGRAMS / "worker.py")]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=PROGRAMS,
                env=_environment(variant, case, around),
                text=True,
            )
        self.started: dict[str, float] = self._answer()

    def ask(self, do: str, **arguments: Any) -> Any:
        """Send a command of ``programs/worker.py``; returns its answer."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": do, "route": self._case.route, **arguments}) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def serve(self, requests: int, **arguments: Any) -> dict[str, float]:
        """Serve a block of requests at once and send their telemetry; returns what that took."""
        self.ask("begin")
        self.ask("serve", requests=requests, **arguments)
        found: dict[str, float] = self.ask("end")
        return found

    def close(self) -> None:
        """End it."""
        _end(self._process)

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._process.wait()
            raise _failed(f"{self._name} in the case {self._case.name!r} ended", self._log)
        return json.loads(line)


class Server:
    """An app behind gunicorn with one gthread worker.

    Raises:
        ToolError: It did not start; has the end of its log.
    """

    def __init__(self, variant: Variant, case: Case, around: Surroundings) -> None:
        self._port = free_port()
        self._case = case
        log = around.folder / f"{variant.name}-{case.name}-gunicorn.log"
        interpreter = python(variant.pins)
        command = [*_launcher(variant), str(interpreter.with_name("gunicorn")), "app:app"]
        command += ["--bind", f"{LOOPBACK}:{self._port}", "--workers", "1", "--worker-class", "gthread"]
        command += ["--threads", "4", "--keep-alive", "600", "--timeout", "120"]
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=PROGRAMS,
                env=_environment(variant, case, around),
            )
        if not _answers(self.usage, self._process):
            self.close()
            raise _failed(f"{variant.title} behind gunicorn did not start", log)

    def usage(self) -> dict[str, float]:
        """Make it send its telemetry, and give what its worker has used: ``cpu_s`` and ``rss_kib``."""
        with urllib.request.urlopen(f"http://{LOOPBACK}:{self._port}/usage", timeout=60) as answer:
            found: dict[str, float] = json.load(answer)
        return found

    def load(self, requests: int) -> list[float]:
        """Send requests, one after the other, from another process; gives the time of each in µs."""
        path = f"/{self._case.route}/1"
        client = [sys.executable, str(PROGRAMS / "client.py"), str(self._port), path, str(requests)]
        times: list[float] = json.loads(subprocess.run(client, check=True, capture_output=True).stdout)
        return times

    def close(self) -> None:
        """End it, at once: a stock SDK may take seconds to end by itself."""
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
        workers = children.read_text(encoding="ascii").split() if children.exists() else []
        _end(self._process)
        for pid in map(int, workers):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def free_port() -> int:
    """A port of the loopback address that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
    return port


def _launcher(variant: Variant) -> list[str]:
    if not variant.launcher:
        return []
    program, *arguments = variant.launcher
    return [str(python(variant.pins).with_name(program)), *arguments]


def _environment(variant: Variant, case: Case, around: Surroundings) -> dict[str, str]:
    kept = {key: text for key, text in os.environ.items() if not key.startswith(_FOREIGN)}
    kept["PATH"] = f"{python(variant.pins).parent}{os.pathsep}{kept.get('PATH', '')}"
    return kept | variant.environment(case, around.sinks[variant.name], around.redis_port)


def _start_redis(port: int, folder: Path) -> subprocess.Popen[bytes]:
    program = shutil.which("redis-server")
    if program is None:
        raise ToolError("redis-server is not installed; on Debian: apt-get install redis-server")
    command = [program, "--bind", LOOPBACK, "--port", str(port), "--save", "", "--appendonly", "no"]
    with (folder / "redis.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder)
    if _answers(lambda: socket.create_connection((LOOPBACK, port), timeout=1).close(), process):
        return process
    _end(process)
    raise _failed("redis-server did not start", folder / "redis.log")


def _answers(ask: Callable[[], object], process: subprocess.Popen[Any]) -> bool:
    """Wait until ``ask`` raises no OSError; false when the process ends before, or takes too long."""
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(OSError):
            ask()
            return True
        time.sleep(0.1)
    return False


def _end(process: subprocess.Popen[Any]) -> None:
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()


def _failed(what: str, log: Path) -> ToolError:
    tail = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-15:]
    return ToolError("\n    ".join([f"{what}; the end of its log:", *tail]))
