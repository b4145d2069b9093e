"""The disk spool: written whole or not at all, replayed once the collector is back."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider

from ada_otel import _diagnostics
from ada_otel.pipeline.export import batch, stats
from ada_otel.pipeline.export.batch import BatchSpanProcessor
from ada_otel.pipeline.export.otlp import OTLPSpanExporter
from ada_otel.pipeline.export.queue import exporting_threads
from ada_otel.pipeline.export.spool import Folder, Spool
from ada_otel.pipeline.export.worker import Worker
from tests.drills.faults import answer, collector, refusing
from tests.drills.programs import Program


@pytest.fixture(autouse=True)
def _fresh() -> None:
    _diagnostics.forget_reports()
    stats._process.signals.clear()
    batch._error_traces.clear()


def folder_at(path: Any, **kwargs: Any) -> Any:
    return Folder(path, "traces", **{"max_bytes": 100_000, "fsync": False, **kwargs})


def processor_to(endpoint: Any, path: Any, **kwargs: Any) -> Any:
    processor = BatchSpanProcessor(
        OTLPSpanExporter(endpoint + "/v1/traces"), spool_folder=str(path), schedule_delay_millis=30, **kwargs
    )
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(processor)
    return processor, provider.get_tracer("test")


@pytest.mark.parametrize("fsync", [False, True])
def test_a_body_comes_back_as_it_was(tmp_path: Path, fsync: Any) -> None:
    folder = folder_at(tmp_path / "spool", fsync=fsync)
    assert folder.store(b"first" * 100, 7) == 0
    folder.store(b"", 1)
    assert [folder.read(file) for file in folder.files()] == [(b"first" * 100, 7), (b"", 1)]
    assert stat.S_IMODE((tmp_path / "spool").stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in folder.files()} == {0o600}


def test_the_folder_is_bounded_and_the_oldest_goes_first(tmp_path: Path) -> None:
    folder = folder_at(tmp_path, max_bytes=3000)
    deleted = [folder.store(bytes([number]) * 900, 10) for number in range(6)]
    assert deleted == [0, 0, 0, 10, 10, 10]
    assert [folder.read(file)[0][0] for file in folder.files()] == [3, 4, 5]
    with pytest.raises(OSError, match="more than the 3000"):
        folder.store(b"x" * 4000, 1)


@pytest.mark.parametrize("damage", ["cut", "flipped", "not ours", "empty"])
def test_a_damaged_file_is_noticed(tmp_path: Path, damage: Any) -> None:
    folder = folder_at(tmp_path)
    folder.store(b"body" * 50, 3)
    file = folder.files()[0]
    data = bytearray(file.read_bytes())
    if damage == "flipped":
        data[60] ^= 1
    elif damage == "not ours":
        data[:4] = b"\x80\x04pk"  # as a pickle begins
    file.write_bytes({"cut": data[:-1], "empty": b""}.get(damage, data))
    with pytest.raises(ValueError, match=r"damaged|not a spool|shorter"):
        folder.read(file)


def test_one_process_at_a_time_replays(tmp_path: Path) -> None:
    folder = folder_at(tmp_path)
    code = (
        "from pathlib import Path; import sys\n"
        "from ada_otel.pipeline.export.spool import Folder\n"
        "with Folder(Path(sys.argv[1]), 'traces', max_bytes=1, fsync=False).alone() as alone: print(alone)"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    with folder.alone() as alone:
        assert alone
        assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "False\n"
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "True\n"


def test_an_outage_longer_than_the_queue_loses_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with collector("503") as server:
        processor, tracer = processor_to(
            server.endpoint,
            tmp_path,
            max_queue_size=400,
            max_export_batch_size=100,
            export_timeout_millis=500,
        )
        sent = 0
        for _ in range(40):
            for _ in range(50):
                tracer.start_span(f"s{sent}").end()
                sent += 1
            time.sleep(0.06 if processor._worker._failing_since else 0.3)
            if len(processor) > 300:
                time.sleep(0.5)
        assert stats.of("traces").spooled > 1000
        (tmp_path / "00000000000000000000-1-1.traces.otlp").write_bytes(b"rubbish")
        server.mode = "healthy"
        assert server.wait_for(lambda: len(server.names()) >= sent, 40)
        assert sorted(server.names()) == sorted(f"s{number}" for number in range(sent))
        assert server.wait_for(lambda: stats.of("traces").replayed == stats.of("traces").spooled)
        figures = stats.snapshot()["traces"]
        assert figures["dropped"] == {"spool_corrupt": 1}
        assert figures["sent"] == sent
        assert not list(tmp_path.glob("*.otlp"))
        processor.shutdown()
    assert "A file of the spool is skipped" in caplog.text


@pytest.mark.parametrize("kind", ["refused", "black_hole"])
def test_what_exit_cannot_send_is_sent_by_the_next_process(tmp_path: Path, kind: Any) -> None:
    with collector("black_hole") as sick, refusing() as nobody, collector() as well:
        processor, tracer = processor_to(nobody if kind == "refused" else sick.endpoint, tmp_path)
        for number in range(1200):
            tracer.start_span(f"s{number}").end()
        begun = time.monotonic()
        processor.shutdown(1000)
        assert time.monotonic() - begun < 1.4
        assert stats.snapshot()["traces"]["dropped"] == {}
        assert stats.of("traces").spooled == 1200
        later, tracer = processor_to(well.endpoint, tmp_path)
        tracer.start_span("wakes it").end()
        assert well.wait_for(lambda: len(well.names()) == 1201)
        assert len(set(well.names())) == 1201
        later.shutdown()


def test_what_is_on_disk_is_sent_though_nothing_is_recorded(tmp_path: Path) -> None:
    with refusing() as nobody, collector("503") as server:
        processor, tracer = processor_to(nobody, tmp_path)
        for number in range(700):
            tracer.start_span(f"s{number}").end()
        processor.shutdown(500)
        assert stats.of("traces").spooled == 700
        later, _ = processor_to(server.endpoint, tmp_path)
        assert server.wait_for(lambda: len(server.requests) > 0)  # it tries, though the collector is not well
        server.mode = "healthy"
        assert server.wait_for(lambda: len(server.names()) == 700)
        assert sorted(server.names()) == sorted(f"s{number}" for number in range(700))
        later.shutdown()
        assert stats.of("traces").replayed == 700


def test_what_is_being_sent_when_the_time_is_up_is_stored_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The thread gets its answer while the others are written already."""
    deliver, put = Worker._deliver, Spool.put
    sending, answered = threading.Event(), threading.Event()

    def held(worker: Worker, items: list[Any]) -> Any:
        done = deliver(worker, items)
        sending.set()
        answered.wait(20)
        return done

    def put_when_answered(spool: Spool, items: Any) -> bool:
        answered.set()
        deadline = time.monotonic() + 20
        while exporting_threads and time.monotonic() < deadline:
            time.sleep(0.01)
        return put(spool, items)

    monkeypatch.setattr(Worker, "_deliver", held)
    monkeypatch.setattr(Spool, "put", put_when_answered)
    with refusing() as nobody:
        processor, tracer = processor_to(nobody, tmp_path)
        for number in range(700):
            tracer.start_span(f"s{number}").end()
        assert sending.wait(20)
        processor.shutdown(200)
    assert stats.of("traces").spooled == 700
    assert stats.snapshot()["traces"]["dropped"] == {}


def test_the_disk_takes_what_the_queue_cannot_while_no_attempt_is_due(tmp_path: Path) -> None:
    """The collector asks for a long pause, and far more is recorded in it than the queue can hold."""
    with collector(lambda _: answer(503, retry_after="60")) as server:
        processor, tracer = processor_to(
            server.endpoint, tmp_path, max_queue_size=400, max_export_batch_size=100
        )
        for number in range(2000):
            tracer.start_span(f"s{number}").end()
            time.sleep(0.002)
        assert stats.snapshot()["traces"]["dropped"] == {}
        assert stats.of("traces").spooled >= 1600
        processor.shutdown(300)
        assert stats.snapshot()["traces"]["dropped"] == {}
        assert stats.of("traces").spooled == 2000


KILLED = """
import os, signal, time
from opentelemetry.sdk.trace import TracerProvider as Provider
processor = BatchSpanProcessor(OTLPSpanExporter(), spool_folder=os.environ["SPOOL"], max_queue_size=200,
    max_export_batch_size=20, schedule_delay_millis=10, export_timeout_millis=300)
provider = Provider(shutdown_on_exit=False)
provider.add_span_processor(processor)
tracer = provider.get_tracer("killed")
n = 0
while True:
    tracer.start_span(f"s{n}").end()
    n += 1
    time.sleep(0.003)
    if n == 1200:
        print("READY", flush=True)
"""


def test_what_was_spooled_survives_sigkill(tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    with refusing() as nobody, collector() as well:
        program = Program(KILLED, tmp_path, nobody, SPOOL=str(spool))
        program.wait_for_line("READY")
        os.kill(program.process.pid, signal.SIGKILL)
        program.process.communicate()
        stored = folder_at(spool).files()
        assert stored
        items = sum(folder_at(spool).read(file)[1] for file in stored)
        processor, tracer = processor_to(well.endpoint, spool)
        tracer.start_span("wakes it").end()
        assert well.wait_for(lambda: len(well.names()) == items + 1)
        assert len(set(well.names())) == items + 1
        assert items > 500
        processor.shutdown()


def test_a_folder_that_cannot_be_used_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("")
    processor, _ = processor_to("http://127.0.0.1:9", tmp_path / "file" / "spool")
    assert processor._worker._spool is None
    assert "spool folder" in caplog.text
    processor.shutdown(0)
