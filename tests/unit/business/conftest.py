from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from ada_otel import settings
from ada_otel._diagnostics import forget_reports
from ada_otel.business import _engagement, _requests, _telemetry


class Telemetry:
    """What the business API has recorded, and the warnings that it gave."""

    def __init__(self, folder: Path, caplog: pytest.LogCaptureFixture) -> None:
        self.folder = folder
        self._caplog = caplog
        self._reader = InMemoryMetricReader()
        self._spans = InMemorySpanExporter()
        self._logs = InMemoryLogRecordExporter()
        tracers, loggers = TracerProvider(), LoggerProvider()
        tracers.add_span_processor(SimpleSpanProcessor(self._spans))
        loggers.add_log_record_processor(SimpleLogRecordProcessor(self._logs))
        self.tracer = tracers.get_tracer("test")
        _telemetry.telemetry.use(MeterProvider([self._reader]), tracers, loggers)

    def start(self, **environment: str) -> None:
        """Keep sessions and users."""
        _engagement.start(
            settings.load({"ADA_OTEL_BUSINESS_FOLDER": str(self.folder / "business"), **environment})
        )

    def points(self) -> dict[str, dict[tuple[Any, ...], Any]]:
        """Values by metric and by attribute values in order of their names; (count, sum) of histograms."""
        found: dict[str, dict[tuple[Any, ...], Any]] = {}
        data = self._reader.get_metrics_data()
        for resource in data.resource_metrics if data else ():
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    point: Any
                    for point in metric.data.data_points:
                        attributes = point.attributes or {}
                        key = tuple(attributes[name] for name in sorted(attributes))
                        value = (
                            (point.count, point.sum)
                            if hasattr(point, "sum")
                            else getattr(point, "value", None)
                        )
                        found.setdefault(metric.name, {})[key] = value
        return found

    def spans(self) -> list[Any]:
        return list(self._spans.get_finished_spans())

    def logs(self) -> list[Any]:
        return [entry.log_record for entry in self._logs.get_finished_logs()]

    def warnings(self) -> list[str]:
        return [record.getMessage() for record in self._caplog.records if record.name == "ada_otel"]


@pytest.fixture
def telemetry(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Telemetry]:
    monkeypatch.setenv("ADA_OTEL_RAISE", "true")
    caplog.set_level(logging.WARNING, "ada_otel")
    forget_reports()
    made = Telemetry(tmp_path, caplog)
    yield made
    _engagement.stop()
    _requests.uninstall()
    _telemetry.telemetry.use()
    forget_reports()
