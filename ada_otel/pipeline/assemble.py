"""Puts the pipeline together from the environment, as the SDK's own configurator does with its parts.

Names of exporters, samplers, id generators and configurators are resolved by the SDK's code, so that every
plug-in that works with stock works here. What is ours: the providers, the batch processors, the metric
reader, the OTLP/HTTP exporters and the end of the process.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from opentelemetry import _logs, metrics, trace
from opentelemetry.sdk import _configuration as stock
from opentelemetry.sdk.resources import Resource

from ada_otel.pipeline import exit as process_exit
from ada_otel.pipeline.export import otlp, stats
from ada_otel.pipeline.export.batch import BatchLogRecordProcessor, BatchSpanProcessor
from ada_otel.pipeline.export.delivery import Delivers
from ada_otel.pipeline.logging import LoggerProvider
from ada_otel.pipeline.metrics import MeterProvider, PeriodicReader
from ada_otel.pipeline.tracing import TracerProvider

if TYPE_CHECKING:
    from ada_otel.settings import Settings

_OURS = "otlp_proto_http"
_CREDENTIAL_PROVIDERS = tuple(
    f"OTEL_PYTHON_EXPORTER_OTLP_HTTP_{signal}CREDENTIAL_PROVIDER"
    for signal in ("", "TRACES_", "METRICS_", "LOGS_")
)


def assemble(settings: Settings, resource_attributes: dict[str, Any], version: str | None = None) -> None:
    """Set the global providers.

    Args:
        settings: The settings in force.
        resource_attributes: To add to what is detected.
        version: Of the launcher, when it is the launcher that starts us; ``telemetry.auto.version``.
    """
    if version:
        resource_attributes = {**resource_attributes, "telemetry.auto.version": version}
    resource = Resource.create(resource_attributes)
    _opamp("pre_sdk_init_function", resource)
    # Metrics first: the others report their own figures to the global meter provider.
    readers = [_reader(name) for name in stock._get_exporter_names("metrics")]
    meter_provider = MeterProvider(
        readers,
        resource,
        shutdown_on_exit=False,
        cardinality_limit=settings.cardinality_limit,
        _meter_configurator=stock._import_meter_configurator(stock._get_meter_configurator()),
    )
    metrics.set_meter_provider(meter_provider)
    spans = _spans(settings, resource)
    logs = _logs_provider(settings, resource)
    stats.register(meter_provider.get_meter("ada_otel"))
    _opamp("post_sdk_init_function", resource)
    process_exit.install(
        [_flusher(provider) for provider in (spans, meter_provider, logs)], settings.exit_timeout
    )


def _spans(settings: Settings, resource: Resource) -> TracerProvider:
    provider = TracerProvider(
        sampler=stock._import_sampler(stock._get_sampler()),
        id_generator=stock._import_id_generator(stock._get_id_generator()),
        resource=resource,
        shutdown_on_exit=False,
        _tracer_configurator=stock._import_tracer_configurator(stock._get_tracer_configurator()),
    )
    trace.set_tracer_provider(provider)
    for name in stock._get_exporter_names("traces"):
        exporter = otlp.OTLPSpanExporter() if _ours(name) else _stock_exporter(0, name)
        provider.add_span_processor(BatchSpanProcessor(exporter, **_spool(settings)))
    return provider


def _logs_provider(settings: Settings, resource: Resource) -> LoggerProvider:
    provider = LoggerProvider(
        resource=resource,
        shutdown_on_exit=False,
        _logger_configurator=stock._import_logger_configurator(stock._get_logger_configurator()),
    )
    _logs.set_logger_provider(provider)
    for name in stock._get_exporter_names("logs"):
        exporter = otlp.OTLPLogExporter() if _ours(name) else _stock_exporter(2, name)
        provider.add_log_record_processor(BatchLogRecordProcessor(exporter, **_spool(settings)))
    return provider


def _reader(name: str) -> Any:
    if _ours(name):
        return PeriodicReader(otlp.OTLPMetricExporter())
    made = _stock_exporter(1, name)
    return made if hasattr(made, "collect") else PeriodicReader(made)


def _stock_exporter(signal: int, name: str) -> Any:
    names: list[Sequence[str]] = [(), (), ()]
    names[signal] = (name,)
    (found,) = stock._import_exporters(*names)[signal].values()
    return found()


def _ours(name: str) -> bool:
    # A credential provider gives a requests.Session, which only the stock exporters can use.
    return name == _OURS and not any(os.environ.get(variable) for variable in _CREDENTIAL_PROVIDERS)


def _spool(settings: Settings) -> dict[str, Any]:
    return {
        "spool_folder": settings.spool_folder or None,
        "spool_max_bytes": settings.spool_max_bytes,
        "spool_fsync": settings.spool_fsync,
        "max_queue_bytes": settings.queue_max_bytes,
    }


def _flusher(provider: Any) -> Callable[[float], object]:
    """Shut a provider down within the seconds that are left."""

    def flush(seconds: float) -> None:
        deadline = time.monotonic() + seconds
        if isinstance(provider, MeterProvider):
            for reader in provider._metric_readers:
                exporter = getattr(reader, "_exporter", None)
                if isinstance(exporter, Delivers):
                    exporter.hurry(deadline)  # an export that waits for its next try would use it all up
            provider.shutdown(timeout_millis=seconds * 1e3)
            return
        # The other providers' shutdown takes no time limit; that of our processors does.
        for part in _processors(provider):
            if isinstance(part, (BatchSpanProcessor, BatchLogRecordProcessor)):
                part.shutdown(timeout_millis=int(max(0.0, deadline - time.monotonic()) * 1e3))
        provider.shutdown()

    return flush


def _processors(provider: TracerProvider | LoggerProvider) -> Sequence[Any]:
    if isinstance(provider, TracerProvider):
        return provider._active_span_processor._span_processors
    return provider._multi_log_record_processor._log_record_processors


def _opamp(name: Any, resource: Resource) -> None:
    start = stock._import_opamp(name)
    if start is not None:
        start(resource)
