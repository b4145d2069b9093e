"""What the tests of the logs share: a provider that keeps what it is sent."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
from opentelemetry import _logs
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor

from ada_otel import logs


@pytest.fixture
def exporter(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemoryLogRecordExporter]:
    """Keeps what becomes an OTLP record; everything is as it was after the test."""
    monkeypatch.setenv("ADA_OTEL_RAISE", "true")
    found = InMemoryLogRecordExporter()
    provider = LoggerProvider()
    provider.add_log_record_processor(SimpleLogRecordProcessor(found))
    monkeypatch.setattr(_logs._internal, "_LOGGER_PROVIDER", provider)
    kind = logging.getLoggerClass()
    yield found
    logs.stop()
    logging.setLoggerClass(kind)
