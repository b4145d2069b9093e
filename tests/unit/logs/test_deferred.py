"""Lines that are made when they are sent: what they say was true when they were logged."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry import _logs
from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs as stock_encode_logs
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.sdk._logs._internal import _default_logger_configurator, _disable_logger_configurator
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor

from ada_otel import logs, redaction, settings
from ada_otel.logs import _context, _deferred
from ada_otel.pipeline import encoder
from ada_otel.pipeline.export.batch import BatchLogRecordProcessor
from ada_otel.pipeline.export.otlp import OTLPLogExporter
from ada_otel.pipeline.logging import DeferredLog, LoggerProvider
from tests.unit.logs.requests import Request

Queue = Any


@pytest.fixture
def queue(monkeypatch: pytest.MonkeyPatch) -> Iterator[Queue]:
    """The queue of our own processor, from which nothing is sent meanwhile."""
    processor = BatchLogRecordProcessor(
        OTLPLogExporter(endpoint="http://127.0.0.1:9/v1/logs"), schedule_delay_millis=600_000
    )
    provider = LoggerProvider()
    provider.add_log_record_processor(processor)
    monkeypatch.setattr(_logs._internal, "_LOGGER_PROVIDER", provider)
    monkeypatch.setenv("ADA_OTEL_RAISE", "true")
    logs.start(settings.load({}))
    yield processor._queue
    logs.stop()
    processor._queue.clear()
    provider.shutdown()


def _sent(queue: Queue) -> list[dict[str, Any]]:
    """Attributes of what waits, with the body as ``body``, as a receiver of OTLP reads them."""
    before = encoder.fallbacks()
    message = ExportLogsServiceRequest.FromString(encoder.encode_logs(queue.take(100)))
    assert encoder.fallbacks() == before
    found = []
    for record in message.resource_logs[0].scope_logs[0].log_records:
        keys = [pair.key for pair in record.attributes]
        assert len(keys) == len(set(keys))
        values = {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in record.attributes}
        found.append({"body": record.body.string_value, **values})
    return found


def test_a_line_says_what_was_true_when_it_was_logged(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    request = Request()
    monkeypatch.setattr(_context, "current", lambda: request)
    basket = ["tea"]
    logging.getLogger("shop").info("%s in the basket", basket, extra={"items": 1, "voucher": None})
    basket.append("milk")
    request.user_id, request.route = "u-2", "/milk"
    line = queue._plain[0]
    assert type(line) is tuple
    (sent,) = _sent(queue)
    assert sent.pop("code.line.number") > 0
    assert sent == {
        "body": "['tea'] in the basket",
        "items": 1,
        "code.file.path": __file__,
        "code.function.name": "test_a_line_says_what_was_true_when_it_was_logged",
        "request_id": "r-1",
        "user_id": "u-1",
        "session.id": "s-1",
        "http.route": "/tea/<int:id>",
        "client.address": "192.0.2.1",
        "user_agent.original": "curl/8",
    }


def test_what_a_line_says_itself_comes_once(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_context, "current", Request)
    logging.getLogger("shop").info("moved", extra={"http.route": "/milk", "user_id": "u-9"})
    (sent,) = _sent(queue)
    assert (sent["http.route"], sent["user_id"], sent["request_id"]) == ("/milk", "u-9", "r-1")


def test_secrets_are_taken_out(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_context, "current", lambda: Request(user_agent="curl password=hunter2"))
    logging.getLogger("shop").info("password=hunter2 given", extra={"api_key": "hunter2"})
    (sent,) = _sent(queue)
    assert "hunter2" not in repr(sent)
    assert sent["user_agent.original"].startswith("curl ")


def test_a_rule_that_comes_later_holds_for_lines_that_were_seen_before(queue: Queue) -> None:
    log = logging.getLogger("shop")
    for _ in range(2):
        log.info("badge QQ-77-QQ", extra={"holder": "QQ-77-QQ", "locker": "seven"})
        (sent,) = _sent(queue)
        assert (sent["body"], sent["holder"], sent["locker"]) == ("badge QQ-77-QQ", "QQ-77-QQ", "seven")
    redaction.add_pattern("badge", r"QQ-\d+-QQ")
    redaction.add_key("locker")
    try:
        log.info("badge QQ-77-QQ", extra={"holder": "QQ-77-QQ", "locker": "seven"})
        (item,) = queue.take(100)
        message = ExportLogsServiceRequest.FromString(encoder.encode_logs([item]))
        (record,) = message.resource_logs[0].scope_logs[0].log_records
        values = {pair.key: pair.value.string_value for pair in record.attributes}
        assert record.body.string_value == "badge [redacted badge]"
        assert (values["holder"], values["locker"]) == ("[redacted badge]", "[redacted]")
        assert DeferredLog(item).body == "badge [redacted badge]"
        assert (DeferredLog(item).attributes["holder"], DeferredLog(item).attributes["locker"]) == (
            "[redacted badge]",
            "[redacted]",
        )
    finally:
        redaction.forget()


def test_a_processor_that_comes_later_gets_the_lines_that_follow(queue: Queue) -> None:
    log = logging.getLogger("shop")
    log.info("before")
    later = InMemoryLogRecordExporter()
    _logs.get_logger_provider().add_log_record_processor(  # type: ignore[attr-defined]  # the fixture's
        SimpleLogRecordProcessor(later)
    )
    log.info("after")
    assert [found.log_record.body for found in later.get_finished_logs()] == ["after"]
    assert [sent["body"] for sent in _sent(queue)] == ["before", "after"]


def test_a_logger_that_is_switched_off_sends_nothing(queue: Queue) -> None:
    provider: Any = _logs.get_logger_provider()
    log = logging.getLogger("shop")
    log.info("before")
    provider._set_logger_configurator(logger_configurator=_disable_logger_configurator)
    log.info("while it is off")
    provider._set_logger_configurator(logger_configurator=_default_logger_configurator)
    log.info("after")
    assert [sent["body"] for sent in _sent(queue)] == ["before", "after"]


def test_a_line_is_weighed_by_its_texts_without_being_put_together(queue: Queue) -> None:
    log = logging.getLogger("shop")
    log.info("x", extra={"note": "x"})
    log.info("x" * 1_001, extra={"note": "x" * 501})
    small, large = map(queue._weigh, queue.take(100))
    assert large - small == 1_500


def test_a_line_that_cannot_be_made_tells_that_it_was_there(
    queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_parts: Any) -> Any:
        raise RuntimeError("hunter2")

    monkeypatch.setattr(_deferred, "_finish", broken)
    logging.getLogger("shop").info("hunter2")
    monkeypatch.setenv("ADA_OTEL_RAISE", "false")
    assert _sent(queue) == [{"body": "[this line could not be made]"}]


def test_exceptions_and_values_that_are_not_plain_are_made_at_once(queue: Queue) -> None:
    log = logging.getLogger("shop")
    basket = ["tea"]
    log.info("basket", extra={"basket": basket})
    log.error("lost", exc_info=ValueError("spilt"))
    log.info("named", extra={"otel.event.name": "tea.ready"})
    basket.append("milk")
    assert [type(item) for item in (*queue._important, *queue._plain) if type(item) is tuple] == []
    message = ExportLogsServiceRequest.FromString(encoder.encode_logs(queue.take(100)))
    records = message.resource_logs[0].scope_logs[0].log_records
    assert sorted(record.body.string_value for record in records) == ["basket", "lost", "named"]


def test_our_encoder_and_the_stock_one_give_the_same(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_context, "current", Request)
    for number in (7, True, 0.5, "text", "ü" * 300, 1 << 40):
        logging.getLogger("shop").info("line", extra={"value": number})
    items = queue.take(100)
    assert {type(item) for item in items} == {tuple}
    ours = ExportLogsServiceRequest.FromString(encoder.encode_logs(items))
    readable: list[Any] = [DeferredLog(item) for item in items]
    stock = stock_encode_logs(readable)
    assert ours.SerializeToString(deterministic=True) == stock.SerializeToString(deterministic=True)
