"""Runs the example app as a user would: gunicorn under ``opentelemetry-instrument``, no line in the app."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import sysconfig
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools.errors import ToolError

REPOSITORY = Path(__file__).resolve().parents[2]
_READY_SECONDS = 60.0
_STOP_SECONDS = 20.0
#: Telemetry variables of the caller's shell must not change what is shown.
_FOREIGN = ("OTEL_", "ADA_OTEL_", "APP_VERSION", "PYTHONPATH")


@dataclass
class AdaApp:
    """A running app.

    Attributes:
        url: Where it answers.
        process: gunicorn's master.
        log: What it and its workers print.
    """

    url: str
    process: subprocess.Popen[bytes]
    log: Path

    def drive(self, *arguments: str) -> dict[str, Any]:
        """Run the load driver against it; see :func:`drive`."""
        return drive(self.url, self.log.parent, *arguments)

    def stop(self) -> int:
        """End the app as a deployment does, with SIGTERM, and give its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            return self.process.wait()


def drive(url: str, folder: Path, *arguments: str, timeout: float = 300) -> dict[str, Any]:
    """Run the load driver against the app at ``url``, and return its report.

    Args:
        url: Where the app answers; loopback.
        folder: Where the report file goes.
        *arguments: Of ``python -m examples.ada.drive``.
        timeout: Seconds until it is given up.

    Raises:
        ToolError: The driver could not reach the app.
    """
    report = folder / "drive.json"
    done = subprocess.run(
        [sys.executable, "-m", "examples.ada.drive", "--url", url, "--report", str(report), *arguments],
        cwd=REPOSITORY,
        env=_own_environment({}),
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    if done.returncode:
        raise ToolError(f"the load driver failed: {done.stderr.strip()}\n    its folder: {folder}")
    found: dict[str, Any] = json.loads(report.read_text())
    return found


@contextmanager
def running_app(
    folder: Path,
    environment: Mapping[str, str],
    *,
    gunicorn: Sequence[str] = ("--workers", "1", "--threads", "8"),
    service: str = "ada",
    application: str = "examples.ada.wsgi:app",
) -> Iterator[AdaApp]:
    """Start the AI stand-in and the app, wait until it answers, and stop both at the end.

    Args:
        folder: Where its log, its database file and its uploads go.
        environment: Variables of the app: endpoints of the servers, and ``OTEL_*``.
        gunicorn: Arguments that shape the workers.
        service: ``OTEL_SERVICE_NAME``.
        application: What gunicorn serves; a module of the tests may add routes.

    Raises:
        ToolError: It did not start; names its log and shows the end of it.
    """
    from examples.ada.ai_stub import AiStub

    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "app.log"
    port = _free_port()
    scripts = Path(sysconfig.get_path("scripts"))
    command = [
        str(scripts / "opentelemetry-instrument"),
        str(scripts / "gunicorn"),
        "--bind",
        f"127.0.0.1:{port}",
        "--worker-class",
        "gthread",
        *gunicorn,
        application,
    ]
    with AiStub(port=0) as stub, log.open("ab") as output:
        variables = {
            "AI_URL": stub.url,
            "ADA_SLOW_SECONDS": "0.3",
            "OTEL_SERVICE_NAME": service,
            **environment,
        }
        process = subprocess.Popen(
            command,
            cwd=_folder_with_examples(folder),
            env=_own_environment({"DATABASE_URL": f"sqlite:///{folder}/ada.db", **variables}),
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        app = AdaApp(f"http://127.0.0.1:{port}", process, log)
        try:
            _wait_until_ready(app)
            yield app
        finally:
            app.stop()


def _folder_with_examples(folder: Path) -> Path:
    """A place from which the example app can be imported, but not ada-otel's work tree: the wheel is run."""
    place = folder / "run"
    place.mkdir(exist_ok=True)
    link = place / "examples"
    if not link.is_symlink():
        link.symlink_to(REPOSITORY / "examples")
    return place


def _wait_until_ready(app: AdaApp) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    host, port = app.url.removeprefix("http://").split(":")
    while time.monotonic() < deadline and app.process.poll() is None:
        try:
            # A connection, not a request: requests are counted.
            socket.create_connection((host, int(port)), timeout=1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    tail = "\n    ".join(app.log.read_text(errors="replace").splitlines()[-15:])
    raise ToolError(f"the example app did not start; the end of {app.log}:\n    {tail}")


def _own_environment(extra: Mapping[str, str]) -> dict[str, str]:
    kept = {key: text for key, text in os.environ.items() if not key.startswith(_FOREIGN)}
    return {**kept, **extra}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def get_json(url: str, body: Any = None, timeout: float = 10, authorization: str = "") -> Any:
    """GET a loopback URL, or POST ``body`` to it as JSON, and parse the answer.

    Raises:
        OSError: It could not be had, or answered with an error status.
    """
    data = None if body is None else json.dumps(body).encode()
    headers = {"content-type": "application/json"}
    if authorization:
        headers["authorization"] = authorization
    request = urllib.request.Request(url, data, headers)
    with urllib.request.urlopen(request, timeout=timeout) as answer:
        return json.load(answer)
