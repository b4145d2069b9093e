"""Real gunicorn, with Flask's loggers and gunicorn's own: what each process says arrives once."""

from __future__ import annotations

import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from pathlib import Path

import pytest

from tests.support.otlp_receiver import otlp_receiver
from tests.support.ports import free_port
from tests.support.process import LAUNCHER, OWN_LAUNCHER, clean_environment

APP = """
import logging
import flask

app = flask.Flask("shop")

@app.get("/<word>")
def view(word):
    app.logger.warning("flask says %s", word)
    logging.getLogger("stdlib").warning("stdlib says %s", word)
    if word == "boom":
        raise RuntimeError(word)
    return word
"""


def _ask(port: int, path: str) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10).close()
        except urllib.error.HTTPError as error:
            assert error.code == 500
        except OSError:
            assert time.monotonic() < deadline, "gunicorn does not answer"
            time.sleep(0.1)
            continue
        return


@pytest.mark.parametrize(
    ("launcher", "options"),
    [((LAUNCHER,), ()), (OWN_LAUNCHER, ("--preload",)), (OWN_LAUNCHER, ("-k", "gthread"))],
    ids=["launcher", "preload", "gthread"],
)
def test_each_line_arrives_once(launcher: tuple[str, ...], options: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(APP)
    port = free_port()
    gunicorn = str(Path(sys.executable).with_name("gunicorn"))
    command = [*launcher, gunicorn, "shop:app", "-b", f"127.0.0.1:{port}", "-w", "2"]
    command += ["--access-logfile", "-", *options]
    with otlp_receiver() as received:
        environment = clean_environment(
            {
                "OTEL_SERVICE_NAME": "shop",
                "OTEL_EXPORTER_OTLP_ENDPOINT": received.endpoint,
                "ADA_OTEL_RAISE": "true",
                "HOME": str(tmp_path),  # where gunicorn puts its control socket
            }
        )
        process = subprocess.Popen(
            command,
            cwd=tmp_path,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            words = [f"n{number}" for number in range(6)]
            for word in (*words, "boom"):
                _ask(port, f"/{word}?password=S3CRET")
        finally:
            process.terminate()
            printed = process.communicate(timeout=60)[0]
    assert process.returncode == 0, printed
    records = received.records()
    found = Counter((line["logger"], line["body"]) for line in records)
    assert {count for (logger, _), count in found.items() if logger != "ada.requests"} == {1}, found
    for word in (*words, "boom"):
        assert found["stdlib", f"stdlib says {word}"] == found["shop", f"flask says {word}"] == 1
        assert sum(f"GET /{word}?" in body for logger, body in found if logger == "gunicorn.access") == 1
    assert found["gunicorn.error", f"Listening at: http://127.0.0.1:{port} ({process.pid})"] == 1
    assert sum(body.startswith("Booting worker") for logger, body in found if logger == "gunicorn.error") == 2
    assert found["ada.requests", "Request completed"] == 7
    assert "S3CRET" not in str(records)
