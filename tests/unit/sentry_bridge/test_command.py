"""The command line: settings, errors, and an orderly end."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys

import pytest

from ada_otel import __version__, cli
from tests.unit.sentry_bridge.fake_sentry import KEY

DSN = f"https://{KEY}@sentry.test/42"


def run(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert cli.main(["sentry-bridge", *words]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert KEY not in captured.err
    assert captured.err.startswith("ada-otel sentry-bridge: ")
    assert captured.err.count("\n") == 1
    return captured.err


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"ada-otel {__version__}\n"


def test_no_dsn_and_a_wrong_one(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SENTRY_DSN", raising=False)
    assert "SENTRY_DSN is not set" in run(capsys)
    monkeypatch.setenv("SENTRY_DSN", f"https://{KEY}@sentry.test/shop")
    assert "the project id" in run(capsys)


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (
            ["--port", "many"],
            "--port (ADA_SENTRY_BRIDGE_PORT) is 'many'; it must be a whole number from 0 to 65535",
        ),
        (["--timeout", "0"], "--timeout (ADA_SENTRY_BRIDGE_TIMEOUT) is '0'; it must be a number of seconds"),
        (["--level", "loud"], "it must be one of trace, debug, info, warn, error, fatal"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, words: list[str], what: str
) -> None:
    monkeypatch.setenv("SENTRY_DSN", DSN)
    assert what in run(capsys, *words)


def test_the_environment_sets_the_port_and_a_taken_one_is_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SENTRY_DSN", DSN)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        monkeypatch.setenv("ADA_SENTRY_BRIDGE_PORT", str(port))
        assert f"cannot listen on 127.0.0.1:{port}" in run(capsys)


def test_a_command_whose_package_is_missing_says_so(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(cli.COMMANDS, "absent", "ada_no_such_package.command")
    assert cli.main(["absent"]) == 2
    assert capsys.readouterr().err == (
        "ada-otel absent: the package ada_no_such_package is needed and not installed\n"
    )


def test_it_says_where_it_listens_and_ends_with_0_on_sigterm() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "ada_otel.cli", "sentry-bridge", "--port=0"],
        env={**os.environ, "SENTRY_DSN": DSN},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        line = process.stderr.readline()
        port = re.search(r"listening on http://127\.0\.0\.1:(\d+), for sentry\.test, project 42$", line)
        assert port is not None, line
        assert KEY not in line
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.communicate()
