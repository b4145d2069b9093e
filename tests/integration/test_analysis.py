"""Log analysis on a real Elasticsearch node, and over the same lines in files; the answers are known."""

from __future__ import annotations

import json
import os
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from ada_otel.analysis import (
    AnalysisError,
    ClientSettings,
    ConnectionFailedError,
    FileAnalyzer,
    LogAnalyzer,
    LogEntry,
    NothingThereError,
    QueryError,
    Selection,
    generate_dashboard_data,
    get_error_trends,
    search_logs,
)
from tests.support.log_lines import HOUR, document, file_line, known_lines, request_spans
from tests.support.process import run_program
from tools.demo.app import get_json, running_app
from tools.demo.arrivals import wait_for
from tools.errors import ToolError
from tools.stack import Stack, free_ports
from tools.stack.ready import http

pytestmark = pytest.mark.integration

UTC = timezone.utc
#: The end of the window that the known lines fill: a full hour, some hours ago.
END = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=1)
START = END - timedelta(hours=24)
WINDOW = Selection(start=START, end=END)


def bulk(url: str, stream: str, documents: list[dict[str, Any]]) -> None:
    for at in range(0, len(documents), 5000):
        part = documents[at : at + 5000]
        body = "".join('{"create":{}}\n' + json.dumps(one) + "\n" for one in part)
        status, answer = http(f"{url}/{stream}/_bulk", method="POST", body=body.encode(), timeout=60)
        assert status == 200, answer
        found = json.loads(answer)
        assert not found["errors"], [item for item in found["items"] if "error" in item["create"]][:1]
    assert http(f"{url}/{stream}/_refresh", method="POST", timeout=60)[0] == 200


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A node of its own, for these tests count all that is in it."""
    servers = Stack(
        tmp_path_factory.mktemp("analysis"),
        ports=free_ports(),
        servers=["elasticsearch", "prometheus", "redis", "otelcol"],
    )
    try:
        servers.up()
    except ToolError as error:
        if os.environ.get("CI", "").lower() == "true":
            raise
        pytest.skip(f"the servers could not be started: {error}")
    yield servers
    servers.down(purge=True)


@pytest.fixture(scope="module")
def lines() -> list[dict[str, Any]]:
    return known_lines(END)


@pytest.fixture(scope="module")
def settings(stack: Stack, lines: list[dict[str, Any]]) -> ClientSettings:
    url = stack.url("elasticsearch")
    bulk(url, "ada-logs-app", [document(line) for line in lines])
    bulk(url, "ada-traces-app", request_spans(END))
    return ClientSettings(url=url, prometheus=stack.url("prometheus"))


@pytest.fixture(scope="module")
def elastic(settings: ClientSettings) -> Iterator[LogAnalyzer]:
    with LogAnalyzer(settings) as analyzer:
        yield analyzer


@pytest.fixture(scope="module")
def files(lines: list[dict[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> FileAnalyzer:
    folder = tmp_path_factory.mktemp("logs")
    half = len(lines) // 2
    # As rotation leaves them: the older half under the higher number.
    for name, part in (("ada_app.log.1", lines[:half]), ("ada_app.log", lines[half:])):
        (folder / name).write_text("".join(json.dumps(file_line(line)) + "\n" for line in part))
        os.utime(folder / name, ns=(time.time_ns(), time.time_ns()))
    return FileAnalyzer([str(folder / "ada_app.log*")])


def floor(moment: datetime) -> datetime:
    """To the milliseconds that Elasticsearch's dates have."""
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def contents(entries: list[LogEntry]) -> list[dict[str, Any]]:
    """What both back ends know of a line; documents alone have the file's path."""
    found = [entry.as_dict() for entry in entries]
    for one in found:
        one.get("attributes", {}).pop("code.file.path", None)
    return [{name: value for name, value in one.items() if value != {}} for one in found]


QUERIES: dict[str, Callable[[dict[str, Any]], bool]] = {
    "": lambda line: True,
    "level:ERROR": lambda line: line["level"] == "ERROR",
    "level:warn": lambda line: line["level"] == "WARNING",
    "level:>=WARNING": lambda line: line["level"] in {"WARNING", "ERROR", "CRITICAL"},
    "level:[INFO TO WARNING}": lambda line: line["level"] == "INFO",
    "payment refused": lambda line: "payment" in line["message"] and "refused" in line["message"],
    '"payment refused"': lambda line: "payment refused" in line["message"],
    '"refused payment"': lambda line: False,
    "message:refused OR message:slow": lambda line: "refused" in line["message"] or "slow" in line["message"],
    "NOT level:INFO AND user_id:7": lambda line: line["level"] != "INFO" and line.get("user_id") == 7,
    "-level:info -level:error": lambda line: line["level"] not in {"INFO", "ERROR"},
    "user_id:[3 TO 5}": lambda line: line.get("user_id") in {3, 4},
    "user_id:>8": lambda line: line.get("user_id", 0) > 8,
    "user_id:nobody": lambda line: False,
    "KeyError": lambda line: line.get("type") == "KeyError",
    "OperationalError": lambda line: line.get("type") == "sqlalchemy.exc.OperationalError",
    "exception.type:sqlalchemy.exc.OperationalError": lambda line: "Operational" in line.get("type", ""),
    "exception.type:*Error": lambda line: "type" in line,
    "exception.type:*": lambda line: "type" in line,
    "NOT _exists_:exception.type": lambda line: "type" not in line,
    "logger:ada.shop AND request_id:*": lambda line: line["logger"] == "ada.shop" and "request_id" in line,
    "logger:(ada.shop OR ada.chat)": lambda line: line["logger"] in {"ada.shop", "ada.chat"},
    "ref?sed pay*": lambda line: "refused" in line["message"],
    "*order\\ 1*": lambda line: "order 1" in line["message"],
    "Überweisung": lambda line: "Überweisung" in line["message"],
    "支払": lambda line: "支払" in line["message"],
    "127.0.0.1": lambda line: "127.0.0.1" in line["message"],
    "module:shop": lambda line: line["logger"] == "ada.shop",
    "function:work AND line:12 AND NOT line:13": lambda line: True,
    "service:ada": lambda line: True,
    "paid:true": lambda line: line.get("extra", {}).get("paid") is True,
    f"timestamp:[{END - 2 * HOUR:%Y-%m-%dT%H:%M:%SZ} TO *]": lambda line: line["at"] >= END - 2 * HOUR,
    f'timestamp:"{END - 3 * HOUR:%Y-%m-%dT%H}"': lambda line: END - 3 * HOUR <= line["at"] < END - 2 * HOUR,
    f"timestamp:<{END - 3 * HOUR:%Y-%m-%dT%H}": lambda line: line["at"] < END - 3 * HOUR,
    '"!!!"': lambda line: False,
}


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query or "all")
def test_a_query_finds_the_same_known_lines_in_both(
    query: str, elastic: LogAnalyzer, files: FileAnalyzer, lines: list[dict[str, Any]]
) -> None:
    expected = [line for line in lines if QUERIES[query](line) and START <= line["at"] < END]
    selection = replace(WINDOW, query=query)
    found = elastic.search(selection, 5000)
    assert Counter(entry.attributes["number"] for entry in found) == Counter(
        line["number"] for line in expected
    )
    assert [entry.timestamp for entry in found] == sorted((line["at"] for line in expected), reverse=True)
    assert contents(files.search(selection, 5000)) == contents(found)
    assert elastic.count(selection) == files.count(selection) == len(expected)


def test_filters(elastic: LogAnalyzer, files: FileAnalyzer, lines: list[dict[str, Any]]) -> None:
    trace = next(line["trace_id"] for line in lines if line["at"] >= START and "trace_id" in line)
    for filters, test in (
        ({"level": "error"}, lambda line: line["level"] in {"ERROR", "CRITICAL"}),
        ({"trace": trace.upper()}, lambda line: line.get("trace_id") == trace),
        ({"query": trace}, lambda line: line.get("trace_id") == trace),
        ({"user": "7"}, lambda line: line.get("user_id") == 7),
        ({"service": "ada"}, lambda line: True),
        ({"service": "other"}, lambda line: False),
    ):
        expected = sorted(line["number"] for line in lines if test(line) and START <= line["at"] < END)
        for analyzer in (elastic, files):
            found = analyzer.search(replace(WINDOW, **filters), 5000)
            assert sorted(entry.attributes["number"] for entry in found) == expected, filters


def test_a_line_has_its_fields(elastic: LogAnalyzer) -> None:
    (entry,) = elastic.search(replace(WINDOW, query="KeyError"), 1)
    assert entry.as_dict() == {
        "timestamp": entry.as_dict()["timestamp"],
        "level": "ERROR",
        "logger": "ada.chat",
        "message": "could not answer",
        "service": "ada",
        "module": "chat",
        "function": "work",
        "line": 12,
        "exception": {
            "type": "KeyError",
            "message": "'model'",
            "traceback": "Traceback (most recent call last):\n"
            "  File \"chat.py\", line 12\nKeyError: 'model'\n",
        },
        "user_id": 7,
        "request_id": entry.request_id,
        "trace_id": entry.trace_id,
        "span_id": entry.span_id,
        "attributes": {"code.file.path": "/app/ada/chat.py", "number": entry.attributes["number"]},
    }
    assert len(entry.trace_id or "") == 32


def test_trends_count_each_hour(
    elastic: LogAnalyzer, files: FileAnalyzer, lines: list[dict[str, Any]]
) -> None:
    errors = [line for line in lines if line["level"] in {"ERROR", "CRITICAL"} and START <= line["at"] < END]
    by_hour = Counter(int((line["at"] - START) / HOUR) for line in errors)
    selection = replace(WINDOW, level="error")
    for analyzer in (elastic, files):
        trends = analyzer.trends(selection, HOUR, "exception.type")
        assert trends.total == len(errors) == 24 + 12 + 6 + 24
        assert [point.count for point in trends.points] == [by_hour[hour] for hour in range(24)]
        assert [point.time for point in trends.points] == [START + hour * HOUR for hour in range(24)]
        assert {one.name: one.total for one in trends.series} == {
            "(none)": 24,
            "ValueError": 24,
            "sqlalchemy.exc.OperationalError": 12,
            "KeyError": 6,
        }
        keys = next(one for one in trends.series if one.name == "KeyError")
        assert [point.count for point in keys.points] == [0] * 23 + [6]
    assert elastic.trends(selection, HOUR, "level") == files.trends(selection, HOUR, "level")
    assert elastic.trends(WINDOW, HOUR / 4, "user_id") == files.trends(WINDOW, HOUR / 4, "user_id")
    by_message = elastic.trends(WINDOW, 24 * HOUR, "message")
    assert by_message == files.trends(WINDOW, 24 * HOUR, "message")
    assert len(by_message.series) == 11
    assert by_message.series[-1].name == "(other)"
    assert sum(one.total for one in by_message.series) == by_message.total


def test_errors_are_grouped_with_counts_times_sample_and_change(
    elastic: LogAnalyzer, files: FileAnalyzer, lines: list[dict[str, Any]]
) -> None:
    report = elastic.errors(WINDOW)
    found = {(group.type, group.pattern): (group.count, group.before) for group in report.groups}
    assert found == {
        ("ValueError", "payment refused for order <n>"): (24, 12),
        (None, "slow answer of <address>"): (24, 24),
        ("sqlalchemy.exc.OperationalError", "database error"): (12, 24),
        ("KeyError", "could not answer"): (6, 0),
    }
    assert (report.total, report.before, report.group_count, report.complete) == (66, 60, 4, True)
    group = next(group for group in report.groups if group.type == "ValueError")
    of_group = [line for line in lines if line.get("type") == "ValueError" and line["at"] >= START]
    assert group.first_seen == floor(min(line["at"] for line in of_group))
    assert group.last_seen == floor(max(line["at"] for line in of_group))
    assert group.change_percent == 100.0
    assert group.sample is not None
    assert group.sample.message == max(of_group, key=lambda line: line["at"])["message"]
    same = files.errors(WINDOW)
    assert [replace(one, sample=None) for one in same.groups] == [
        replace(one, sample=None) for one in report.groups
    ]
    assert contents([one.sample for one in same.groups if one.sample]) == contents(
        [one.sample for one in report.groups if one.sample]
    )
    assert [group.pattern for group in elastic.errors(WINDOW, size=1).groups] == [report.groups[0].pattern]


def test_errors_say_when_there_were_too_many_messages(
    elastic: LogAnalyzer, lines: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    errors = [line for line in lines if line["level"] in {"ERROR", "CRITICAL"}]
    messages = len({(line.get("type"), line["logger"], line["message"]) for line in errors})
    monkeypatch.setattr("ada_otel.analysis.analyzer._MOST_MESSAGES", messages)
    assert (elastic.errors(WINDOW).total, elastic.errors(WINDOW).complete) == (66, True)
    monkeypatch.setattr("ada_otel.analysis.analyzer._MOST_MESSAGES", messages - 1)
    assert not elastic.errors(WINDOW).complete


def test_slow_routes(elastic: LogAnalyzer, files: FileAnalyzer) -> None:
    report = elastic.slow(START, END)
    assert [(route.method, route.route, route.time.count, route.errors) for route in report.routes] == [
        ("POST", "/buy", 100, 10),
        ("GET", "/items/<int:id>", 100, 0),
        ("GET", "(unmatched)", 10, 0),
    ]
    buy = report.routes[0]
    assert buy.time.average == pytest.approx(0.505)
    assert buy.time.p50 == pytest.approx(0.505, rel=0.02)
    assert buy.time.p99 == pytest.approx(0.99, rel=0.02)
    assert buy.time.maximum == pytest.approx(1.0)
    assert buy.slowest_trace == f"{100:032x}"
    assert [route.route for route in elastic.slow(START, END, size=1).routes] == ["/buy"]
    (local,) = files.slow(START, END).routes
    assert (local.route, local.time.count) == ("/chat", 24)
    assert local.time.maximum == pytest.approx(0.23)


def test_paging_past_ten_thousand(stack: Stack, settings: ClientSettings) -> None:
    count = 12_345
    base = {"logger": "bulk", "level": "INFO", "message": "one of many"}
    # Many share a millisecond, so that the order within one must hold from page to page.
    documents = [
        document({**base, "at": START + timedelta(milliseconds=n // 50), "number": n}) for n in range(count)
    ]
    bulk(stack.url("elasticsearch"), "ada-logs-bulk", documents)
    with LogAnalyzer(replace(settings, logs_index="ada-logs-bulk")) as analyzer:
        found = analyzer.search(Selection("many"), 20_000)
        assert sorted(entry.attributes["number"] for entry in found) == list(range(count))
        times = [entry.timestamp for entry in found]
        assert times == sorted(times, reverse=True)
        assert [one.attributes["number"] for one in analyzer.search(Selection("many"), 10_500)] == [
            one.attributes["number"] for one in found[:10_500]
        ]
    nodes = get_json(f"{stack.url('elasticsearch')}/_nodes/stats/indices/search")["nodes"]
    assert [node["indices"]["search"]["open_contexts"] for node in nodes.values()] == [0]


def test_lines_of_one_millisecond_are_in_their_order(stack: Stack, settings: ClientSettings) -> None:
    base = {"logger": "order", "level": "INFO", "message": "one of some"}
    written = [
        document({**base, "at": START + timedelta(microseconds=n), "number": n}) for n in (3, 1, 4, 0, 2)
    ]
    bulk(stack.url("elasticsearch"), "ada-logs-order", written)
    with LogAnalyzer(replace(settings, logs_index="ada-logs-order")) as analyzer:
        found = [entry.attributes["number"] for entry in analyzer.search(Selection())]
    assert found == [4, 3, 2, 1, 0]


def test_the_functions_of_the_package(
    settings: ClientSettings, monkeypatch: pytest.MonkeyPatch, lines: list[dict[str, Any]]
) -> None:
    monkeypatch.setenv("ADA_ELASTICSEARCH_ENDPOINT", settings.url)
    monkeypatch.setenv("ADA_PROMETHEUS_URL", settings.prometheus or "")
    for name in ("ADA_ELASTICSEARCH_API_KEY", "ELASTIC_CLOUD_ID"):
        monkeypatch.delenv(name, raising=False)
    assert len(search_logs("level:ERROR AND KeyError", START, END.isoformat())) == 6
    assert len(search_logs("KeyError", size=2)) == 2
    trends = get_error_trends(hours=48, interval="1h", by="exception.type")
    within = [line for line in lines if line["level"] in {"ERROR", "CRITICAL"} and line["at"] >= trends.start]
    assert trends.total == len(within)
    board = generate_dashboard_data(timedelta(hours=72), service="ada")
    assert board.errors == len([line for line in lines if line["level"] in {"ERROR", "CRITICAL"}])
    assert len(board.recent_errors) == 10
    assert board.response_source == "elasticsearch"
    assert board.response_time is not None
    assert board.response_time.count == 210
    assert board.cpu_percent is None
    assert board.as_dict()["cpu_percent"] is None
    assert set(board.missing) == {"cpu_percent", "memory_bytes", "active_connections", "active_requests"}


def test_the_dashboard_reads_prometheus(stack: Stack, settings: ClientSettings) -> None:
    """Real samples, written over OTLP as an app would."""
    _push_metrics(stack.url("prometheus"))
    with LogAnalyzer(settings) as analyzer:
        board = analyzer.dashboard(service="prom-app")
    assert board.active_connections == 17
    assert board.memory_bytes == 200 * 2**20
    assert board.active_requests == 3
    assert board.cpu_percent is not None
    assert board.cpu_percent == pytest.approx(50, rel=0.05)
    assert board.response_source == "prometheus"
    assert board.response_time is not None
    assert board.response_time.average == pytest.approx(0.2)
    assert board.response_time.p50 == pytest.approx(0.175, rel=0.01)
    assert board.errors == 0
    assert board.missing == {}


def _push_metrics(url: str) -> None:
    now = time.time()
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": "prom-app"}}]}

    def point(at: float, **value: Any) -> dict[str, Any]:
        start = str(int((now - 121) * 1e9))
        return {"timeUnixNano": str(int(at * 1e9)), "startTimeUnixNano": start, **value}

    for step in range(7):
        at, cpu, requests = now - 120 + 20 * step, 10.0 * step, 10 * step
        histogram = point(
            at,
            count=str(requests),
            sum=requests * 0.2,
            explicitBounds=[0.1, 0.25, 0.5],
            bucketCounts=["0", str(requests), "0", "0"],
        )
        metrics = [
            {
                "name": "process.cpu.time",
                "unit": "s",
                "sum": {
                    "aggregationTemporality": 2,
                    "isMonotonic": True,
                    "dataPoints": [point(at, asDouble=cpu)],
                },
            },
            {
                "name": "process.memory.usage",
                "unit": "By",
                "sum": {"aggregationTemporality": 2, "dataPoints": [point(at, asInt=str(200 * 2**20))]},
            },
            {
                "name": "socketio.server.active_connections",
                "unit": "{connection}",
                "sum": {"aggregationTemporality": 2, "dataPoints": [point(at, asInt="17")]},
            },
            {
                "name": "http.server.active_requests",
                "unit": "{request}",
                "sum": {"aggregationTemporality": 2, "dataPoints": [point(at, asInt="3")]},
            },
            {
                "name": "http.server.request.duration",
                "unit": "s",
                "histogram": {"aggregationTemporality": 2, "dataPoints": [histogram]},
            },
        ]
        get_or_empty(
            f"{url}/api/v1/otlp/v1/metrics",
            {"resourceMetrics": [{"resource": resource, "scopeMetrics": [{"metrics": metrics}]}]},
        )


def get_or_empty(url: str, body: Any) -> None:
    import urllib.request

    request = urllib.request.Request(url, json.dumps(body).encode(), {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.status == 200


def test_follow_gives_each_new_line_once(stack: Stack, settings: ClientSettings) -> None:
    url = stack.url("elasticsearch")
    base = {"logger": "follow", "level": "INFO"}
    at = datetime.now(UTC)
    bulk(
        url,
        "ada-logs-follow",
        [document({**base, "at": at, "message": f"old {n}", "number": n}) for n in range(5)],
    )
    with LogAnalyzer(replace(settings, logs_index="ada-logs-follow")) as analyzer:
        coming = analyzer.follow(Selection(), size=2, poll=0.05)
        assert [next(coming).message for _ in range(2)] == ["old 3", "old 4"]
        for number in range(3):
            # Each one a little older than the one before, as lines of several processes come.
            late = datetime.now(UTC) - timedelta(seconds=number)
            message = f"new {number}"
            bulk(
                url,
                "ada-logs-follow",
                [document({**base, "at": max(late, at), "message": message, "number": 9})],
            )
            assert next(coming).message == message


@pytest.mark.parametrize(
    ("change", "kind", "words"),
    [
        (
            {"url": "http://127.0.0.1:9"},
            ConnectionFailedError,
            "no Elasticsearch answers at http://127.0.0.1:9",
        ),
        ({"logs_index": "ada-logs-none-*"}, NothingThereError, "has no index ada-logs-none-*"),
        ({"logs_index": "nothing"}, NothingThereError, "has no index nothing"),
        ({"url": "elastic"}, AnalysisError, "'elastic' is no address"),
        ({"ca": "/nowhere.pem"}, AnalysisError, "there is no file /nowhere.pem"),
    ],
)
def test_failures_say_what_to_do(
    change: dict[str, Any], kind: type[AnalysisError], words: str, settings: ClientSettings
) -> None:
    with pytest.raises(kind) as raised, LogAnalyzer(replace(settings, **change)) as analyzer:
        analyzer.search(Selection())
    assert words in str(raised.value)
    assert "\n" not in str(raised.value)
    if "logs_index" in change:
        with LogAnalyzer(replace(settings, **change)) as analyzer:
            for ask in (analyzer.count, analyzer.errors, lambda it: analyzer.trends(it, HOUR)):
                with pytest.raises(NothingThereError):
                    ask(WINDOW)


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("(level:ERROR", "a ')' is missing"),
        ("attributes.code.line.number:[a TO b]", "does not take the query"),
        ("timestamp:tomorrow", "'tomorrow' is no time"),
        ("message:/(/", "does not take the query"),
    ],
)
def test_bad_queries(query: str, words: str, elastic: LogAnalyzer) -> None:
    with pytest.raises(QueryError) as raised:
        elastic.search(replace(WINDOW, query=query))
    assert words in str(raised.value)
    assert "\n" not in str(raised.value)


def test_splitting_by_a_text_is_refused_in_both(elastic: LogAnalyzer, files: FileAnalyzer) -> None:
    for analyzer in (elastic, files):
        with pytest.raises(QueryError, match=r"split by exception\.type"):
            analyzer.trends(WINDOW, HOUR, "exception.traceback")


def test_what_only_elasticsearch_evaluates(elastic: LogAnalyzer, files: FileAnalyzer) -> None:
    for query, count in (("message:refusd~1", 24), ("message:/refus.*/", 24), ('"payment order"~3', 24)):
        assert elastic.count(replace(WINDOW, query=query)) == count, query
        with pytest.raises(QueryError, match="needs Elasticsearch"):
            files.count(replace(WINDOW, query=query))


WORDS = (
    "foo:bar a.b 1,2 1:2 a1.2b v1.a foo_bar _ __x it's don\u2019t 127.0.0.1:8080 日本語テスト สวัสดี हिन्दी "
    "user@x.com /items/5 [GET] 😀 e-mail x=1 한국어 ١٢ a..b 'q' ünïcode É x" + "y" * 600
)


def test_words_are_cut_as_elasticsearch_does(stack: Stack) -> None:
    from ada_otel.analysis._words import words

    answer = get_json(f"{stack.url('elasticsearch')}/_analyze", {"analyzer": "standard", "text": WORDS})
    assert words(WORDS) == [token["token"] for token in answer["tokens"]]


def test_the_command(settings: ClientSettings, capsys: pytest.CaptureFixture[str]) -> None:
    from ada_otel.analysis.__main__ import main

    def run(*arguments: str) -> tuple[int, str, str]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("sys.argv", ["x", "logs", *arguments, "--url", settings.url])
            code = main()
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    window = ("--since", START.isoformat(), "--until", END.isoformat())
    code, out, err = run("search", "KeyError", *window, "--json")
    assert (code, err) == (0, "")
    assert [json.loads(line)["exception"]["type"] for line in out.splitlines()] == ["KeyError"] * 6
    code, out, err = run("search", "--level", "error", *window, "--size", "5")
    assert len(out.splitlines()) == 5
    assert "the newest 5 of 66 lines" in err
    code, out, err = run("trends", *window, "--by", "exception.type", "--json")
    assert json.loads(out)["total"] == 66
    code, out, err = run("errors", *window, "--json")
    assert json.loads(out)["groups"][0]["count"] == 24
    code, out, err = run("slow", *window, "--json")
    assert json.loads(out)["routes"][0]["route"] == "/buy"
    code, out, err = run("dashboard", *window)
    assert code == 0
    assert "CPU\tmissing\tno Prometheus is known" in out
    for arguments in (("search", "(x"), ("search", "x", "--index", "none"), ("trends", "--interval", "5x")):
        code, out, err = run(*arguments)
        assert (code, out, len(err.splitlines())) == (2, "", 1), arguments
        assert err.startswith("ada-otel logs: ")


def test_no_key_reaches_a_message(settings: ClientSettings) -> None:
    assert "geheim" not in repr(replace(settings, api_key="id:geheim", password="geheim"))


def test_the_example_app(stack: Stack, settings: ClientSettings, tmp_path: Path) -> None:
    """What the real app logs and does, through the real collector. It is last: others count all lines."""
    service = "ada-analysis"
    environment = {**stack.env(), "OTEL_METRIC_EXPORT_INTERVAL": "2000"}
    del environment["DATABASE_URL"]
    began = datetime.now(UTC)
    with running_app(tmp_path, environment, service=service) as app:
        report = app.drive("--plan", "once")
    with LogAnalyzer(settings) as analyzer:
        mine = Selection(start=began, service=service)
        (signed_out,) = wait_for(lambda: analyzer.search(replace(mine, query='"signed out"')), bool)
        assert (signed_out.level, signed_out.logger, signed_out.user_id) == ("INFO", "examples.ada.auth", 1)
        assert signed_out.module == "auth"
        assert [
            one.id for one in analyzer.search(replace(mine, trace=signed_out.trace_id)) if one == signed_out
        ]
        sent = sum(row["count"] for row in report["requests"])
        slow = wait_for(
            lambda: analyzer.slow(began, service=service, size=100),
            lambda found: sum(route.time.count for route in found.routes) == sent,
        )
        by_route = {(row["method"], row["route"]): 0 for row in report["requests"]}
        for row in report["requests"]:
            by_route[row["method"], row["route"]] += row["count"]
        assert {(one.method, one.route): one.time.count for one in slow.routes} == by_route
        failed = sum(row["count"] for row in report["requests"] if row["status"] >= 500)
        assert sum(route.errors for route in slow.routes) == failed
        errors = analyzer.errors(mine)
        lines = analyzer.search(replace(mine, level="error"))
        assert errors.total == len(lines) > 0
        assert sum(group.count for group in errors.groups) == errors.total
        assert {group.type for group in errors.groups} == {
            line.exception and line.exception.type for line in lines
        }


def test_the_snippet_of_the_documentation_runs(settings: ClientSettings, tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "log-analysis.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    environment = {
        "ADA_ELASTICSEARCH_ENDPOINT": settings.url,
        "ADA_PROMETHEUS_URL": settings.prometheus or "",
    }
    done = run_program(code, tmp_path, environment=environment)
    assert done.returncode == 0, done.stderr
    assert "(" in done.stdout
