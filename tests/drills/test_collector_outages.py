"""The collector does not lose: outages, stops and kills with full queues, with counts of sent and found.

The collector, Elasticsearch and Prometheus are real. A back end is taken away by a proxy in front of it,
which refuses connections. ADA_DRILL_LONG=1 makes an outage last two minutes and sends more.
"""

from __future__ import annotations

import ctypes
import os
import signal
import time
import urllib.error
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.drills.proxy import Proxy, proxy
from tests.drills.report import ENDINGS, LONG, figures
from tests.support.collector import BASE, COLLECTOR, Collector, eventually, get_json
from tests.support.otlp_sender import counter, post, record, span, trace_id
from tools.stack import Stack

pytestmark = pytest.mark.integration

OUTAGE = 120.0 if LONG else 4.0
COUNT = 20_000 if LONG else 2_000
BATCH = 200


class _Ends:
    """Elasticsearch and Prometheus, each behind a proxy, and what a collector must know of them."""

    def __init__(self, stack: Stack, elasticsearch: Proxy, prometheus: Proxy) -> None:
        self.stack = stack
        self.elasticsearch = elasticsearch
        self.prometheus = prometheus
        self.environment = {
            "ADA_ELASTICSEARCH_ENDPOINT": f"http://{elasticsearch.address}",
            "ADA_PROMETHEUS_OTLP_ENDPOINT": f"http://{prometheus.address}/api/v1/otlp",
            "ADA_ES_HOP_TIMEOUT": "20s" if LONG else "2s",
        }

    def count(self, kind: str, service: str, query: str = "") -> int:
        """The documents of a service."""
        words = f'resource.attributes.service.name:"{service}"' + (f" AND {query}" if query else "")
        try:
            found = get_json(f"{self.stack.url('elasticsearch')}/ada-{kind}-app/_count", q=words)
        except urllib.error.HTTPError as error:
            assert error.code in {404, 503}, error.read()
            return 0
        return int(found["count"])

    def distinct(self, service: str) -> int:
        """How many different log lines of a service there are."""
        hits: set[str] = set()
        for part in range(0, COUNT, BATCH):
            found = get_json(
                f"{self.stack.url('elasticsearch')}/ada-logs-app/_search",
                q=f'resource.attributes.service.name:"{service}" AND attributes.batch:{part}',
                size="1000",
            )["hits"]["hits"]
            hits |= {hit["_source"]["body"]["text"] for hit in found}
        return len(hits)

    def series(self, query: str) -> list[dict[str, Any]]:
        """What Prometheus answers now."""
        found = get_json(f"{self.stack.url('prometheus')}/api/v1/query", query=query)["data"]["result"]
        assert isinstance(found, list)
        return found


@pytest.fixture
def ends(stack: Stack) -> Iterator[_Ends]:
    with proxy(stack.url("elasticsearch")) as elasticsearch, proxy(stack.url("prometheus")) as prometheus:
        yield _Ends(stack, elasticsearch, prometheus)


def _send_logs(collector: Collector, service: str, count: int = COUNT) -> int:
    """Send ``count`` different lines in batches; returns how many were acknowledged."""
    taken = 0
    for part in range(0, count, BATCH):
        lines = [record(f"line {number}", values={"batch": part}) for number in range(part, part + BATCH)]
        try:
            post(collector.http, "logs", lines, {"service.name": service})
        except urllib.error.HTTPError as error:
            assert error.code in {429, 503}, error.read()
        else:
            taken += BATCH
    return taken


@pytest.mark.parametrize("ending", ["none", "SIGTERM", "SIGKILL"])
def test_elasticsearch_away(program: Path, tmp_path: Path, ends: _Ends, ending: str) -> None:
    service = f"away-{trace_id()[:8]}"
    collector = Collector(program, tmp_path, ends.environment)
    with collector:
        _send_logs(collector, service, BATCH)  # the stream is there before the outage
        eventually("the first documents", lambda: ends.count("logs", service) == BATCH)
        ends.elasticsearch.down()
        begun = time.monotonic()
        service = f"away-{trace_id()[:8]}"
        taken = _send_logs(collector, service)
        mark = trace_id()
        post(
            collector.http,
            "traces",
            [span(mark, f"span {n}") for n in range(BATCH)],
            {"service.name": service},
        )
        time.sleep(max(0.0, OUTAGE - (time.monotonic() - begun)))
        stopped = 0.0
        if ending == "SIGTERM":
            stopped = collector.stop()
        elif ending == "SIGKILL":
            _kill(collector)
        if ending == "none":
            ends.elasticsearch.up()
            found = _found(ends, service, taken)
    if ending != "none":
        with Collector(program, tmp_path, ends.environment):
            ends.elasticsearch.up()
            found = _found(ends, service, taken)
    lines, distinct, spans = found
    case = {"outage_s": OUTAGE, "collector": ENDINGS[ending]}
    took = {"seconds_to_stop": round(stopped, 1)} if stopped else {}
    figures("Elasticsearch away", **case, items="log lines", sent=taken, found=lines, lost=taken - distinct,
            twice=lines - distinct, **took)  # fmt: skip
    figures("Elasticsearch away", **case, items="spans", sent=BATCH, found=spans, lost=BATCH - spans)
    assert (lines, distinct, spans) == (taken, taken, BATCH)
    assert taken == COUNT


def _kill(collector: Collector) -> None:
    process = collector._process
    process.send_signal(signal.SIGKILL)
    process.wait(timeout=20)


def _found(ends: _Ends, service: str, expected: int) -> tuple[int, int, int]:
    """Log documents, different lines, and span documents, once they are all there and some time after."""
    eventually("all log lines", lambda: ends.count("logs", service) >= expected, 90)
    eventually("all spans", lambda: ends.count("traces", service) >= BATCH, 90)
    time.sleep(1.5)  # for what may come twice
    return ends.count("logs", service), ends.distinct(service), ends.count("traces", service)


def test_prometheus_away_and_the_collector_killed(program: Path, tmp_path: Path, ends: _Ends) -> None:
    service = f"points-{trace_id()[:8]}"
    count = 200
    with Collector(program, tmp_path, ends.environment) as collector:
        ends.prometheus.down()
        points = [counter("drill.points", number, {"number": number}) for number in range(count)]
        post(collector.http, "metrics", points, {"service.name": service})
        time.sleep(OUTAGE)
        _kill(collector)
    query = f'drill_points_ratio_total{{job="{service}"}} or drill_points_total{{job="{service}"}}'
    with Collector(program, tmp_path, ends.environment):
        ends.prometheus.up()
        found = eventually("all series", lambda: each if len(each := ends.series(query)) == count else [], 40)
    values = {int(series["metric"]["number"]): float(series["value"][1]) for series in found}
    figures("Prometheus away", outage_s=OUTAGE, collector=ENDINGS["SIGKILL"], items="series", sent=count,
            found=len(values), lost=count - len(values))  # fmt: skip
    assert values == {number: float(number) for number in range(count)}


@contextmanager
def _small_disk(folder: Path, megabytes: int) -> Iterator[bool]:
    """Mount a small tmpfs on ``folder``; says whether that was permitted."""
    libc = ctypes.CDLL(None, use_errno=True)
    options = f"size={megabytes}m".encode()
    mounted = libc.mount(b"none", os.fsencode(folder), b"tmpfs", 0, options) == 0
    try:
        yield mounted
    finally:
        if mounted:
            libc.umount2(os.fsencode(folder), 2)


def test_the_queues_disk_is_full(program: Path, tmp_path: Path, ends: _Ends) -> None:
    service = f"full-{trace_id()[:8]}"
    folder = tmp_path / "disk"
    folder.mkdir()
    with _small_disk(folder, 4) as mounted:
        # Where a mount is not permitted, the limit of a queue's file stands for the disk.
        limit = {} if mounted else {"ADA_QUEUE_MAX_BYTES": "4194304"}
        environment = {**ends.environment, **limit, "ADA_QUEUE_DIR": str(folder / "queue")}
        with Collector(program, tmp_path, environment) as collector:
            ends.elasticsearch.down()
            taken = refused = 0
            filler = "x" * 1000
            for part in range(0, 12_000, BATCH):
                lines = [record(f"line {n} {filler}") for n in range(part, part + BATCH)]
                try:
                    post(collector.http, "logs", lines, {"service.name": service})
                except urllib.error.HTTPError as error:
                    assert error.code in {429, 500, 503}, error.read()
                    refused += BATCH
                else:
                    taken += BATCH
            assert refused > 0
            failed = [
                line
                for line in collector.self_metrics().splitlines()
                if line.startswith("otelcol_exporter_enqueue_failed_log_records_total")
            ]
            ends.elasticsearch.up()
            eventually("what was taken", lambda: ends.count("logs", service) >= taken, 60)
            time.sleep(2)
            found = ends.count("logs", service)
            # There is room again.
            post(collector.http, "logs", [record("after the outage")], {"service.name": service})
            eventually("a line after it", lambda: ends.count("logs", service, "message:outage") == 1, 30)
    figures("Disk of the queue full", tmpfs=mounted, items="log lines", sent=taken, found=found,
            lost=taken - found, refused_with_503=refused)  # fmt: skip
    assert found == taken
    assert sum(float(line.rsplit(" ", 1)[1]) for line in failed) >= refused


def test_the_memory_limiter_refuses_and_the_sender_repeats(
    program: Path, tmp_path: Path, ends: _Ends
) -> None:
    service = f"memory-{trace_id()[:8]}"
    small = {"ADA_MEMORY_LIMIT_MIB": "2", "ADA_MEMORY_SPIKE_MIB": "1"}
    lines = [record(f"line {number}") for number in range(BATCH)]
    with Collector(program, tmp_path, {**ends.environment, **small}) as collector:
        time.sleep(1.5)  # it looks once a second
        with pytest.raises(urllib.error.HTTPError) as refused:
            post(collector.http, "logs", lines, {"service.name": service})
        assert refused.value.code in {429, 503}  # both are repeated by OTLP senders
        metrics = collector.self_metrics()
    with Collector(program, tmp_path, ends.environment) as collector:
        post(collector.http, "logs", lines, {"service.name": service})
        eventually("the repeated batch", lambda: ends.count("logs", service) >= BATCH)
        time.sleep(1)
        found = ends.count("logs", service)
    counted = [line for line in metrics.splitlines() if "memory_limiter_refused_log_records" in line]
    figures("Memory limiter refuses", items="log lines, sent again", sent=BATCH, found=found,
            lost=BATCH - found, refused_with=refused.value.code)  # fmt: skip
    assert found == BATCH
    assert [float(line.rsplit(" ", 1)[1]) for line in counted if not line.startswith("#")] == [BATCH]


def test_a_poison_document_does_not_hold_up_or_lose_the_others(
    program: Path, tmp_path: Path, ends: _Ends
) -> None:
    service = f"poison-{trace_id()[:8]}"
    poison: Any = "secret of the poison"
    for _ in range(30):  # deeper than a flattened field may be
        poison = {"deeper": poison}
    beside = {"note": "a secret beside the poison"}
    lines = [
        record(poison if number in {7, 70, 99} else f"line {number}", values=beside) for number in range(100)
    ]
    with Collector(program, tmp_path, {**ends.environment, "ADA_ES_HOP_TIMEOUT": "20s"}) as collector:
        post(collector.http, "logs", lines, {"service.name": service})
        eventually("the others", lambda: ends.count("logs", service) >= 97)
        time.sleep(1)
        metrics = collector.self_metrics()
        text = collector.log.read_text(encoding="utf-8")
    found = ends.count("logs", service)
    outcomes = {
        outcome: sum(
            float(line.rsplit(" ", 1)[1])
            for line in metrics.splitlines()
            if line.startswith("otelcol_elasticsearch_docs_processed_total")
            and f'outcome="{outcome}"' in line
            and "version_conflict" not in line  # there already
        )
        for outcome in ("success", "failed_client", "failure_store")
    }
    failures = eventually(
        "the poison in the failure store",
        lambda: each if len(each := _failure_store(ends, service)) == 3 else [],
        30,
    )
    figures("Poison documents", items="log lines", sent=100, found=found, lost=100 - found - len(failures),
            in_failure_store=len(failures))  # fmt: skip
    assert found == 97
    # Elasticsearch has taken what is in the failure store: that counts as success too.
    assert outcomes == {"success": 100, "failed_client": 0, "failure_store": 3}
    for failure in failures:
        assert failure["error"]["type"] == "document_parsing_exception"
        assert "secret of the poison" in str(failure["document"])
    # Elasticsearch's reason previews the value that is wrong; the rest of the document is not logged.
    assert "secret beside the poison" not in text


def _failure_store(ends: _Ends, service: str) -> list[dict[str, Any]]:
    """What the data stream's failure store holds of a service: documents, each with the reason."""
    found = get_json(f"{ends.stack.url('elasticsearch')}/ada-logs-app::failures/_search", size="1000")
    sources = [hit["_source"] for hit in found["hits"]["hits"]]
    return [source for source in sources if service in str(source["document"])]


def test_wrong_clocks(program: Path, tmp_path: Path, ends: _Ends) -> None:
    service = f"clock-{trace_id()[:8]}"
    day = 86_400 * 10**9
    now = time.time_ns()
    times = {"epoch": 1, "last year": now - 365 * day, "tomorrow": now + day, "2100": 4_102_444_800 * 10**9}
    with Collector(program, tmp_path, ends.environment) as collector:
        lines = [record(name, at=at) for name, at in times.items()] + [record("now")]
        post(collector.http, "logs", lines, {"service.name": service})
        eventually("all lines", lambda: ends.count("logs", service) == 5)
        points = [counter(f"clock.good.{number}", number + 1) for number in range(20)]
        times = {"clock.old": now - day, "clock.ahead": now + day, "clock.unset": 0}
        wrong = [counter(name, 1, at=at) for name, at in times.items()]
        post(collector.http, "metrics", [*points[:10], *wrong, *points[10:]], {"service.name": service})
        found = eventually(
            "the good points",
            lambda: (
                each
                if len(each := ends.series(f'{{job="{service}",__name__=~"clock_good.*"}}')) == 20
                else []
            ),
            20,
        )
        metrics = collector.self_metrics()
    (filtered,) = [
        line
        for line in metrics.splitlines()
        if line.startswith("otelcol_processor_filter_datapoints_filtered")
    ]
    figures("Wrong clocks", items="log lines", sent=5, found=5, lost=0)
    figures("Wrong clocks", items="metric points", sent=23, found=len(found), lost=3,
            counted_by_the_collector=3)  # fmt: skip
    assert float(filtered.rsplit(" ", 1)[1]) == 3
    assert 'filter="filter/clock"' in filtered  # as the alert asks for it
    assert ends.series(f'{{job="{service}",__name__=~"clock_(old|ahead|unset).*"}}') == []


def test_a_kill_loses_at_most_the_decision_wait_of_tail_sampling(
    program: Path, tmp_path: Path, ends: _Ends
) -> None:
    service = f"tail-{trace_id()[:8]}"
    wait = {"ADA_TAIL_DECISION_WAIT": "2s"}
    configs = (BASE, COLLECTOR / "otelcol.tail_sampling.yaml")
    early = [span(trace_id(), "early", error=True) for _ in range(100)]
    late = [span(trace_id(), "late", error=True) for _ in range(100)]
    ends.elasticsearch.down()
    with Collector(program, tmp_path, {**ends.environment, **wait}, configs) as collector:
        post(collector.http, "traces", early, {"service.name": service})
        time.sleep(4.5)  # decided, and in the queue on disk
        post(collector.http, "traces", late, {"service.name": service})
        _kill(collector)
    ends.elasticsearch.up()
    with Collector(program, tmp_path, {**ends.environment, **wait}, configs):
        eventually("the decided ones", lambda: ends.count("traces", service, "name:early") >= 100)
        time.sleep(1)
        found = ends.count("traces", service)
    figures("Tail sampling", collector=ENDINGS["SIGKILL"], items="spans", sent=200, found=found,
            lost=200 - found, undecided=100, decision_wait_seconds=2)  # fmt: skip
    assert ends.count("traces", service, "name:early") == 100
    assert found <= 200
