"""Each structlog processor by itself."""

from __future__ import annotations

import logging
from typing import Any

import pytest
import structlog
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter
from opentelemetry.sdk.trace import TracerProvider

from ada_otel.logs import JSONFormatter, _context, _json, processors
from tests.unit.logs.requests import Request


def test_trace_context() -> None:
    with TracerProvider().get_tracer("t").start_as_current_span("s") as span:
        found = processors.add_trace_context(None, "info", {"span_id": "mine"})
    about = span.get_span_context()
    assert found == {"trace_id": f"{about.trace_id:032x}", "span_id": "mine", "trace_sampled": True}
    assert processors.add_trace_context(None, "info", {}) == {}


def test_request_context(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_context, "current", lambda: Request(user_id=None))
    assert processors.add_request_context(None, "info", {"request_id": "mine"}) == {
        "request_id": "mine",
        "session.id": "s-1",
        "http.route": "/tea/<int:id>",
        "client.address": "192.0.2.1",
        "user_agent.original": "curl/8",
    }


def test_service(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_json, "_service", "shop")
    assert processors.add_service(None, "info", {}) == {"service": "shop"}


def test_exception_with_its_causes() -> None:
    try:
        try:
            raise OSError("no water")
        except OSError as cause:
            raise KeyError("kettle") from cause
    except KeyError as error:
        found = processors.add_exception(None, "error", {"exc_info": error})["exception"]
    assert found["traceback"].endswith("KeyError: 'kettle'\n")
    assert (found["type"], found["message"]) == ("KeyError", "'kettle'")
    assert found["causes"] == [{"type": "OSError", "message": "no water"}]
    assert processors.add_exception(None, "error", {"exc_info": True}) == {}


def test_causes_that_go_round_in_a_circle_come_to_an_end() -> None:
    first, second = ValueError("1"), ValueError("2")
    first.__cause__, second.__cause__ = second, first
    found = processors.add_exception(None, "error", {"exc_info": first})["exception"]
    assert found["causes"] == [{"type": "ValueError", "message": "2"}]


def test_call_site() -> None:
    assert processors.add_call_site(None, "info", {"line": 1}) == {
        "module": "test_processors",
        "function": "test_call_site",
        "line": 1,
    }


def test_redact() -> None:
    error = KeyError("x")
    event = {"event": "in", "password": "hunter2", "deep": {"token": "hunter2"}, "exc_info": error}
    found: Any = processors.redact(None, "info", event)
    assert "hunter2" not in str(found)
    assert (found["event"], found["exc_info"]) == ("in", error)


def test_the_whole_chain_sends_and_renders_the_same(exporter: InMemoryLogRecordExporter) -> None:
    from ada_otel import logs

    logs.configure()
    log = structlog.wrap_logger(
        structlog.ReturnLogger(), processors=[*processors.chain(), structlog.processors.JSONRenderer()]
    )
    try:
        raise KeyError("kettle")
    except KeyError:
        log.exception("tea failed", cups=3)
    (found,) = exporter.get_finished_logs()
    attributes = dict(found.log_record.attributes or {})
    assert (found.log_record.body, found.log_record.severity_text) == ("tea failed", "ERROR")
    assert attributes["exception.message"] == "'kettle'"
    assert attributes["cups"] == 3
    assert attributes["code.function.name"] == "test_the_whole_chain_sends_and_renders_the_same"
    assert not {"module", "function", "line", "timestamp", "level", "exception"} & set(attributes)


def test_the_formatter_for_handlers_of_ones_own() -> None:
    record = logging.makeLogRecord(
        {"name": "shop", "levelname": "INFO", "levelno": 20, "msg": "%d", "args": (3,)}
    )
    assert '"level":"INFO","logger":"shop","message":"3"' in JSONFormatter().format(record)
