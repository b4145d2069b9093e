from __future__ import annotations

import gzip
import io
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from ada_otel.analysis import (
    ClientSettings,
    ConnectionFailedError,
    FileAnalyzer,
    LogAnalyzer,
    LogEntry,
    NothingThereError,
    Selection,
)
from ada_otel.analysis._documents import from_hit
from ada_otel.analysis._grouping import LONG, key_of, pattern_of
from ada_otel.analysis._plain import JsonOutput, PlainOutput, clean
from ada_otel.analysis._rich import RichOutput

NOW = datetime.now(timezone.utc)


def line(message: str, at: datetime = NOW, **fields: Any) -> str:
    found = {"timestamp": at.isoformat(), "level": "INFO", "logger": "a", "message": message, **fields}
    return json.dumps(found) + "\n"


def test_rotated_compressed_and_damaged_files(tmp_path: Path) -> None:
    with gzip.open(tmp_path / "app.log.2.gz", "wt") as file:
        file.write(line("one", NOW - timedelta(hours=2)))
    (tmp_path / "app.log.1").write_text(line("two", NOW - timedelta(hours=1)) + "half a li")
    (tmp_path / "app.log").write_bytes(
        b"\xff\xfe\n\n[1]\n" + b'{"message": "no time"}\n' + b"[" * 100_000 + b"\n" + line("three").encode()
    )
    analyzer = FileAnalyzer([str(tmp_path / "app.log*")])
    assert [entry.message for entry in analyzer.search(Selection())] == ["three", "two", "one"]
    assert analyzer.skipped == 5


def test_an_event_is_found_by_its_name(tmp_path: Path) -> None:
    file = tmp_path / "app.log"
    file.write_text(line("Stock is low", event_name="ada.alert") + line("Stock is low"))
    analyzer = FileAnalyzer([str(file)])
    for query in ("event.name:ada.alert", "event:ada.*", "event_name:ada.alert"):
        (entry,) = analyzer.search(Selection(query))
        assert entry.attributes["event_name"] == "ada.alert"


def test_an_event_of_a_span_is_shown_by_its_name() -> None:
    source = {
        "@timestamp": "1763971200000.5",
        "event_name": "ada.security.rate_limited",
        "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
        "attributes": {"ada.security.limit": "sign_in", "event.name": "ada.security.rate_limited"},
    }
    entry = from_hit({"_index": "ada-traces-app", "_id": "1", "_source": source})
    assert (entry.message, entry.level, entry.logger) == ("ada.security.rate_limited", "", None)
    assert entry.attributes["ada.security.limit"] == "sign_in"
    # An empty line of a log stays one.
    logged = from_hit({"_index": "ada-logs-app", "_id": "1", "_source": {**source, "body": {"text": ""}}})
    assert logged.message == ""


def test_structlog_and_stdlib_names_are_understood(tmp_path: Path) -> None:
    file = tmp_path / "app.log"
    file.write_text(
        json.dumps(
            {"event": "hi", "level": "warning", "timestamp": "2026-11-23T10:00:00Z", "user": {"id": 5}}
        )
        + "\n"
        + json.dumps({"msg": "ho", "levelname": "ERROR", "time": 1_800_000_000.5, "exception": "Traceback …"})
        + "\n"
    )
    new, old = FileAnalyzer([str(file)]).search(Selection())
    assert (old.message, old.level, old.user_id) == ("hi", "WARNING", 5)
    assert (new.message, new.level) == ("ho", "ERROR")
    assert new.exception is not None
    assert new.exception.traceback == "Traceback …"


def test_a_pattern_without_files_says_so() -> None:
    with pytest.raises(NothingThereError, match="there is no file /nowhere/app"):
        FileAnalyzer(["/nowhere/app.log*"])


def test_follow_through_rotation_and_truncation(tmp_path: Path) -> None:
    log = tmp_path / "app.log"
    log.write_text("".join(line(f"old {number}") for number in range(5)))
    coming = FileAnalyzer([str(tmp_path / "app.log*")]).follow(Selection("NOT noise"), size=2, poll=0.01)
    assert [next(coming).message for _ in range(2)] == ["old 3", "old 4"]
    with log.open("a") as file:
        file.write(line("noise") + line("appended") + '{"timestamp": "half')
    assert next(coming).message == "appended"
    with log.open("a") as file:
        file.write(" a line\n" + line("before rotation"))
    log.rename(tmp_path / "app.log.1")
    log.write_text(line("after rotation"))
    assert [next(coming).message for _ in range(2)] == ["before rotation", "after rotation"]
    log.write_text(line("new"))
    assert next(coming).message == "new"


def test_messages_that_differ_in_what_varies_are_one_group() -> None:
    assert pattern_of("order 15 of user 'ann' at 10.0.0.1:80 took 1.5 s") == (
        "order <n> of user <value> at <address> took <n> s"
    )
    assert pattern_of("6f1c2a34-0000-4000-8000-0123456789ab at 2026-11-23T10:00:00Z") == "<uuid> at <time>"
    assert pattern_of("mail to ann@example.org, key deadbeef01234567, see https://a.example/x?y=1") == (
        "mail to <email>, key <hex>, see <url>"
    )
    assert pattern_of("it's the user's http2 utf8 fault") == "it's the user's http2 utf8 fault"
    assert key_of("E", "l", "x" * 1025) == key_of("E", "l", None)
    assert key_of("E", "l", None).pattern == LONG


def test_patterns_take_linear_time() -> None:
    for hostile in (
        "a@" * 500,
        "1" * 1000,
        "'" * 1000,
        "f" * 1000,
        "1.1." * 250,
        "a." * 500,
        "https://" * 120,
    ):
        started = datetime.now()  # noqa: DTZ005
        for _ in range(20):
            pattern_of.__wrapped__(hostile)
        assert (datetime.now() - started).total_seconds() < 2  # noqa: DTZ005


HOSTILE = "\x1b]0;owned\x07\x1b[2J \x9b31m \u202egnp.exe [bold]x[/bold] \ud800 a\rb\nc"


@pytest.mark.parametrize("kind", [PlainOutput, RichOutput, JsonOutput])
def test_no_line_can_command_the_terminal(kind: type[Any]) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True)
    attributes = {"exception.type": HOSTILE, "exception.stacktrace": HOSTILE}
    entry = LogEntry(NOW, HOSTILE, HOSTILE, logger=HOSTILE, trace_id=HOSTILE, attributes=attributes)
    kind(stream).entries([entry], traceback=True)
    kind(stream).stream([entry], traceback=True)
    printed = stream.buffer.getvalue().decode()
    assert not set(printed) & set("\x1b\x07\x9b\u202e\r")
    assert "owned" in printed
    assert "[bold]x" in printed


def test_clean_keeps_text() -> None:
    assert clean("Überweisung 支払\t😀\n") == "Überweisung 支払\t😀\n"


class _Refusing(BaseHTTPRequestHandler):
    """Answers as Elasticsearch with security does; the test node has none. The bodies are from its manual."""

    status = 401

    def do_POST(self) -> None:
        body = json.dumps(
            {
                "error": {"type": "security_exception", "reason": "no\nway", "root_cause": []},
                "status": self.status,
            }
        ).encode()
        self.send_response(self.status)
        self.send_header("X-Elastic-Product", "Elasticsearch")
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_args: object) -> None:
        """Say nothing."""


@pytest.fixture
def refusing() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Refusing)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (401, "refuses the key (HTTP 401): set ADA_ELASTICSEARCH_API_KEY"),
        (403, "(HTTP 403): give it"),
        (503, "HTTP 503: no way"),
    ],
)
def test_refusals_say_what_to_do(
    status: int, words: str, refusing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_Refusing, "status", status)
    analyzer = LogAnalyzer(ClientSettings(url=refusing, api_key="id:key"))
    with analyzer, pytest.raises(ConnectionFailedError) as raised:
        analyzer.search(Selection())
    assert words in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_server_that_does_not_answer_is_waited_for_as_long_as_is_said() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        analyzer = LogAnalyzer(ClientSettings(url=url, timeout=0.2))
        with analyzer, pytest.raises(ConnectionFailedError) as raised:
            analyzer.search(Selection())
    assert str(raised.value) == (
        f"{url} gave no answer within 0.2 s: narrow --since, or give a longer --timeout"
    )


def test_settings_come_from_the_environment_and_the_command_line_wins() -> None:
    environ = {
        "ADA_ELASTICSEARCH_ENDPOINT": "http://e:1",
        "ADA_ELASTICSEARCH_API_KEY": "k",
        "ELASTIC_CLOUD_ID": "c:x",
        "ADA_PROMETHEUS_URL": "",
    }
    found = ClientSettings.from_environment(environ)
    assert (found.url, found.api_key, found.cloud_id, found.prometheus) == ("http://e:1", "k", "c:x", None)
    found = ClientSettings.from_environment(environ, url="http://u:p@e:2", timeout=None)
    assert (found.url, found.cloud_id, found.timeout) == ("http://u:p@e:2", None, 30.0)
    assert found.place == "http://e:2"


def run(*arguments: str, code: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
    blocked = "import sys; sys.modules.update(dict.fromkeys({})); "
    program = code or "from ada_otel.analysis.__main__ import main; sys.exit(main())"
    return subprocess.run(
        [
            sys.executable,
            "-c",
            blocked.format(["elasticsearch", "rich", "plotext"]) + program,
            "logs",
            *arguments,
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, **variables},
    )


def test_without_the_extra(tmp_path: Path) -> None:
    """Files are read; Elasticsearch needs the extra, and one line says how to get it."""
    done = run("search", "x")
    assert done.returncode == 2
    assert done.stderr == "ada-otel logs: elasticsearch is not installed: pip install 'ada-otel[analysis]'\n"
    log = tmp_path / "app.log"
    log.write_text(line("hello there") + line("bye"))
    for arguments in (
        ("search", "hello", "--file", str(log)),
        ("search", "--level", "info", "hello", "--file", str(log)),
    ):
        done = run(*arguments)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.endswith("\tINFO\ta\thello there\n")
    done = run("search", "--file", str(tmp_path / "none"))
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)


def test_a_reader_that_has_enough_is_no_error(tmp_path: Path) -> None:
    log = tmp_path / "app.log"
    log.write_text("".join(line(f"line {number}" * 20) for number in range(5000)))
    command = f"{sys.executable} -m ada_otel.analysis logs search --size 5000 --file {log} | head -n 1"
    shell = ["bash", "-c", f"set -o pipefail; {command}"]
    done = subprocess.run(shell, capture_output=True, text=True, timeout=60, check=False)
    assert len(done.stdout.splitlines()) == 1
    assert done.stderr == ""
    assert done.returncode == 0
