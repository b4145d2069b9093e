"""Lines are counted by severity, and exceptions by type and route."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from opentelemetry.metrics import _internal
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from ada_otel import logs
from ada_otel.logs import _context, _metrics
from ada_otel.pipeline.metrics import MeterProvider
from tests.unit.logs.requests import Request


def _points(reader: InMemoryMetricReader) -> dict[tuple[str, frozenset[tuple[str, Any]]], Any]:
    data = reader.get_metrics_data()
    assert data is not None
    return {
        (metric.name, frozenset((point.attributes or {}).items())): point.value  # type: ignore[union-attr]
        for block in data.resource_metrics
        for scope in block.scope_metrics
        for metric in scope.metrics
        for point in metric.data.data_points
    }


def test_records_and_exceptions(exporter: InMemoryLogRecordExporter, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = InMemoryMetricReader()
    monkeypatch.setattr(_internal, "_METER_PROVIDER", MeterProvider([reader], shutdown_on_exit=False))
    monkeypatch.setattr(_context, "current", Request)
    logs.configure(level="DEBUG")
    log = logging.getLogger("shop.counts")
    log.setLevel(1)
    for level, times in ((10, 1), (20, 5), (25, 2), (30, 3), (50, 1)):
        for _ in range(times):
            log.log(level, "line")
    log.log(5, "below the level")
    logging.getLogger("ada_otel").warning("our own")
    monkeypatch.setattr(_metrics, "_MOST_HANDLES", 0)
    for error in (KeyError("x"), KeyError("y"), OSError("x")):
        log.error("failed", exc_info=error)
    monkeypatch.setattr(_context, "current", lambda: None)
    log.error("with one", exc_info=ValueError("never raised"))
    severities = {"DEBUG": 1, "INFO": 7, "WARN": 3, "ERROR": 4, "FATAL": 1}
    route = ("http.route", "/tea/<int:id>")
    assert _points(reader) == {
        **{
            ("ada.log.records", frozenset({("ada.log.severity", name)})): count
            for name, count in severities.items()
        },
        ("ada.exceptions", frozenset({("exception.type", "KeyError"), route})): 2,
        ("ada.exceptions", frozenset({("exception.type", "OSError"), route})): 1,
        ("ada.exceptions", frozenset({("exception.type", "ValueError")})): 1,
    }
    attributes = dict(exporter.get_finished_logs()[0].log_record.attributes or {})
    assert {name: attributes[name] for name in ("request_id", "user_id", "session.id", "http.route")} == {
        "request_id": "r-1",
        "user_id": "u-1",
        "session.id": "s-1",
        "http.route": "/tea/<int:id>",
    }
