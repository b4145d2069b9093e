"""What this encoder does not know goes through the stock one: counted, said once, and the same telemetry."""

from __future__ import annotations

import logging
import subprocess
import sys
from typing import Any

import pytest
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans as stock_encode_spans
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, Status

from ada_otel import _diagnostics
from ada_otel.pipeline import encoder
from tests.unit.pipeline.test_encoder_values import assert_same


class _OwnResource(Resource):
    pass


class _OwnScope(InstrumentationScope):
    pass


class _OwnContext(SpanContext):
    pass


class _OwnStatus(Status):
    pass


def _span(**changes: Any) -> ReadableSpan:
    values: dict[str, Any] = {
        "name": "s",
        "context": SpanContext(1, 2, False),
        "resource": Resource({"service.name": "ada"}),
    }
    return ReadableSpan(**values | changes)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"resource": _OwnResource({"a": 1})}, "resource type"),
        ({"instrumentation_scope": _OwnScope("a")}, "scope type"),
        ({"context": _OwnContext(1, 2, False)}, "span context type"),
        ({"parent": _OwnContext(1, 2, True)}, "span context type"),
        ({"status": _OwnStatus()}, "status type"),
        ({"attributes": {"bad": "\ud800", "good": 1}}, "UnicodeEncodeError"),
    ],
)
def test_a_surprise_sends_the_whole_batch_to_stock(changes: dict[str, Any], reason: str) -> None:
    before = encoder.fallbacks().get(("traces", reason), 0)
    spans = [_span(), _span(**changes), _span(name="last")]
    assert_same(encoder.encode_spans(spans), stock_encode_spans(spans))
    assert encoder.fallbacks()["traces", reason] == before + 1


@pytest.mark.parametrize(
    "changes",
    [
        {"context": SpanContext(1 << 128, 2, False)},
        {"context": SpanContext(1, 1 << 64, False)},
        {"context": None},
        {"start_time": 1 << 64},
        {"start_time": -1},
        {"name": "\ud800"},
        {"name": 5},
        {"kind": "server"},
        {"links": 5},
    ],
)
def test_a_span_that_stock_refuses_is_refused_with_the_same_error(changes: dict[str, Any]) -> None:
    spans = [_span(**changes)]
    with pytest.raises(Exception) as stock:  # whatever it is, ours must be the same
        stock_encode_spans(spans)
    with pytest.raises(type(stock.value)):
        encoder.encode_spans(spans)


def test_each_reason_is_logged_once_at_debug(caplog: pytest.LogCaptureFixture) -> None:
    _diagnostics.forget_reports()
    spans = [_span(attributes={"bad": object()})]
    with caplog.at_level(logging.DEBUG, logger="ada_otel"):
        for _ in range(3):
            encoder.encode_spans(spans)
    said = [r for r in caplog.records if r.name == "ada_otel" and "stock OTLP encoder" in r.getMessage()]
    assert [(r.levelno, r.getMessage()) for r in said] == [
        (logging.DEBUG, "A batch of traces went through the stock OTLP encoder: attribute type.")
    ]


def test_a_broken_fast_path_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> bytes:
        raise ZeroDivisionError

    monkeypatch.setattr(encoder._traces, "_tail", broken)
    before = encoder.fallbacks().get(("traces", "ZeroDivisionError"), 0)
    spans = [_span()]
    assert_same(encoder.encode_spans(spans), stock_encode_spans(spans))
    assert encoder.fallbacks()["traces", "ZeroDivisionError"] == before + 1


def test_protobuf_is_not_imported_until_a_fallback() -> None:
    program = """
import sys
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanContext
from ada_otel.pipeline import encoder
def loaded():
    late = ("google.protobuf", "opentelemetry.proto", "opentelemetry.exporter")
    return sorted(name for name in sys.modules if name.startswith(late))
def span(value):
    return ReadableSpan("s", SpanContext(1, 2, False), resource=Resource({}), attributes={"k": value})
assert encoder.encode_spans([span(1)])
assert loaded() == [], loaded()
assert encoder.encode_spans([span(1 << 64)])
assert "google.protobuf" in loaded()
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
