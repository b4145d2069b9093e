"""From a line of code to a Sentry Issue, on real servers: ADA → collector → bridge → Bugsink.

Bugsink takes Sentry's protocol, checks events by Sentry's schema, and groups them into Issues.
"""

from __future__ import annotations

import gzip
import json
import os
import time
import traceback
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from sentry_relay.processing import StoreNormalizer

from tests.drills.report import ENDINGS, LONG, figures
from tools.demo.app import get_json, running_app
from tools.errors import ToolError
from tools.stack import Stack, free_ports
from tools.stack.ports import is_free
from tools.stack.servers import bugsink

pytestmark = pytest.mark.integration

OUTAGE_SECONDS = 120 if LONG else 8


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The collector, the bridge and Bugsink. Elasticsearch and Prometheus are away, which must not matter."""
    servers = Stack(
        tmp_path_factory.mktemp("issues"),
        ports=free_ports(optional=True),
        servers=["otelcol", "sentry_bridge", "bugsink", "redis"],
    )
    try:
        servers.up()
    except ToolError as error:
        if os.environ.get("CI", "").lower() == "true":
            raise
        pytest.skip(f"the servers could not be started: {error}")
    yield servers
    # An orderly stop would try for 20 s to hand its queue to Elasticsearch.
    servers.kill("otelcol")
    servers.down(purge=True)


class Issues:
    """What Bugsink has, over its REST API."""

    def __init__(self, stack: Stack) -> None:
        self._access = bugsink.access(stack.state_dir)
        self._base = f"{stack.url('bugsink')}/api/canonical/0/"

    def all(self) -> list[dict[str, Any]]:
        """Each Issue."""
        return self._pages(f"issues/?project={self._access.project}")

    def events(self, issue: dict[str, Any]) -> list[dict[str, Any]]:
        """The events of an Issue, as Sentry's event payload."""
        return [
            self._get(f"events/{event['id']}/")["data"]
            for event in self._pages(f"events/?issue={issue['id']}")
        ]

    def count(self) -> int:
        """How many events there are, by Bugsink's own count."""
        return sum(issue["digested_event_count"] for issue in self.all())

    def _pages(self, path: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        page = self._get(path)
        while True:
            found += page["results"]
            if not page.get("next"):
                return found
            page = self._get(page["next"])

    def _get(self, path: str) -> Any:
        url = path if path.startswith("http") else self._base + path
        asked = urllib.request.Request(url, headers={"Authorization": f"Bearer {self._access.token}"})
        with urllib.request.urlopen(asked, timeout=10) as answer:
            return json.load(answer)


def eventually(what: str, look: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not look():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.5)


def settled(count: Callable[[], int], least: int, seconds: float = 90) -> int:
    """``count`` once it is at least ``least`` and has stayed the same for three seconds."""
    eventually(f"{least} events", lambda: count() >= least, seconds)
    seen, since = count(), time.monotonic()
    while time.monotonic() - since < 3:
        time.sleep(0.5)
        if (now := count()) != seen:
            seen, since = now, time.monotonic()
    return seen


def kinds(event: dict[str, Any]) -> list[str]:
    return [value["type"] for value in event["exception"]["values"]]


def relay_takes(events: list[dict[str, Any]]) -> bool:
    """Sentry's own normaliser finds nothing wrong with the events."""
    normalizer = StoreNormalizer(project_id=1, protocol_version="7", client="ada/0", remove_other=True)
    errors = [error for event in events for error in normalizer.normalize_event(event).get("errors") or ()]
    assert errors == []
    return bool(events)


def test_the_errors_of_the_app_become_grouped_issues(stack: Stack, tmp_path: Path) -> None:
    environment = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": stack.url("otelcol"),
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "REDIS_URL": stack.url("redis"),
        "APP_VERSION": "7.3.1",
        "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=test",
    }
    with running_app(tmp_path, environment, service="shop") as app:
        for _ in range(2):
            report = app.drive("--plan", "once")
            assert report["errors"] == []
    issues = Issues(stack)
    assert settled(issues.count, 20) == 20
    found = {
        (issue["calculated_type"], issue["calculated_value"].splitlines()[0]): issue for issue in issues.all()
    }
    # Two runs of each failure. The chained and the plain ReportError end in the same line of the driver's.
    expected = {
        ("ReportError", "The report failed: no detail"): 4,
        ("KeyError", "'no detail'"): 2,
        ("IntegrityError", "(sqlite3.IntegrityError) UNIQUE constraint failed: users.name"): 2,
        ("Log Message", "The order book does not add up: no detail"): 2,
        ("ReportError", "The order book does not add up: no detail"): 2,
        ("AiError", "The AI's answer is no completion"): 2,
        ("AiError", "The AI could not be asked"): 2,
        ("RuntimeError", "The report over Socket.IO failed"): 4,
    }
    # The rest of an AiError's text has the stand-in's port, or what Python's version says of the type.
    counted = {
        (kind, text.split(": ")[0] if kind == "AiError" else text): issue["digested_event_count"]
        for (kind, text), issue in found.items()
    }
    assert counted == expected
    events = {key: issues.events(issue) for key, issue in found.items()}
    every = [event for group in events.values() for event in group]
    assert relay_takes(every)
    assert len({event["event_id"] for event in every}) == 20
    for event in every:
        assert (event["release"], event["environment"]) == ("shop@7.3.1", "test")
        assert event["tags"]["service.name"] == "shop"
    _check_frames(events)
    _check_traces(every, events)


Events = dict[tuple[str, str], list[dict[str, Any]]]


def _check_frames(events: Events) -> None:
    reports = events["ReportError", "The report failed: no detail"]
    assert Counter(map(tuple, map(kinds, reports))) == {("ReportError",): 2, ("ValueError", "ReportError"): 2}
    chained = next(event for event in reports if len(kinds(event)) == 2)
    cause, raised = chained["exception"]["values"]
    assert cause["mechanism"]["source"] == "__cause__"
    assert raised["mechanism"]["handled"] is False
    assert [frame["function"] for frame in cause["stacktrace"]["frames"]] == ["_chained"]
    last = raised["stacktrace"]["frames"][-1]
    assert (last["function"], last["in_app"], last["filename"]) == ("_chained", True, "ada/pages.py")
    assert last["context_line"] == '        raise ReportError(f"The report failed: {detail}") from error'
    assert last["pre_context"][-1] == "    except ValueError as error:"
    flask = [frame for frame in raised["stacktrace"]["frames"] if frame["module"].startswith("flask.")]
    assert flask
    assert not any(frame["in_app"] for frame in flask)
    assert chained["request"] == {"method": "GET", "url": "/boom"}


def _check_traces(every: list[dict[str, Any]], events: Events) -> None:
    traces = [event["contexts"]["trace"]["trace_id"] for event in every]
    # Each request and Socket.IO event has its trace; a critical line and the exception after it share theirs.
    assert Counter(Counter(traces).values()) == {1: 16, 2: 2}
    criticals = events["Log Message", "The order book does not add up: no detail"]
    raised = events["ReportError", "The order book does not add up: no detail"]
    assert {event["contexts"]["trace"]["trace_id"] for event in criticals} == {
        event["contexts"]["trace"]["trace_id"] for event in raised
    }
    assert {event["level"] for event in criticals} == {"fatal"}


class Sent:
    """Errors sent straight to the collector, each request acknowledged by it before the next."""

    def __init__(self, stack: Stack) -> None:
        self._url = f"{stack.url('otelcol')}/v1/logs"
        self.texts: list[str] = []

    def send(self, *texts: str) -> None:
        """One request: a trace of one line and one error for each text."""
        _post(self._url, _request(*texts).SerializeToString())
        self.texts += texts


def _request(*texts: str) -> ExportLogsServiceRequest:
    request = ExportLogsServiceRequest()
    block = request.resource_logs.add()
    block.resource.attributes.add(key="service.name").value.string_value = "outage"
    scope = block.scope_logs.add()
    ids: dict[str, Any] = {"trace_id": os.urandom(16), "span_id": os.urandom(8)}
    line = scope.log_records.add(time_unix_nano=time.time_ns(), severity_number=9, **ids)
    line.body.string_value = "on the way"
    for text in texts:
        record = scope.log_records.add(time_unix_nano=time.time_ns(), severity_number=17, **ids)
        record.body.string_value = "the outage drill"
        for key, value in _raised(text).items():
            record.attributes.add(key=f"exception.{key}").value.string_value = value
    return request


def _post(url: str, body: bytes) -> None:
    headers = {"content-type": "application/x-protobuf", "content-encoding": "gzip"}
    posted = urllib.request.Request(url, gzip.compress(body), headers)
    with urllib.request.urlopen(posted, timeout=10) as answer:
        assert answer.status == 200


def _raised(text: str) -> dict[str, str]:
    try:
        raise LookupError(text)
    except LookupError as error:
        return {
            "type": "LookupError",
            "message": str(error),
            "stacktrace": traceback.format_exc(),
        }


def test_an_outage_of_sentry_with_the_collector_killed_in_it_loses_none(stack: Stack) -> None:
    issues, sent = Issues(stack), Sent(stack)
    sent.send("before")
    eventually("the error before the outage", lambda: "before" in _values(issues))
    stack.stop("bugsink")
    down = time.monotonic()
    for number in range(20):
        sent.send(f"down {number}", "the same text")
    # The bridge has been asked, and has not taken them.
    health = f"{stack.url('sentry_bridge')}/health"
    eventually("the bridge notices", lambda: get_json(health)["sentry"] == "away", 20)
    assert stack.kill("otelcol")
    eventually("the port is free again", lambda: is_free(stack.ports["otelcol_grpc"]), 10)
    stack.start("otelcol")
    for number in range(20, 40):
        sent.send(f"down {number}", "the same text")
    time.sleep(max(0.0, OUTAGE_SECONDS - (time.monotonic() - down)))
    stack.start("bugsink")
    wanted = Counter(sent.texts)
    assert wanted["the same text"] == 40
    eventually("all errors", lambda: sum(_values(issues).values()) >= len(sent.texts), 120)
    time.sleep(3)  # for one that would come twice
    found = _values(issues)
    figures(
        "Bugsink away",
        outage_s=OUTAGE_SECONDS,
        collector=ENDINGS["SIGKILL"],
        items="exceptions",
        sent=len(sent.texts),
        found=sum(found.values()),
        lost=sum((wanted - found).values()),
        twice=sum((found - wanted).values()),
    )
    assert found == wanted
    events = _drilled(issues)
    assert len({event["event_id"] for event in events}) == len(sent.texts)
    for event in events:
        assert event["breadcrumbs"]["values"][0]["message"] == "on the way"
    assert relay_takes(events)
    assert get_json(health)["sentry"] == "ok"


def _drilled(issues: Issues) -> list[dict[str, Any]]:
    """The events of the drill's errors. Bugsink makes an Issue of each text."""
    found = [issue for issue in issues.all() if issue["calculated_type"] == "LookupError"]
    return [event for issue in found for event in issues.events(issue)]


def test_a_repeat_is_no_second_event_also_when_the_bridge_was_killed_in_between(stack: Stack) -> None:
    issues, bridge = Issues(stack), stack.url("sentry_bridge")
    body = _request("sent twice", "sent twice", "sent twice, once").SerializeToString()
    for _ in range(2):
        _post(f"{bridge}/v1/logs", body)
    assert get_json(f"{bridge}/health")["repeated"] == 3
    assert stack.kill("sentry_bridge")
    eventually("the port is free again", lambda: is_free(stack.ports["sentry_bridge"]), 10)
    stack.start("sentry_bridge")
    _post(f"{bridge}/v1/logs", body)
    # This bridge knows nothing of the first; the ids are what keeps the events single.
    assert get_json(f"{bridge}/health")["taken"] == 3
    time.sleep(3)
    counted = _values(issues)
    assert (counted["sent twice"], counted["sent twice, once"]) == (2, 1)


def _values(issues: Issues) -> Counter[str]:
    """How often each text of the drill's errors arrived."""
    return Counter(event["exception"]["values"][-1]["value"] for event in _drilled(issues))
