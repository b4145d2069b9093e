"""A bulk request of which Elasticsearch refuses a part for now: that part is sent again, and nothing is lost.

The collector is real. Elasticsearch is a stand-in, because a real one cannot be told which documents to
refuse: it answers a bulk request as Elasticsearch does, with 201, with 429 for a third of the documents, and
with 409 for one that it has already.
"""

from __future__ import annotations

import gzip
import json
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.drills.report import ENDINGS, figures
from tests.support.collector import Collector, eventually
from tests.support.otlp_sender import post, record

pytestmark = pytest.mark.integration

COUNT = 300
#: How often a document is refused before it is taken, where the stand-in is busy for a while.
TIMES = 2


class _Busy(ThreadingHTTPServer):
    """Takes documents, and refuses each third one for as long as it is busy.

    Attributes:
        times: How often each of them is refused.
        stored: The lines that it has, by the document's id.
        asked: How often it was asked to take each line.
    """

    daemon_threads = True

    def __init__(self, times: float) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.lock = threading.Lock()
        self.times = times
        self.stored: dict[str, str] = {}
        self.asked: Counter[str] = Counter()

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def take(self, action: dict[str, Any], document: dict[str, Any]) -> dict[str, Any]:
        """What a bulk request's answer says of one document."""
        ((kind, where),) = action.items()
        assert kind == "create", "a data stream takes nothing else"
        line = document["body"]["text"]
        with self.lock:
            self.asked[line] += 1
            if where["_id"] in self.stored:
                return _refused(where, 409, "version_conflict_engine_exception")
            if int(line.split()[1]) % 3 == 0 and self.asked[line] <= self.times:
                return _refused(where, 429, "es_rejected_execution_exception")
            self.stored[where["_id"]] = line
        return {"create": {**where, "status": 201, "result": "created"}}


def _refused(where: dict[str, Any], status: int, kind: str) -> dict[str, Any]:
    return {"create": {**where, "status": status, "error": {"type": kind, "reason": "said by the stand-in"}}}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Busy

    def do_POST(self) -> None:
        """Answer a bulk request."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        lines = [json.loads(line) for line in body.splitlines() if line]
        items = [
            self.server.take(action, document)
            for action, document in zip(lines[::2], lines[1::2], strict=True)
        ]
        errors = any(item["create"]["status"] >= 300 for item in items)
        answer = json.dumps({"took": 1, "errors": errors, "items": items}).encode()
        self.send_response(200)
        self.send_header("X-Elastic-Product", "Elasticsearch")
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def elasticsearch(request: pytest.FixtureRequest) -> Iterator[_Busy]:
    server = _Busy(request.param)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join(10)


def _environment(elasticsearch: _Busy, seconds: int) -> dict[str, str]:
    return {"ADA_ELASTICSEARCH_ENDPOINT": elasticsearch.url, "ADA_ES_HOP_TIMEOUT": f"{seconds}s"}


def _send(collector: Collector) -> set[str]:
    lines = [f"line {number}" for number in range(COUNT)]
    post(collector.http, "logs", [record(line) for line in lines], {"service.name": "busy"})
    return set(lines)


@pytest.mark.parametrize("elasticsearch", [TIMES], indirect=True)
def test_only_what_was_refused_is_sent_again(program: Path, tmp_path: Path, elasticsearch: _Busy) -> None:
    with Collector(program, tmp_path, _environment(elasticsearch, 20)) as collector:
        sent = _send(collector)
        eventually("all documents", lambda: len(elasticsearch.stored) >= COUNT)
        assert "Dropping data" not in collector.log.read_text("utf-8")
    assert sorted(elasticsearch.stored.values()) == sorted(sent)
    # A third was asked for three times, the others once: one try of the hop was enough for all of it.
    assert Counter(elasticsearch.asked.values()) == {1: COUNT * 2 // 3, TIMES + 1: COUNT // 3}
    figures("Elasticsearch refuses a third for now (stand-in)", collector=ENDINGS["none"], items="log lines",
            sent=COUNT, found=COUNT, lost=0, twice=0)  # fmt: skip


@pytest.mark.parametrize("ending", ["SIGTERM", "SIGKILL"])
@pytest.mark.parametrize("elasticsearch", [float("inf")], indirect=True, ids=["always"])
def test_what_is_refused_at_an_end_is_sent_after_the_start(
    program: Path, tmp_path: Path, elasticsearch: _Busy, ending: str
) -> None:
    environment = _environment(elasticsearch, 2)
    with Collector(program, tmp_path, environment) as collector:
        sent = _send(collector)
        # More than one try of the hop has ended with a part refused.
        eventually("the rest", lambda: len(elasticsearch.stored) == COUNT * 2 // 3)
        eventually("a second try", lambda: elasticsearch.asked["line 1"] >= 2)
        if ending == "SIGTERM":
            collector.stop()
        else:
            collector._process.send_signal(signal.SIGKILL)
            collector._process.wait(timeout=20)
    assert len(elasticsearch.stored) == COUNT * 2 // 3
    elasticsearch.times = 0
    with Collector(program, tmp_path, environment):
        eventually("all documents", lambda: len(elasticsearch.stored) >= COUNT)
    lines = sorted(elasticsearch.stored.values())
    figures("Elasticsearch refuses a third for now (stand-in)", collector=ENDINGS[ending], items="log lines",
            sent=COUNT, found=len(lines), lost=len(sent - set(lines)),
            twice=len(lines) - len(set(lines)))  # fmt: skip
    assert lines == sorted(sent)
