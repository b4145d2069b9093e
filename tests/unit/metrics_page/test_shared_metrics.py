"""What the workers of a server share: files that survive them, merged to one page."""

from __future__ import annotations

import itertools
import math
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.trace import SpanContext, TraceFlags
from prometheus_client.openmetrics import parser as openmetrics_parser
from prometheus_client.parser import text_string_to_metric_families as parse_text

from ada_otel.pipeline.metrics import MeterProvider, bind, tally
from ada_otel.web.metrics_page import _file, _folder
from ada_otel.web.metrics_page._file import WorkerFile
from ada_otel.web.metrics_page._merge import Merged
from ada_otel.web.metrics_page._render import render
from ada_otel.web.metrics_page._shared import add_reader
from ada_otel.web.metrics_page._storage import PageReader, SharedStorage

parse_openmetrics: Any = openmetrics_parser.text_string_to_metric_families

OPEN = "application/openmetrics-text;version=1.0.0"


class Worker:
    """A meter provider with a file in a folder."""

    def __init__(self, folder: Path, limit: int = 2000) -> None:
        self.folder = folder
        self.provider = MeterProvider(shutdown_on_exit=False)
        self.meter = self.provider.get_meter("shop")
        self.reader = PageReader()
        self.storage = SharedStorage(limit, lambda: WorkerFile(folder))
        add_reader(self.provider, self.reader, self.storage)

    def page(self, accept: str = "", prefix: str = "") -> str:
        found = _folder.total(self.folder, self.storage.file)
        resource = {"service.name": "shop", "service.instance.id": "7", "process.pid": 3}
        return render(found.items(), resource, prefix, accept)[0].decode()

    def sample(self, name: str, **labels: str) -> float | None:
        for family in parse_text(self.page()):
            for sample in family.samples:
                if sample.name == name and sample.labels == labels:
                    return float(sample.value)
        return None


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[Worker]:
    yield Worker(tmp_path)


OTHER = """
import os, signal, sys
from pathlib import Path
from tests.unit.metrics_page.test_shared_metrics import Worker
worker = Worker(Path(sys.argv[1]))
meter = worker.meter
meter.create_counter("shop.sales", "{sale}", "Sales.").add(3, {"till": "a"})
meter.create_up_down_counter("shop.open", "{till}", "Open tills.").add(2)
meter.create_gauge("shop.level", "1", "Level.").set(0.5)
meter.create_histogram("shop.wait", "s", "Wait.", explicit_bucket_boundaries_advisory=[1, 2]).record(1.5)
print("ready", flush=True)
sys.stdin.read(1)
os.kill(os.getpid(), signal.SIGKILL)
"""


def start_other(folder: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", OTHER, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def kill(process: subprocess.Popen[str]) -> None:
    process.communicate("x")
    assert process.returncode == -signal.SIGKILL


def test_ones_are_there_after_a_collection_and_when_the_worker_ends(worker: Worker) -> None:
    ones = tally(bind(worker.meter.create_counter("shop.sales", "{sale}", "Sales."), {"till": "a"}))
    next(ones)
    assert worker.sample("shop_sales_total", till="a") is None
    worker.reader.collect()
    assert worker.sample("shop_sales_total", till="a") == 1
    next(ones)
    worker.provider.shutdown()
    assert worker.sample("shop_sales_total", till="a") == 2


def test_sums_over_workers_and_keeps_what_counts_of_the_killed(worker: Worker) -> None:
    meter = worker.meter
    meter.create_counter("shop.sales", "{sale}", "Sales.").add(4, {"till": "a"})
    meter.create_up_down_counter("shop.open", "{till}", "Open tills.").add(1)
    meter.create_gauge("shop.level", "1", "Level.").set(0.25)
    wait = meter.create_histogram("shop.wait", "s", "Wait.", explicit_bucket_boundaries_advisory=[1, 2])
    wait.record(0.5)
    others = [start_other(worker.folder) for _ in range(2)]
    assert worker.sample("shop_sales_total", till="a") == 10
    assert worker.sample("shop_open") == 5
    assert worker.sample("shop_level_ratio") == 0.5  # set last
    assert worker.sample("shop_wait_seconds_bucket", le="1.0") == 1
    assert worker.sample("shop_wait_seconds_bucket", le="2.0") == 3
    for other in others:
        kill(other)
        assert worker.sample("shop_sales_total", till="a") == 10
    assert worker.sample("shop_open") == 1
    assert worker.sample("shop_level_ratio") == 0.25
    assert worker.sample("shop_wait_seconds_count") == 3
    assert worker.sample("shop_wait_seconds_sum") == 3.5
    assert {path.name for path in worker.folder.iterdir()} == {
        "archive", "lock", worker.storage.file.path.name  # type: ignore[union-attr]
    }  # fmt: skip
    # The archive is merged with the next that die.
    kill(start_other(worker.folder))
    assert worker.sample("shop_sales_total", till="a") == 13


def test_a_file_that_outlived_its_merge_is_not_counted_twice(worker: Worker) -> None:
    kill(start_other(worker.folder))
    (path,) = worker.folder.glob("*.worker")
    held = path.read_bytes()
    assert worker.sample("shop_sales_total", till="a") == 3
    path.write_bytes(held)  # as if the process that merged it was killed before it could delete it
    (worker.folder / "5.unfinished").write_bytes(held)
    assert worker.sample("shop_sales_total", till="a") == 3
    assert not path.exists()


def test_a_fork_begins_a_file_of_its_own(worker: Worker) -> None:
    sales = bind(worker.meter.create_counter("shop.sales"), {"till": "b"})
    sales.add(1)
    child = os.fork()
    if child == 0:
        sales.add(10)
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    sales.add(100)
    assert worker.sample("shop_sales_total", till="b") == 111


def test_threads_lose_no_value(worker: Worker) -> None:
    sales = bind(worker.meter.create_counter("shop.sales"))
    wait = bind(worker.meter.create_histogram("shop.wait", "s"))
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)

    def record() -> None:
        for _ in range(20_000):
            sales.add(1)
            wait.record(1.0)

    threads = [threading.Thread(target=record) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sys.setswitchinterval(before)
    assert worker.sample("shop_sales_total") == 80_000
    assert worker.sample("shop_wait_seconds_count") == 80_000
    assert worker.sample("shop_wait_seconds_sum") == 80_000


def test_observed_values_vanish_and_observed_counters_never_go_back(worker: Worker) -> None:
    values: dict[str, list[float]] = {"shop.work": [5], "shop.heat": [20], "system.cpu.time": [1000]}

    def observe(name: str) -> Any:
        return lambda _options: [Observation(value) for value in values[name]]

    worker.meter.create_observable_counter("shop.work", [observe("shop.work")])
    worker.meter.create_observable_gauge("shop.heat", [observe("shop.heat")])
    worker.meter.create_observable_counter("system.cpu.time", [observe("system.cpu.time")], "s")
    worker.reader.collect()
    assert (worker.sample("shop_work_total"), worker.sample("shop_heat")) == (5, 20)
    values.update({"shop.work": [2], "shop.heat": []})
    worker.reader.collect()
    assert (worker.sample("shop_work_total"), worker.sample("shop_heat")) == (7, None)
    # The host's counters are the same in every worker: the second does not add to the first.
    second = Worker(worker.folder)
    second.meter.create_observable_counter("system.cpu.time", [observe("system.cpu.time")], "s")
    second.reader.collect()
    second.storage.file.path.rename(worker.folder / "1-other.worker")  # type: ignore[union-attr]
    assert worker.sample("system_cpu_time_seconds_total") == 1000


def test_exemplars_are_in_openmetrics_only(worker: Worker) -> None:
    wait = bind(
        worker.meter.create_histogram("shop.wait", "s", explicit_bucket_boundaries_advisory=[1.0, 2.0])
    )
    span = SpanContext(0xABC << 100, 0xDEF, False, TraceFlags(1))
    wait.record(1.5, None, span)
    wait.record(1.6, None, SpanContext(1, 1, False, TraceFlags(0)))
    found = {
        sample.labels["le"]: sample.exemplar
        for family in parse_openmetrics(worker.page(OPEN))
        for sample in family.samples
        if sample.name == "shop_wait_seconds_bucket"
    }
    assert found["1.0"] is None
    exemplar = found["2.0"]
    assert exemplar is not None
    assert exemplar.labels == {"trace_id": f"{span.trace_id:032x}", "span_id": f"{span.span_id:016x}"}
    assert exemplar.value == 1.5
    assert "trace_id" not in worker.page()


def test_the_page_has_the_names_that_prometheus_gives_to_otlp(worker: Worker) -> None:
    meter = worker.meter
    meter.create_counter("shop.bytes", "By").add(1, {"deep.key": True, "n": 3})
    assert worker.sample("shop_bytes_total", deep_key="true", n="3") == 1
    assert 'target_info{service_name="shop"} 1.0' in worker.page()
    assert "scrape_shop_bytes_total{" in worker.page(prefix="scrape_")
    assert "\nshop_bytes_total{" not in worker.page(prefix="scrape_")


def test_the_old_names(worker: Worker) -> None:
    duration = worker.meter.create_histogram(
        "http.server.request.duration", "s", explicit_bucket_boundaries_advisory=[0.5]
    )
    common: dict[str, Any] = {"http.request.method": "GET", "url.scheme": "http"}
    duration.record(0.1, {**common, "http.route": "/a", "http.response.status_code": 200})
    duration.record(0.1, {**common, "http.route": "/a", "http.response.status_code": 200, "x": 1})
    duration.record(1, {**common, "http.route": "/b", "http.response.status_code": 500, "error.type": "500"})
    worker.meter.create_up_down_counter("socketio.server.active_connections").add(3, {"ns": "/"})
    assert worker.sample("ada_requests_total", method="GET", endpoint="/a", status="200") == 2
    assert worker.sample("ada_request_duration_seconds_count") == 3
    assert worker.sample("ada_request_duration_seconds_bucket", le="0.5") == 2
    assert worker.sample("ada_errors_total", error_type="500") == 1
    assert worker.sample("ada_active_connections") == 3
    parsed = list(parse_openmetrics(worker.page(OPEN)))
    assert {"ada_requests", "ada_errors"} <= {family.name for family in parsed}


def test_past_the_limit_points_are_counted_together(tmp_path: Path) -> None:
    worker = Worker(tmp_path, limit=10)
    counter = worker.meter.create_counter("shop.sales")
    for number in range(1000):
        counter.add(1, {"id": number})
    assert worker.sample("shop_sales_total", otel_metric_overflow="true") == 990


def test_a_file_grows_and_holds_what_is_in_it(tmp_path: Path) -> None:
    file = WorkerFile(tmp_path)
    places = [file.add(f"series {number}".encode(), 40, number) for number in range(1000)]
    for place in places:
        place.slots[place.at + 39] = 7
    assert file.path.stat().st_size > _file.CHUNK
    assert file.path.stat().st_blocks * 512 >= file.path.stat().st_size  # no hole to die in
    for records in (list(file.records()), list(_file.read(file.path))):
        assert [(record.key, record.values[0], record.values[39]) for record in records] == [
            (f"series {number}".encode(), number, 7) for number in range(1000)
        ]


def test_a_truncated_or_foreign_file_is_left_out(worker: Worker) -> None:
    worker.meter.create_counter("shop.sales").add(1)
    (worker.folder / "1-a.worker").write_bytes(b"\xff" * _file.CHUNK)
    (worker.folder / "1-b.worker").write_bytes(b"short")
    assert worker.sample("shop_sales_total") == 1


def test_without_room_other_readers_go_on(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader

    memory = InMemoryMetricReader()
    provider = MeterProvider([memory], shutdown_on_exit=False)
    storage = SharedStorage(10, lambda: WorkerFile(tmp_path / "not there"))
    add_reader(provider, PageReader(), storage)
    counter = provider.get_meter("shop").create_counter("shop.sales")
    counter.add(1)
    counter.add(1)
    data = memory.get_metrics_data()
    assert data is not None
    assert data.resource_metrics[0].scope_metrics[0].metrics[0].data.data_points[0].value == 2  # type: ignore[union-attr]
    assert "ADA_OTEL_METRICS_FOLDER" in caplog.text


def test_the_temporary_folder_is_of_this_user_and_old_ones_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    base = tmp_path / f"ada-otel-metrics-{os.getuid()}"
    old = base / "999999999-1"
    old.mkdir(parents=True)
    base.chmod(0o700)
    os.utime(old, (1, 1))
    folder = _folder.choose("")
    assert folder.name.startswith(f"{os.getpid()}-")
    assert folder.stat().st_mode & 0o777 == 0o700
    assert not old.exists()
    assert _folder.choose("") == folder
    base.chmod(0o777)
    with pytest.raises(PermissionError):
        _folder.choose("")


def test_nan_has_no_place_on_the_page(worker: Worker) -> None:
    def observe(_options: CallbackOptions) -> list[Observation]:
        return [Observation(math.nan)]

    worker.meter.create_observable_gauge("shop.heat", [observe])
    worker.reader.collect()
    assert worker.sample("shop_heat") is None


def test_a_sum_does_not_depend_on_who_is_asked_or_who_has_died(tmp_path: Path) -> None:
    """Floats added in another order differ in their last bit, which Prometheus takes for a counter reset."""
    workers = [Worker(tmp_path) for _ in range(3)]
    for number, worker in enumerate(workers):
        worker.meter.create_counter("shop.time", "s").add((0.1, 0.2, 0.3)[number])
    assert 0.1 + (0.2 + 0.3) != (0.1 + 0.2) + 0.3
    files = [worker.storage.file for worker in workers]
    texts: set[tuple[float, ...]] = set()
    for file in files:
        merged = Merged()
        for other in files:
            if other is not file and other is not None:
                merged.add(_file.read(other.path), alive=True)
        assert file is not None
        merged.add(file.records(), alive=True)
        texts.update(tuple(value.values) for _, value in merged.items())
    for order in itertools.permutations(files):
        archive = WorkerFile(tmp_path, ".test")
        first = Merged()
        for dead in order[:2]:
            assert dead is not None
            first.add(dead.records(), alive=False)
        first.write(archive)
        merged = Merged()
        merged.add(archive.records(), alive=False)
        assert order[2] is not None
        merged.add(order[2].records(), alive=True)
        texts.update(tuple(value.values) for _, value in merged.items())
    assert len(texts) == 1
