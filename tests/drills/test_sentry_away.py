"""Sentry away and back: its OTLP leg, with counts of sent and found.

The collector and Elasticsearch are real. Sentry is the sink of the native stack, which checks what it takes
by what Sentry documents. ADA_DRILL_LONG=1 makes an outage last two minutes and sends more. The same for the
Issues leg, with a real Bugsink, is in tests/integration/test_sentry_issues.py.
"""

from __future__ import annotations

import signal
import threading
import time
import urllib.error
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.drills.proxy import Proxy, proxy
from tests.drills.report import ENDINGS, LONG, figures
from tests.support.collector import BASE, SENTRY, Collector, eventually, get_json
from tests.support.otlp_sender import post, record, span, trace_id
from tools.stack import Stack
from tools.stack.servers.sentry_sink import SENTRY_AUTH, SENTRY_KEY, SENTRY_PROJECT
from tools.stack.sink import Store, serve

pytestmark = pytest.mark.integration

OUTAGE = 120.0 if LONG else 3.0
COUNT = 20_000 if LONG else 4_000
REQUEST = 200
#: The most that otelcol.sentry.yaml puts into one batch.
BATCH = 1000


class _Sentry(Store):
    """The sink. While ``answers`` is not set, it takes what comes, and its answer does not arrive."""

    def __init__(self, file: Path) -> None:
        super().__init__(SENTRY_PROJECT, SENTRY_KEY, file)
        self.answers = threading.Event()
        self.answers.set()

    def take(self, path: str, headers: dict[str, str], body: bytes) -> None:
        super().take(path, headers, body)
        self.answers.wait(60)

    def lines(self, service: str) -> Counter[str]:
        """How often each log line of a service came."""
        with self.lock:
            requests = list(self.requests)
        return Counter(
            log["body"]
            for request in requests
            for log in request["logs"]
            if log["resource"]["service.name"] == service
        )

    def spans(self, service: str) -> Counter[str]:
        """How often each span of a service came."""
        with self.lock:
            requests = list(self.requests)
        return Counter(
            each["name"]
            for request in requests
            for each in request["spans"]
            if each["resource"]["service.name"] == service
        )


@contextmanager
def _sentry(folder: Path) -> Iterator[tuple[_Sentry, Proxy]]:
    store = _Sentry(folder / "received.jsonl")
    server = serve(store, 0)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        with proxy(f"http://127.0.0.1:{server.server_address[1]}") as way:
            yield store, way
    finally:
        store.answers.set()
        server.shutdown()
        server.server_close()
        thread.join()


class _Legs:
    """A collector with the legs to Elasticsearch and to Sentry, and what is found behind the first."""

    def __init__(self, program: Path, folder: Path, stack: Stack, sentry: Proxy) -> None:
        self._elasticsearch = stack.url("elasticsearch")
        self._program, self._folder = program, folder
        self._environment = {
            "ADA_ELASTICSEARCH_ENDPOINT": self._elasticsearch,
            "ADA_PROMETHEUS_OTLP_ENDPOINT": stack.url("prometheus") + "/api/v1/otlp",
            "ADA_SENTRY_OTLP_ENDPOINT": f"http://{sentry.address}/api/{SENTRY_PROJECT}/integration/otlp",
            "ADA_SENTRY_AUTH": SENTRY_AUTH,
        }

    def collector(self) -> Collector:
        """A further run on the same queues."""
        return Collector(self._program, self._folder, self._environment, (BASE, SENTRY))

    def stored(self, service: str) -> int:
        """Log documents of a service in Elasticsearch."""
        words = f'resource.attributes.service.name:"{service}"'
        try:
            return int(get_json(f"{self._elasticsearch}/ada-logs-app/_count", q=words)["count"])
        except urllib.error.HTTPError as error:
            assert error.code in {404, 503}, error.read()
            return 0


def _send(collector: Collector, service: str, count: int) -> None:
    """``count`` different log lines and a tenth as many spans; each request is acknowledged."""
    resource = {"service.name": service}
    for first in range(0, count, REQUEST):
        numbers = range(first, first + REQUEST)
        post(collector.http, "logs", [record(f"line {number}") for number in numbers], resource)
        trace = trace_id()
        spans = [span(trace, f"span {number}") for number in numbers[:: REQUEST // 20]]
        post(collector.http, "traces", spans, resource)


def _kill(collector: Collector) -> None:
    collector._process.send_signal(signal.SIGKILL)
    collector._process.wait(timeout=20)


def _settled(sentry: _Sentry, service: str, lines: int, spans: int) -> None:
    """Until so many different ones are there, and then nothing more comes for a while."""
    # After a long outage the next try may be a minute away.
    eventually("all lines", lambda: len(sentry.lines(service)) >= lines, 150)
    eventually("all spans", lambda: len(sentry.spans(service)) >= spans, 150)
    time.sleep(2)


@pytest.mark.parametrize("ending", ["none", "SIGTERM", "SIGKILL"])
def test_sentry_away(program: Path, tmp_path: Path, stack: Stack, ending: str) -> None:
    service = f"sentry-{trace_id()[:8]}"
    with _sentry(tmp_path) as (sentry, way):
        legs = _Legs(program, tmp_path, stack, way)
        collector = legs.collector()
        with collector:
            _send(collector, f"{service}-before", REQUEST)
            _settled(sentry, f"{service}-before", REQUEST, REQUEST // 10)
            way.down()
            begun = time.monotonic()
            _send(collector, service, COUNT)
            # The other leg goes on.
            eventually("all lines in Elasticsearch", lambda: legs.stored(service) >= COUNT, 90)
            time.sleep(max(0.0, OUTAGE - (time.monotonic() - begun)))
            if ending == "SIGKILL":
                _kill(collector)
            elif ending == "SIGTERM":
                collector.stop()
            if ending == "none":
                way.up()
                _settled(sentry, service, COUNT, COUNT // 10)
        if ending != "none":
            with legs.collector():
                way.up()
                _settled(sentry, service, COUNT, COUNT // 10)
        lines, spans = sentry.lines(service), sentry.spans(service)
        stored = legs.stored(service)
        refused = list(sentry.refused)
    for items, count, found in (("log lines", COUNT, lines), ("spans", COUNT // 10, spans)):
        figures("Sentry away", outage_s=OUTAGE, collector=ENDINGS[ending], items=items, sent=count,
                found=sum(found.values()), lost=count - len(found),
                twice=sum(found.values()) - len(found))  # fmt: skip
    assert refused == []
    assert stored == COUNT
    assert lines == Counter(f"line {number}" for number in range(COUNT))
    assert spans == Counter(f"span {number}" for number in range(0, COUNT, 10))


def test_a_kill_while_sentry_takes_repeats_at_most_a_batch(
    program: Path, tmp_path: Path, stack: Stack
) -> None:
    service = f"sentry-{trace_id()[:8]}"
    with _sentry(tmp_path) as (sentry, way):
        legs = _Legs(program, tmp_path, stack, way)
        with legs.collector() as collector:
            sentry.answers.clear()
            _send(collector, service, COUNT)
            eventually("a batch that is not answered", lambda: sentry.lines(service), 20)
            time.sleep(2)  # in which a second consumer would have sent the next
            unanswered = sum(sentry.lines(service).values())
            _kill(collector)
        sentry.answers.set()
        with legs.collector():
            _settled(sentry, service, COUNT, COUNT // 10)
            eventually("all lines in Elasticsearch", lambda: legs.stored(service) >= COUNT, 90)
        lines, stored = sentry.lines(service), legs.stored(service)
    duplicates = sum(lines.values()) - len(lines)
    figures("Sentry slow", collector=ENDINGS["SIGKILL"], items="log lines", sent=COUNT,
            found=sum(lines.values()), lost=COUNT - len(lines), twice=duplicates)  # fmt: skip
    assert set(lines) == {f"line {number}" for number in range(COUNT)}
    assert 0 < duplicates == unanswered
    assert duplicates <= BATCH
    assert stored == COUNT
