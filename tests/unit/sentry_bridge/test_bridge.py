"""The bridge between a sender of OTLP and a stand-in for Sentry: what is answered, and what is sent when."""

from __future__ import annotations

import gzip
import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse

from ada_otel.sentry_bridge import Bridge, Destination, EventSettings, Sender
from tests.unit.sentry_bridge.fake_sentry import KEY, FakeSentry, fake_sentry
from tests.unit.sentry_bridge.samples import exception_attributes, log_record, raised, request_of
from tests.unit.sentry_bridge.serving import serving

_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Clock:
    """Seconds that go by only when told."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def sentry() -> Iterator[FakeSentry]:
    with fake_sentry() as fake:
        yield fake


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def bridge(sentry: FakeSentry, clock: Clock) -> Iterator[Bridge]:
    with bridge_to(sentry.dsn, clock) as running:
        yield running


@contextmanager
def bridge_to(dsn: str, clock: Clock) -> Iterator[Bridge]:
    sender = Sender(Destination.from_dsn(dsn), timeout=2, clock=clock)
    with serving(Bridge(("127.0.0.1", 0), sender, EventSettings())) as running:
        yield running


def errors(count: int) -> bytes:
    attributes = exception_attributes(raised(lambda: int("x")))
    records = [log_record(f"failure {number}", attributes, time=10**18 + number) for number in range(count)]
    body: bytes = request_of(*records).SerializeToString()
    return body


def post(
    bridge: Bridge, body: bytes, path: str = "/v1/logs", **headers: str
) -> tuple[int, dict[str, str], bytes]:
    sent = {"Content-Type": "application/x-protobuf", "Content-Encoding": "gzip", **headers}
    data = gzip.compress(body) if sent["Content-Encoding"] == "gzip" else body
    request = urllib.request.Request(bridge.url + path, data, sent)
    try:
        with _DIRECT.open(request, timeout=10) as answer:
            return answer.status, dict(answer.headers), answer.read()
    except urllib.error.HTTPError as error:
        return error.code, dict(error.headers), error.read()


def reason(body: bytes) -> str:
    return str(Status.FromString(body).message)


def health(bridge: Bridge) -> dict[str, Any]:
    with _DIRECT.open(f"{bridge.url}/health", timeout=10) as answer:
        found: dict[str, Any] = json.load(answer)
    return found


def messages(sentry: FakeSentry) -> list[str]:
    return [event["logentry"]["formatted"] for event in sentry.events]


def test_200_once_sentry_has_every_event_each_in_an_envelope(bridge: Bridge, sentry: FakeSentry) -> None:
    status, headers, body = post(bridge, errors(3))
    assert status == 200
    assert headers["Content-Type"] == "application/x-protobuf"
    assert not ExportLogsServiceResponse.FromString(body).HasField("partial_success")
    assert messages(sentry) == ["failure 0", "failure 1", "failure 2"]
    ((path, auth),) = set(sentry.asked)
    assert path == "/api/42/envelope/"
    assert auth.startswith("Sentry sentry_version=7, ")
    assert f"sentry_key={KEY}" in auth
    assert health(bridge)["taken"] == 3


def test_without_compression_and_without_errors(bridge: Bridge, sentry: FakeSentry) -> None:
    lines = request_of(log_record(severity=9), log_record(severity=17)).SerializeToString()
    assert post(bridge, lines, **{"Content-Encoding": "identity"})[0] == 200
    assert sentry.asked == []


def test_a_limit_is_passed_on_and_sentry_left_alone_until_it_ends(
    bridge: Bridge, sentry: FakeSentry, clock: Clock
) -> None:
    sentry.answers = [
        (200, {}),
        (429, {"X-Sentry-Rate-Limits": "30:error:organization", "Retry-After": "99"}),
    ]
    body = errors(3)
    status, headers, answer = post(bridge, body)
    assert (status, headers["Retry-After"]) == (429, "30")
    assert "429" in reason(answer)
    assert len(sentry.asked) == 2
    clock.now += 10.5
    assert post(bridge, body)[1]["Retry-After"] == "20"
    assert len(sentry.asked) == 2
    # Records without an error need no Sentry.
    assert post(bridge, request_of(log_record(severity=9)).SerializeToString())[0] == 200
    clock.now += 20
    assert post(bridge, body)[0] == 200
    # What was taken before the limit is not sent again.
    assert messages(sentry) == ["failure 0", "failure 1", "failure 2"]
    assert len(sentry.asked) == 4


def test_a_limit_that_comes_with_a_200_holds_from_the_next_event_on(
    bridge: Bridge, sentry: FakeSentry
) -> None:
    sentry.answers = [(200, {"X-Sentry-Rate-Limits": "60:default;error:key"})]
    status, headers, _ = post(bridge, errors(2))
    assert (status, headers["Retry-After"]) == (429, "60")
    assert messages(sentry) == ["failure 0"]


def test_limits_of_other_categories_do_not_count(bridge: Bridge, sentry: FakeSentry) -> None:
    sentry.answers = [(200, {"X-Sentry-Rate-Limits": "60:transaction;session:key"})]
    assert post(bridge, errors(2))[0] == 200


@pytest.mark.parametrize(
    ("answer", "headers", "wait"),
    [
        (500, {}, "5"),
        (502, {}, "5"),
        (503, {"Retry-After": "7"}, "7"),
        (401, {}, "60"),
        (403, {}, "60"),
        (404, {}, "60"),
    ],
)
def test_503_while_sentry_cannot_take_events(
    bridge: Bridge, sentry: FakeSentry, answer: int, headers: dict[str, str], wait: str
) -> None:
    sentry.answers = [(answer, headers)]
    status, came, body = post(bridge, errors(1))
    assert (status, came["Retry-After"]) == (503, wait)
    assert str(answer) in reason(body)
    assert health(bridge)["sentry"] == "away"


def test_503_when_nobody_answers(clock: Clock) -> None:
    with fake_sentry() as gone:
        dsn = gone.dsn
    with bridge_to(dsn, clock) as bridge:
        status, headers, body = post(bridge, errors(1))
        assert (status, headers["Retry-After"]) == (503, "5")
        assert "did not answer" in reason(body)
        assert KEY not in reason(body)
        assert KEY not in json.dumps(health(bridge))


def test_an_event_that_sentry_never_takes_is_said_to_be_rejected_and_holds_up_none(
    bridge: Bridge, sentry: FakeSentry
) -> None:
    sentry.answers = [(200, {}), (400, {"X-Sentry-Error": "invalid event"})]
    body = errors(3)
    status, _, answer = post(bridge, body)
    partial = ExportLogsServiceResponse.FromString(answer).partial_success
    assert (status, partial.rejected_log_records) == (200, 1)
    assert "invalid event" in partial.error_message
    assert messages(sentry) == ["failure 0", "failure 2"]
    assert health(bridge)["rejected"] == 1


def test_too_large_for_sentry_is_tried_once_more_in_small(bridge: Bridge, sentry: FakeSentry) -> None:
    sentry.answers = [(413, {})]
    assert post(bridge, errors(1))[0] == 200
    assert messages(sentry) == ["failure 0"]
    sentry.answers = [(413, {}), (413, {})]
    other = request_of(
        log_record("other", exception_attributes(raised(lambda: int("y"))))
    ).SerializeToString()
    answer = ExportLogsServiceResponse.FromString(post(bridge, other)[2])
    assert answer.partial_success.rejected_log_records == 1


def test_a_request_that_takes_too_long_goes_on_where_it_stopped(bridge: Bridge, sentry: FakeSentry) -> None:
    sender = bridge.sender
    sender._budget = 0.0
    body = errors(2)
    assert post(bridge, body)[0] == 503
    assert sentry.events == []
    sender._budget = 45.0
    assert post(bridge, body)[0] == 200
    assert len(sentry.events) == 2


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/v1/logs", {"Content-Encoding": "identity"}, 400),
        ("/v1/logs", {"Content-Encoding": "br"}, 400),
        ("/v1/logs", {"Content-Type": "application/json"}, 415),
        ("/v1/traces", {}, 404),
    ],
)
def test_requests_that_are_wrong(
    bridge: Bridge, sentry: FakeSentry, path: str, headers: dict[str, str], status: int
) -> None:
    got, _, body = post(bridge, b"\xff\xff\xff", path, **headers)
    assert got == status
    assert reason(body).startswith("ada-otel sentry-bridge: ")
    assert sentry.asked == []


def test_through_a_proxy(sentry: FakeSentry, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    address = sentry.dsn.partition("@")[2].removesuffix("/42")
    monkeypatch.setenv("http_proxy", f"http://ada:secret@{address}")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with bridge_to(f"http://{KEY}@sentry.test/42", clock) as bridge:
        assert post(bridge, errors(1))[0] == 200
    assert [path for path, _ in sentry.asked] == ["http://sentry.test/api/42/envelope/"]


def test_the_key_is_in_no_repr() -> None:
    destination = Destination.from_dsn(f"https://{KEY}@sentry.test/base/42")
    assert destination.url == "https://sentry.test/base/api/42/envelope/"
    assert KEY not in repr(destination)
