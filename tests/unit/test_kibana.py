"""What compose's profile kibana imports, and its two scripts, against a stand-in that answers as told.

No Kibana runs where these tests run: its own reading of the file has not been seen.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tools.drift import documents
from tools.paths import REPOSITORY

FOLDER = REPOSITORY / "collector" / "kibana"
LINES = (FOLDER / "ada.ndjson").read_text(encoding="utf-8").splitlines()
OBJECTS: list[dict[str, Any]] = [json.loads(line) for line in LINES]
REFERENCE = "kibanaSavedObjectMeta.searchSourceJSON.index"


def _of(kind: str) -> dict[str, dict[str, Any]]:
    return {each["id"]: each for each in OBJECTS if each["type"] == kind}


def test_each_object_has_an_id_of_its_own_and_says_its_format() -> None:
    assert {each["type"] for each in OBJECTS} == {"index-pattern", "search"}
    assert len({(each["type"], each["id"]) for each in OBJECTS}) == len(OBJECTS)
    for each in OBJECTS:
        assert each["id"].startswith("ada-")
        assert each["coreMigrationVersion"]
        assert each["typeMigrationVersion"]


def test_the_data_views_are_of_the_index_templates() -> None:
    templates = (REPOSITORY / "collector" / "elasticsearch").glob("*.json")
    patterns = {p for path in templates for p in json.loads(path.read_text("utf-8"))["index_patterns"]}
    views = _of("index-pattern")
    assert {view["attributes"]["title"] for view in views.values()} == patterns
    assert {view["attributes"]["timeFieldName"] for view in views.values()} == {"@timestamp"}


def test_every_saved_search_leans_on_a_data_view_that_is_there() -> None:
    searches = _of("search")
    assert set(searches) >= {"ada-errors", "ada-exceptions", "ada-requests", "ada-slow-requests"}
    for search in searches.values():
        source = json.loads(search["attributes"]["kibanaSavedObjectMeta"]["searchSourceJSON"])
        assert source["query"]["language"] == "lucene"
        assert source["indexRefName"] == REFERENCE
        (reference,) = search["references"]
        assert reference["name"] == REFERENCE
        assert reference["id"] in _of("index-pattern")
        assert search["attributes"]["title"].startswith("ADA: ")
        assert search["attributes"]["description"].endswith(".")
        assert search["attributes"]["columns"]


def test_the_drift_gate_reads_queries_and_columns(tmp_path: Path) -> None:
    asked = [each for each in documents.lookups(REPOSITORY) if each.path == "collector/kibana/ada.ndjson"]
    fields = {each.field for each in asked}
    assert {"severity_number", "attributes.duration_seconds", "status.code", "scope.name"} <= fields
    assert documents.wrong(REPOSITORY, asked) == []
    renamed = documents.sent_attributes() - {"duration_seconds"}
    places = {at.line for at, _ in documents.wrong(REPOSITORY, asked, renamed)}
    assert places == {n for n, line in enumerate(LINES, 1) if "attributes.duration_seconds" in line}


class _Server(ThreadingHTTPServer):
    status = 200
    answer = b"{}"

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.requests: list[tuple[str, str, dict[str, str], bytes]] = []


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.requests.append((self.command, self.path, headers, body))
        self.send_response(self.server.status)
        self.end_headers()
        self.wfile.write(self.server.answer)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[_Server]:
    running = _Server()
    thread = threading.Thread(target=running.serve_forever)
    thread.start()
    yield running
    running.shutdown()
    running.server_close()
    thread.join()


def _run(script: str, folder: Path, server: _Server) -> subprocess.CompletedProcess[str]:
    url = f"http://127.0.0.1:{server.server_address[1]}"
    for name in ("elastic", "kibana"):
        (folder / name).write_text(f"p{name}0\n")
    variables = {
        "PATH": os.environ["PATH"],
        "ELASTICSEARCH_URL": url,
        "KIBANA_URL": url,
        "ELASTICSEARCH_PASSWORD_FILE": str(folder / "elastic"),
        "KIBANA_PASSWORD_FILE": str(folder / "kibana"),
    }
    command = ["sh", str(FOLDER / script)]
    return subprocess.run(command, env=variables, capture_output=True, text=True, timeout=60, check=False)


BASIC = f"Basic {base64.b64encode(b'elastic:pelastic0').decode()}"


def test_kibanas_user_gets_its_password(server: _Server, tmp_path: Path) -> None:
    done = _run("password.sh", tmp_path, server)
    assert (done.returncode, done.stdout) == (0, "Kibana's user: ready\n"), done.stderr
    ((method, path, headers, body),) = server.requests
    assert (method, path) == ("POST", "/_security/user/kibana_system/_password")
    assert headers["authorization"] == BASIC
    assert headers["content-type"] == "application/json"
    assert json.loads(body) == {"password": "pkibana0"}


def test_a_refused_password_is_a_failure_that_shows_none(server: _Server, tmp_path: Path) -> None:
    server.status = 401
    done = _run("password.sh", tmp_path, server)
    assert done.returncode == 1
    assert "did not take the password" in done.stderr
    assert "pkibana0" not in done.stdout + done.stderr


def test_the_saved_searches_are_sent_as_kibana_wants_them(server: _Server, tmp_path: Path) -> None:
    server.answer = b'{"successCount":7,"success":true,"warnings":[]}'
    done = _run("import.sh", tmp_path, server)
    assert (done.returncode, done.stdout) == (0, "saved searches: imported\n"), done.stderr
    ((_, path, headers, body),) = server.requests
    assert path == "/api/saved_objects/_import?overwrite=true"
    assert headers["authorization"] == BASIC
    assert headers["kbn-xsrf"] == "true"
    assert headers["content-type"].startswith("multipart/form-data")
    assert b'name="file"; filename="ada.ndjson"' in body
    assert (FOLDER / "ada.ndjson").read_bytes() in body


def test_an_import_that_kibana_refuses_is_a_failure(server: _Server, tmp_path: Path) -> None:
    server.answer = b'{"success":false,"errors":[{"id":"ada-errors"}]}'
    done = _run("import.sh", tmp_path, server)
    assert done.returncode == 1
    assert "ada-errors" in done.stderr
