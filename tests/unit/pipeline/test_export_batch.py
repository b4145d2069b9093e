"""The batch processors: recording never waits, errors are dropped last, nothing is lost that could arrive."""

from __future__ import annotations

import gc
import logging
import threading
import time
from typing import Any, ClassVar

import pytest
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY, get_value
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.trace import SpanKind, StatusCode

from ada_otel import _diagnostics
from ada_otel.pipeline.export import batch, stats
from ada_otel.pipeline.export.batch import BatchLogRecordProcessor, BatchSpanProcessor
from ada_otel.pipeline.export.otlp import OTLPLogExporter, OTLPSpanExporter
from tests.drills.faults import Request, answer, collector, refusing


@pytest.fixture(autouse=True)
def _fresh() -> None:
    _diagnostics.forget_reports()
    stats._process.signals.clear()
    stats._process.next_line = 0.0
    batch._error_traces.clear()


class Blocking(SpanExporter):
    """A foreign exporter that hangs until it is let go."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.go = threading.Event()
        self.spans: list[Any] = []

    def export(self, spans: Any) -> Any:
        self.entered.set()
        self.go.wait(10)
        self.spans.extend(spans)
        return SpanExportResult.SUCCESS


def tracer_with(processor: Any) -> Any:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(processor)
    return provider.get_tracer("test")


def record(tracer: Any, name: Any, *, error: bool = False, **attributes: Any) -> Any:
    span = tracer.start_span(name, attributes=attributes)
    if error:
        span.set_status(StatusCode.ERROR)
    span.end()
    return span


def span_exporter(server: Any, **kwargs: Any) -> Any:
    return OTLPSpanExporter(server.endpoint + "/v1/traces", **kwargs)


def test_on_end_does_not_wait_while_the_exporter_hangs() -> None:
    exporter = Blocking()
    processor = BatchSpanProcessor(exporter, max_queue_size=1000, max_export_batch_size=10)
    tracer = tracer_with(processor)
    spans = [tracer.start_span(f"s{number}") for number in range(5000)]
    for span in spans[:10]:
        span.end()
    assert exporter.entered.wait(5)
    times = []
    for span in spans[10:]:
        span._end_time = 1
        begun = time.perf_counter()
        processor.on_end(span)
        times.append(time.perf_counter() - begun)
    times.sort()
    assert times[len(times) // 2] < 20e-6
    assert times[int(len(times) * 0.99)] < 500e-6  # the machine's own hiccups included
    exporter.go.set()
    processor.shutdown(5000)


class WatchedLock:
    """A lock that notes who had to wait for it."""

    waits: ClassVar[list[str]] = []

    def __init__(self, real: Any) -> None:
        self._real = real

    def acquire(self, blocking: bool = True, timeout: float = -1) -> Any:
        if self._real.acquire(False):
            return True
        if not blocking:
            return False
        self.waits.append(threading.current_thread().name)
        return self._real.acquire(blocking, timeout)

    def release(self) -> None:
        self._real.release()

    def locked(self) -> Any:
        return self._real.locked()

    __enter__ = acquire

    def __exit__(self, *_: object) -> Any:
        self.release()


def test_no_recording_thread_ever_waits_for_a_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    exporter = Blocking()
    exporter.go.set()
    real = threading.Lock
    WatchedLock.waits = []
    monkeypatch.setattr("ada_otel.pipeline.export.worker.threading.Lock", lambda: WatchedLock(real()))
    processor = BatchSpanProcessor(
        exporter, max_queue_size=100, max_export_batch_size=5, schedule_delay_millis=1
    )
    spans = [record(TracerProvider(shutdown_on_exit=False).get_tracer("t"), f"s{n}") for n in range(4000)]
    processor.on_end(spans[0])
    monkeypatch.undo()

    def produce(part: Any) -> None:
        for span in part:
            processor.on_end(span)

    threads = [threading.Thread(target=produce, args=(spans[n::4],), name=f"app-{n}") for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert processor.force_flush(5000)
    processor.shutdown(5000)
    assert "ada-otel-traces" in WatchedLock.waits  # the worker sleeps on one: the watch works
    assert not [name for name in WatchedLock.waits if name.startswith("app-")]
    lost = stats.of("traces").dropped.get("queue_full", 0)
    assert len(exporter.spans) + lost == 4001


def test_errors_and_their_traces_are_dropped_last() -> None:
    exporter = Blocking()
    processor = BatchSpanProcessor(exporter, max_queue_size=20, max_export_batch_size=1)
    tracer = tracer_with(processor)
    record(tracer, "in hand")
    assert exporter.entered.wait(5)
    parent = tracer.start_span("parent")
    from opentelemetry import trace

    with trace.use_span(parent):
        record(tracer, "child of failure")  # ends before the failure is known
    record(tracer, "failure", error=True)
    with trace.use_span(parent):
        record(tracer, "failed child", error=True)
    for number in range(100):
        record(tracer, f"plain {number}")
    parent.end()
    for number in range(100, 200):
        record(tracer, f"plain {number}")
    assert len(processor) <= 21
    exporter.go.set()
    assert processor.force_flush(5000)
    names = [span.name for span in exporter.spans]
    assert {"parent", "child of failure", "failure", "failed child"} <= set(names)
    assert "plain 199" in names
    assert "plain 0" not in names
    figures = stats.snapshot()["traces"]
    assert figures["sent"] == len(names)
    assert figures["sent"] + figures["dropped"]["queue_full"] == 205
    processor.shutdown()


def test_only_errors_left_means_the_oldest_error_goes() -> None:
    exporter = Blocking()
    processor = BatchSpanProcessor(exporter, max_queue_size=10, max_export_batch_size=1)
    tracer = tracer_with(processor)
    record(tracer, "in hand")
    assert exporter.entered.wait(5)
    for number in range(30):
        record(tracer, f"error {number}", error=True)
    record(tracer, "plain")
    exporter.go.set()
    assert processor.force_flush(5000)
    assert [span.name for span in exporter.spans][1:] == [f"error {n}" for n in range(20, 30)]
    processor.shutdown()


def test_memory_is_bounded_by_bytes_as_well() -> None:
    exporter = Blocking()
    limit = 2_000_000
    processor = BatchSpanProcessor(exporter, 100_000, max_export_batch_size=512, max_queue_bytes=limit)
    tracer = tracer_with(processor)
    for number in range(600):
        record(tracer, f"small {number}")
    assert exporter.entered.wait(5)
    for _ in range(500):
        record(tracer, "large", text="x" * 50_000)
    held = sum(map(processor._weigh, list(processor._queue._plain)))
    assert held < 1.2 * limit
    assert len(processor._queue) < 60
    exporter.go.set()
    processor.shutdown(5000)


def test_a_collector_that_comes_back_gets_everything_that_the_queue_held() -> None:
    with collector("503") as server:
        exporter = span_exporter(server)
        processor = BatchSpanProcessor(exporter, schedule_delay_millis=50, max_export_batch_size=100)
        tracer = tracer_with(processor)
        for number in range(1500):
            record(tracer, f"s{number}", error=number % 10 == 0)
        assert server.wait_for(lambda: len(server.requests) >= 2)
        assert stats.snapshot()["traces"]["consecutive_failures"] == 0  # still trying the first batch
        server.mode = "healthy"
        assert server.wait_for(lambda: len(server.names()) == 1500, 15)
        assert sorted(server.names()) == sorted(f"s{number}" for number in range(1500))
        assert processor.force_flush(5000)
        assert stats.snapshot()["traces"]["dropped"] == {}
        processor.shutdown()


def test_what_was_kept_is_put_back_and_the_next_batch_is_a_small_plain_one() -> None:
    with collector("503") as server:
        processor = BatchSpanProcessor(
            span_exporter(server),
            schedule_delay_millis=20,
            max_export_batch_size=500,
            export_timeout_millis=700,
        )
        tracer = tracer_with(processor)
        for number in range(400):
            record(tracer, f"s{number}", error=number < 300)
        assert server.wait_for(lambda: len({request.body for request in server.requests}) >= 2, 20)
        bodies = list(dict.fromkeys(request.body for request in server.requests))
        probe = next(request for request in server.requests if request.body == bodies[1]).message()
        spans = [span for scope in probe.resource_spans[0].scope_spans for span in scope.spans]
        assert len(spans) == 64
        assert not [span for span in spans if span.status.code]
        server.mode = "healthy"
        assert server.wait_for(lambda: len(server.names()) == 400, 40)
        assert len(set(server.names())) == 400
        processor.shutdown()


def test_a_body_too_large_is_halved() -> None:
    def small_only(request: Request) -> bytes:
        return answer(200) if len(request.plain) < 5000 else answer(413)

    with collector(small_only) as server:
        processor = BatchSpanProcessor(span_exporter(server))
        tracer = tracer_with(processor)
        for number in range(100):
            record(tracer, f"s{number}")
        record(tracer, "giant", text="x" * 9000)
        assert processor.force_flush(10000)
        assert sorted(server.names()) == sorted(f"s{number}" for number in range(100))
        figures = stats.snapshot()["traces"]
        assert (figures["sent"], figures["dropped"]) == (100, {"rejected": 1})
        processor.shutdown()


def test_refused_for_good_is_dropped_and_counted() -> None:
    with collector("400") as server:
        processor = BatchSpanProcessor(span_exporter(server))
        record(tracer_with(processor), "bad")
        processor.force_flush(5000)
        figures = stats.snapshot()["traces"]
        assert figures["dropped"] == {"rejected": 1}
        assert figures["last_error"] == "400"
        assert figures["consecutive_failures"] == 1
        processor.shutdown()


def test_an_item_that_cannot_be_encoded_costs_only_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    with collector() as server:
        exporter = span_exporter(server)
        real = exporter.encode

        def encode(items: Any) -> Any:
            if any(span.name == "bad" for span in items):
                raise TypeError("no such type")
            return real(items)

        monkeypatch.setattr(exporter, "encode", encode)
        processor = BatchSpanProcessor(exporter)
        tracer = tracer_with(processor)
        for name in ["a", "b", "bad", "c", "d"]:
            record(tracer, name)
        processor.force_flush(5000)
        assert sorted(server.names()) == ["a", "b", "c", "d"]
        assert stats.snapshot()["traces"]["dropped"] == {"encode": 1}
        processor.shutdown()


def test_foreign_exporter_that_raises_or_fails_is_counted(caplog: pytest.LogCaptureFixture) -> None:
    class Failing(SpanExporter):
        outcome = "raise"

        def export(self, spans: Any) -> Any:
            if self.outcome == "raise":
                raise RuntimeError("broken")
            return SpanExportResult.FAILURE

    exporter = Failing()
    processor = BatchSpanProcessor(exporter)
    tracer = tracer_with(processor)
    record(tracer, "a")
    processor.force_flush(5000)
    exporter.outcome = "fail"
    record(tracer, "b")
    processor.force_flush(5000)
    assert stats.snapshot()["traces"]["dropped"] == {"exporter_error": 1, "retry_exhausted": 1}
    assert "broken" in caplog.text
    processor.shutdown()


def test_export_is_suppressed_and_what_an_exporter_logs_is_not_fed_back() -> None:
    seen = []

    class Talking:
        def export(self, batch: Any) -> Any:
            seen.append((get_value(_SUPPRESS_INSTRUMENTATION_KEY), len(batch)))
            logger.emit(LogRecord(body="fed back", severity_number=SeverityNumber.ERROR))
            return type("R", (), {"name": "SUCCESS"})

        def shutdown(self) -> None:
            pass

    processor = BatchLogRecordProcessor(Talking())
    provider = LoggerProvider(shutdown_on_exit=False)
    provider.add_log_record_processor(processor)
    logger = provider.get_logger("test")
    logger.emit(LogRecord(body="one"))
    assert processor.force_flush(5000)
    assert processor.force_flush(5000)
    assert seen == [(True, 1)]
    processor.shutdown()


def test_recording_from_a_finalizer_during_recording_is_safe() -> None:
    exporter = Blocking()
    exporter.go.set()
    processor = BatchSpanProcessor(exporter, max_queue_size=100_000)
    tracer = tracer_with(processor)

    class Garbage:
        def __init__(self) -> None:
            self.me = self

        def __del__(self) -> None:
            record(tracer, "from gc")

    threshold = gc.get_threshold()
    gc.set_threshold(5)
    try:
        for _ in range(500):
            Garbage()
            record(tracer, "plain")
    finally:
        gc.set_threshold(*threshold)
    gc.collect()
    assert processor.force_flush(5000)
    names = [span.name for span in exporter.spans]
    assert (names.count("plain"), names.count("from gc")) == (500, 500)
    processor.shutdown()


def test_log_records_are_copied_and_errors_kept() -> None:
    with collector() as server:
        exporter = OTLPLogExporter(server.endpoint + "/v1/logs")
        processor = BatchLogRecordProcessor(exporter, max_queue_size=10, max_export_batch_size=10)
        provider = LoggerProvider(shutdown_on_exit=False)
        provider.add_log_record_processor(processor)
        logger = provider.get_logger("test")
        processor._worker._starting.acquire()  # no worker yet: the queue fills
        logger.emit(LogRecord(body="error", severity_number=SeverityNumber.ERROR, attributes={"k": "v"}))
        for number in range(50):
            logger.emit(LogRecord(body=f"info {number}", severity_number=SeverityNumber.INFO))
        processor._worker._starting.release()
        logger.emit(LogRecord(body="last", severity_number=SeverityNumber.INFO))
        assert processor.force_flush(5000)
        assert sorted(server.bodies()) == sorted(["error", *(f"info {n}" for n in range(42, 50)), "last"])
        processor.shutdown()


def test_unsampled_spans_are_not_queued() -> None:
    processor = BatchSpanProcessor(Blocking())
    from opentelemetry.sdk.trace import _Span
    from opentelemetry.trace import SpanContext

    span = _Span("x", SpanContext(1, 2, False), kind=SpanKind.INTERNAL)
    processor.on_end(span)
    assert len(processor) == 0
    processor.shutdown()


def test_environment_is_read_and_bad_values_are_named(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "77")
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "1234")
    monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "99")
    monkeypatch.setenv("OTEL_BSP_EXPORT_TIMEOUT", "five")
    processor = BatchSpanProcessor(Blocking())
    worker = processor._worker
    assert (processor.capacity, worker._batch, worker._delay, worker._export_timeout) == (77, 77, 1.234, 30)
    assert "OTEL_BSP_EXPORT_TIMEOUT is 'five'" in caplog.text
    assert "OTEL_BSP_MAX_EXPORT_BATCH_SIZE is 99" in caplog.text
    with pytest.raises(ValueError, match="OTEL_BSP_MAX_QUEUE_SIZE"):
        BatchSpanProcessor(Blocking(), max_queue_size=0)
    monkeypatch.setenv("OTEL_BLRP_MAX_QUEUE_SIZE", "88")
    logs = BatchLogRecordProcessor(Blocking())
    assert (logs.capacity, logs._worker._delay) == (88, 1.0)


def test_shutdown_keeps_to_its_time_counts_what_is_left_and_happens_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with collector("black_hole") as server:
        processor = BatchSpanProcessor(span_exporter(server))
        tracer = tracer_with(processor)
        for _ in range(700):
            record(tracer, "lost")
        begun = time.monotonic()
        processor.shutdown(500)
        assert time.monotonic() - begun < 0.9
        processor.shutdown(30000)
        assert time.monotonic() - begun < 1.0
        record(tracer, "late")
        assert stats.snapshot()["traces"]["dropped"] == {"shutdown": 700, "already_shutdown": 1}
    assert "700 shutdown" in caplog.text


def test_shutdown_with_a_refusing_collector_is_quick() -> None:
    with refusing() as endpoint:
        processor = BatchSpanProcessor(OTLPSpanExporter(endpoint + "/v1/traces"))
        tracer = tracer_with(processor)
        for _ in range(2000):
            record(tracer, "lost")
        begun = time.monotonic()
        processor.shutdown(3000)
        assert time.monotonic() - begun < 1.5
        assert stats.snapshot()["traces"]["dropped"] == {"shutdown": 2000}


def test_drops_are_said_in_one_line_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "ada_otel")
    figures = stats.of("traces")
    figures.drop("queue_full", 5)
    stats.say_drops()
    figures.drop("queue_full", 7)
    figures.drop("rejected", 2)
    stats.say_drops()
    assert [line for line in caplog.messages if "dropped" in line] == [
        "Telemetry was dropped (traces: 5 queue_full). The app is not affected."
    ]
    stats._process.next_line = 0.0
    stats.say_drops()
    assert "traces: 7 queue_full, 2 rejected" in caplog.messages[-1]


def test_processor_and_its_thread_can_be_collected() -> None:
    import weakref

    processor = BatchSpanProcessor(Blocking())
    reference = weakref.ref(processor)
    del processor
    gc.collect()
    assert reference() is None
