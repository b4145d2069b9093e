"""Sending: what is tried again and what is not, and that no server can hold an attempt beyond its time."""

from __future__ import annotations

import socket
import threading
import time
from email.utils import formatdate
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from ada_otel import _diagnostics
from ada_otel.pipeline.export.protocol import partial_success, retry_after
from ada_otel.pipeline.export.sender import Sender
from ada_otel.pipeline.export.target import Target
from tests.drills.faults import Request, answer, collector, refusing


@pytest.fixture(autouse=True)
def _fresh_reports() -> None:
    _diagnostics.forget_reports()


def sender_to(endpoint: str, **kwargs: Any) -> Sender:
    timeout = kwargs.pop("timeout", 1.0)
    compression = kwargs.pop("compression", "none")
    target = Target(endpoint + "/v1/traces", {"x-key": "1"}, timeout, compression)
    return Sender(target, "traces", backoff=kwargs.pop("backoff", 0.01), **kwargs)


@pytest.mark.parametrize("compression", ["none", "gzip", "deflate"])
def test_body_arrives_unchanged_over_one_connection(compression: Any) -> None:
    with collector() as server:
        sender = sender_to(server.endpoint, compression=compression)
        bodies = [b"a" * 10, b"", b"b" * 3_000_000]
        assert [sender.send(body, 5).kind for body in bodies] == ["sent"] * 3
        assert [request.plain for request in server.requests] == bodies
        assert server.connections == 1
        assert server.requests[0].headers["x-key"] == "1"
        assert ("content-encoding" in server.requests[0].headers) == (compression != "none")


@pytest.mark.parametrize("mode", ["black_hole", "drip"])
def test_attempt_ends_by_its_timeout_whatever_the_server_does(mode: Any) -> None:
    with collector(mode) as server:
        sender = sender_to(server.endpoint, timeout=1.3, backoff=60)
        begun = time.monotonic()
        outcome = sender.send(b"x", 1.9)
        assert (outcome.kind, outcome.error) == ("retry", "TimeoutError")
        assert 1.2 <= time.monotonic() - begun < 2.3
        assert len(server.requests) == 1


def test_attempt_ends_when_the_server_does_not_read() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        begun = time.monotonic()
        outcome = sender_to(address, timeout=0.7, backoff=60).send(b"x" * 20_000_000, 1.0)
        assert outcome.kind == "retry"
        assert time.monotonic() - begun < 1.4


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_retryable_status_is_tried_again_until_it_passes(status: Any) -> None:
    with collector(str(status)) as server:
        sender = sender_to(server.endpoint)

        def recover(_request: Request) -> bytes:
            return answer(status) if len(server.requests) < 4 else answer(200)

        server.mode = recover
        assert sender.send(b"x", 5).kind == "sent"
        assert len(server.requests) == 4
        assert not sender.failing


@pytest.mark.parametrize("status", [400, 401, 403, 404, 500, 501])
def test_other_status_is_final(status: Any) -> None:
    with collector(str(status)) as server:
        outcome = sender_to(server.endpoint).send(b"x", 5)
        assert (outcome.kind, outcome.error) == ("rejected", str(status))
        assert len(server.requests) == 1


def test_413_asks_for_less() -> None:
    with collector("413") as server:
        assert sender_to(server.endpoint).send(b"x", 5).kind == "too_large"


def test_redirect_is_not_followed(caplog: pytest.LogCaptureFixture) -> None:
    with (
        collector() as other,
        collector(lambda _: answer(307, location=other.endpoint + "/v1/traces")) as server,
    ):
        assert sender_to(server.endpoint).send(b"secret", 5).kind == "rejected"
        assert not other.requests
    assert "not followed" in caplog.text


def test_refused_connection_is_tried_again_and_reported_once(caplog: pytest.LogCaptureFixture) -> None:
    with refusing() as endpoint:
        sender = sender_to(endpoint)
        begun = time.monotonic()
        outcome = sender.send(b"x", 1.0)
        assert (outcome.kind, outcome.error) == ("retry", "ConnectionRefusedError")
        assert sender.failures > 2
        assert time.monotonic() - begun < 1.5
    assert len([line for line in caplog.messages if "tried again" in line]) == 1


def test_connection_closed_while_idle_is_replaced_without_a_failure() -> None:
    def once(_request: Request) -> bytes:
        return b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: keep-alive\r\n\r\n"

    with collector(once) as server:
        sender = sender_to(server.endpoint, backoff=60)
        assert sender.send(b"1", 5).kind == "sent"
        server.mode = lambda _request: b""  # the server closes instead of answering
        threading.Timer(0.2, lambda: setattr(server, "mode", "healthy")).start()
        assert sender._connection._sock is not None
        sender._connection._sock.shutdown(2)
        time.sleep(0.3)
        assert sender.send(b"2", 5).kind == "sent"
        assert sender.failures == 0
        assert server.connections == 2


@pytest.mark.parametrize("as_date", [False, True])
def test_retry_after_is_honoured(as_date: Any) -> None:
    with collector() as server:

        def later(_request: Request) -> bytes:
            if len(server.requests) > 1:
                return answer(200)
            value = formatdate(time.time() + 2, usegmt=True) if as_date else "1"
            return answer(503, retry_after=value)

        server.mode = later
        assert sender_to(server.endpoint, draw=lambda: 0.0).send(b"x", 10).kind == "sent"
        first, second = (request.at for request in server.requests)
        assert 0.9 <= second - first < 2.6


def test_waiting_does_not_outlast_the_time_given() -> None:
    with collector(lambda _: answer(503, retry_after="100")) as server:
        begun = time.monotonic()
        assert sender_to(server.endpoint).send(b"x", 0.8).kind == "retry"
        assert time.monotonic() - begun < 1.2
        assert len(server.requests) == 1


def test_back_off_has_full_jitter_and_a_bound() -> None:
    sender = Sender(Target("http://127.0.0.1:9/"), "traces", backoff=1, longest_backoff=30, draw=lambda: 1.0)
    pauses = []
    for failures in range(1, 9):
        sender.failures = failures
        pauses.append(sender._pause(None))
    assert pauses == [1, 2, 4, 8, 16, 30, 30, 30]
    sender._draw = lambda: 0.0
    assert sender._pause(None) == 0
    assert sender._pause(10) == 10
    sender._draw = lambda: 1.0
    assert sender._pause(10) == 11.5  # jitter on top of what was asked for, never below


def test_hurry_cuts_the_waiting_short_and_makes_one_last_attempt() -> None:
    with collector("503") as server:
        sender = sender_to(server.endpoint, backoff=60, draw=lambda: 1.0)
        outcomes = []
        thread = threading.Thread(target=lambda: outcomes.append(sender.send(b"x", 30)))
        thread.start()
        assert server.wait_for(lambda: len(server.requests) == 1)
        time.sleep(0.1)
        server.mode = "healthy"
        sender.hurry(time.monotonic() + 1)
        thread.join(2)
        assert outcomes[0].kind == "sent"


def test_partial_success_is_read_as_protobuf_reads_it(caplog: pytest.LogCaptureFixture) -> None:
    said = ExportTraceServiceResponse()
    said.partial_success.rejected_spans = 300
    said.partial_success.error_message = "too old: ü"
    body = said.SerializeToString()
    rejection = partial_success(body)
    assert rejection is not None
    assert (rejection.items, rejection.message) == (300, "too old: ü")
    assert partial_success(b"") is None
    assert partial_success(ExportTraceServiceResponse().SerializeToString()) is None
    assert partial_success(b"<html>fine</html>") is None
    with collector(lambda _: answer(200, body)) as server:
        sender = sender_to(server.endpoint)
        for _ in range(3):
            outcome = sender.send(b"x", 5)
            assert outcome.rejection == rejection
    assert len([line for line in caplog.messages if "too old" in line]) == 1


@pytest.mark.parametrize(
    ("value", "expected"),
    [("7", 7.0), (" 1.5 ", 1.5), ("-3", 0.0), ("soon", None), ("inf", None), (None, None), ("nan", None)],
)
def test_retry_after_values(value: Any, expected: Any) -> None:
    assert retry_after(value) == expected


def test_retry_after_date_in_the_past_is_now() -> None:
    assert retry_after("Wed, 21 Oct 2015 07:28:00 GMT") == 0.0


@pytest.mark.parametrize("within", [0.05, 0.5])
def test_short_times_are_enough_for_one_attempt(within: Any) -> None:
    with collector() as server:
        assert sender_to(server.endpoint).send(b"x", within).kind == "sent"
