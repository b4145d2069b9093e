"""``collector/elasticsearch/install.sh``: what it sends to Elasticsearch, and what it says.

The server is a fake, which answers as Elasticsearch does: the node of the other tests knows no lifecycle of
data streams.
"""

from __future__ import annotations

import json
import os
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tools.paths import COLLECTOR


@dataclass
class Elasticsearch:
    """What came, and which data streams there are."""

    url: str = ""
    streams: list[str] = field(default_factory=list)
    refuses: str = "nothing"
    came: list[tuple[str, str, Any, str | None]] = field(default_factory=list)

    def templates(self) -> dict[str, Any]:
        return {
            path.rpartition("/")[2]: body
            for method, path, body, _ in self.came
            if method == "PUT" and path.startswith("/_index_template/")
        }

    def retentions(self) -> dict[str, str]:
        return {
            name: body["template"]["lifecycle"]["data_retention"] for name, body in self.templates().items()
        }


@pytest.fixture
def elasticsearch() -> Iterator[Elasticsearch]:
    found = Elasticsearch()

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            content = self.rfile.read(int(self.headers.get("content-length", 0)))
            body = json.loads(content) if content else None
            found.came.append((self.command, self.path, body, self.headers.get("authorization")))
            refused = found.refuses in self.path
            answer: Any = {"acknowledged": True}
            if self.command == "GET":
                answer = {"data_streams": [{"name": name} for name in found.streams]}
            content = json.dumps({"error": "no"} if refused else answer, separators=(",", ":")).encode()
            self.send_response(400 if refused else 200)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_PUT = do_GET = _answer  # noqa: N815  # the base class calls them so

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    found.url = f"http://127.0.0.1:{server.server_address[1]}"
    yield found
    server.shutdown()
    server.server_close()


def _install(server: Elasticsearch, **settings: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], "no_proxy": "127.0.0.1", "ELASTICSEARCH_URL": server.url}
    return subprocess.run(
        ["sh", str(COLLECTOR / "elasticsearch" / "install.sh")],
        env={**environment, **settings},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_without_settings_the_templates_are_sent_as_they_are(elasticsearch: Elasticsearch) -> None:
    done = _install(elasticsearch)
    assert (done.returncode, done.stderr) == (0, "")
    files = {path.stem: json.loads(path.read_text()) for path in (COLLECTOR / "elasticsearch").glob("*.json")}
    assert elasticsearch.templates() == files
    assert len(elasticsearch.came) == len(files) == 2
    assert elasticsearch.retentions() == {"ada-logs": "30d", "ada-traces": "30d"}


def test_the_retention_is_for_streams_to_come_and_for_those_that_are_there(
    elasticsearch: Elasticsearch,
) -> None:
    done = _install(elasticsearch, ADA_LOGS_RETENTION="36h")
    assert done.returncode == 0, done.stderr
    assert elasticsearch.retentions() == {"ada-logs": "36h", "ada-traces": "30d"}
    assert not any("_lifecycle" in path for _, path, _, _ in elasticsearch.came)
    assert "documents in ada-logs-* are kept for 36h\n" in done.stdout

    elasticsearch.streams = ["ada-traces-app"]
    done = _install(elasticsearch, ADA_TRACES_RETENTION="7d")
    assert done.returncode == 0, done.stderr
    assert elasticsearch.came[-1][:3] == (
        "PUT",
        "/_data_stream/ada-traces-*/_lifecycle",
        {"data_retention": "7d"},
    )


@pytest.mark.parametrize("wrong", ['1d"}', "a month", "0d", "7", "7d\n8d"])
def test_a_retention_that_cannot_be_used_is_named_and_changes_nothing(
    elasticsearch: Elasticsearch, wrong: str
) -> None:
    done = _install(elasticsearch, ADA_LOGS_RETENTION=wrong)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"ADA_LOGS_RETENTION is '{wrong}'; it must be a number of days, hours or")
    assert elasticsearch.came == []


@pytest.mark.parametrize("part", ["_index_template/ada-logs", "_data_stream", "_lifecycle"])
def test_a_refusal_is_said_and_ends_it(elasticsearch: Elasticsearch, part: str) -> None:
    elasticsearch.refuses, elasticsearch.streams = part, ["ada-logs-app"]
    done = _install(elasticsearch, ADA_LOGS_RETENTION="7d")
    assert done.returncode == 1
    assert f"refused by {elasticsearch.url}" in done.stderr
    assert elasticsearch.came[-1][1].count(part) == 1


def test_the_password_goes_by_the_header(elasticsearch: Elasticsearch, tmp_path: Path) -> None:
    (tmp_path / "password").write_text("p4ss\n")
    assert _install(elasticsearch, ELASTICSEARCH_PASSWORD_FILE=str(tmp_path / "password")).returncode == 0
    assert {header for *_, header in elasticsearch.came} == {"Basic ZWxhc3RpYzpwNHNz"}
