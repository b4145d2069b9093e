"""Starts, connects and flushes the telemetry of a variant from within the app's process.

Runs in the environment of each variant, so nothing here may be imported before it is known to be installed.
"""

from __future__ import annotations

import os
from typing import Any

VARIANT = os.environ["BENCH_VARIANT"]
#: Where telemetry goes: ``http://127.0.0.1:PORT``.
SINK = os.environ["BENCH_SINK"]
LOGS = os.environ["BENCH_LOGS"] == "true"
SAMPLE_RATE = float(os.environ["BENCH_SAMPLE_RATE"])
#: No variant may drop what it should encode: a block of requests comes faster than any real load.
QUEUE = 1 << 16
FLUSH_SECONDS = 30


def start() -> None:
    """Start an SDK that has no launcher; called before the app is imported."""
    if VARIANT == "sentry":
        _start_sentry()
    elif VARIANT == "logfire":
        _start_logfire()


def connect(app: Any, engine: Any) -> None:
    """Instrument the app where the SDK wants to be told of it."""
    if VARIANT != "logfire":
        return
    import logfire  # type: ignore[import-not-found,unused-ignore]  # in that variant's environment only

    logfire.instrument_flask(app)
    logfire.instrument_sqlalchemy(engine)
    logfire.instrument_redis()


def flush() -> None:
    """Wait until all telemetry so far is encoded and sent, metrics included."""
    if VARIANT == "none":
        return
    if VARIANT == "sentry":
        import sentry_sdk  # type: ignore[import-not-found,unused-ignore]  # in that variant's environment only

        sentry_sdk.flush(timeout=FLUSH_SECONDS)
    elif VARIANT == "ddtrace":
        from ddtrace.trace import tracer  # type: ignore[import-not-found,unused-ignore]  # likewise

        tracer.flush()
    else:
        _flush_opentelemetry()


def _flush_opentelemetry() -> None:
    from opentelemetry import _logs, metrics, trace

    providers = (trace.get_tracer_provider(), metrics.get_meter_provider(), _logs.get_logger_provider())
    for provider in providers:
        force_flush = getattr(provider, "force_flush", None)
        # Logfire's meter provider gives None for success.
        if force_flush is not None and force_flush(FLUSH_SECONDS * 1000) is False:
            raise RuntimeError(f"{type(provider).__name__} did not flush within {FLUSH_SECONDS} s")


def _start_sentry() -> None:
    import sentry_sdk

    sentry_sdk.init(
        dsn=SINK.replace("http://", "http://key@") + "/1",
        traces_sample_rate=SAMPLE_RATE,
        enable_logs=LOGS,
        transport_queue_size=QUEUE,
    )


def _start_logfire() -> None:
    import logging

    import logfire

    logfire.configure(
        token="bench",  # noqa: S106 - the sink takes any
        service_name="bench",
        console=False,
        sampling=logfire.SamplingOptions(head=SAMPLE_RATE),
        advanced=logfire.AdvancedOptions(base_url=SINK),
    )
    if LOGS:
        logging.getLogger().addHandler(logfire.LogfireLoggingHandler())
