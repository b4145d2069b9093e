"""What an app may put into metrics, and a scraper into its request, that must not cost the page."""

from __future__ import annotations

import random
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families as parse_text

from ada_otel._diagnostics import forget_reports
from ada_otel.web.metrics_page import _folder
from ada_otel.web.metrics_page._file import WorkerFile, read
from ada_otel.web.metrics_page._merge import Merged
from ada_otel.web.metrics_page._render import encoder, render
from tests.unit.metrics_page.test_shared_metrics import OPEN, Worker, parse_openmetrics


def labels_of(page: str, name: str, parse: Any = parse_text) -> list[dict[str, str]]:
    return [sample.labels for family in parse(page) for sample in family.samples if sample.name == name]


@pytest.mark.parametrize(("accept", "parse"), [("", parse_text), (OPEN, parse_openmetrics)])
@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ({"k": 'quo"te \\ back\nline'}, {"k": 'quo"te \\ back\nline'}),
        ({"k": "half \ud800 pair"}, {"k": "half ? pair"}),
        ({"k\udcff": "x"}, {"k_": "x"}),
        ({"__name__": "other"}, {"key__name__": "other"}),
        ({"": "x", "k": "y"}, {"k": "y"}),
        ({"a.b": 1, "a_b": 2}, {"a_b": "1;2"}),
        ({"größe": "größer"}, {"gr__e": "größer"}),
        ({"k": "x" * 100_000}, {"k": "x" * 1024}),
        ({"k": object()}, {"k": "null"}),
        ({"k": float("nan")}, {"k": "NaN"}),
    ],
)
def test_any_attributes_are_labels_that_can_be_read(
    given: dict[str, Any], shown: dict[str, str], accept: str, parse: Any, tmp_path: Path
) -> None:
    forget_reports()
    worker = Worker(tmp_path)
    worker.meter.create_counter("shop.odd", description='A "line"\nof \udcff.').add(1, given)
    assert labels_of(worker.page(accept), "shop_odd_total", parse) == [shown]


def test_a_resource_that_is_no_text_of_utf_8_is_shown(tmp_path: Path) -> None:
    worker = Worker(tmp_path)
    page, _ = render([], {"service.name": "shop \udcff", "b": "ö"}, "", "")
    assert labels_of(page.decode(), "target_info") == [{"service_name": "shop ?", "b": "ö"}]
    assert worker.storage.file is None
    assert list(_folder.total(tmp_path, None).items()) == []


@pytest.mark.parametrize(
    "accept",
    [
        "application/openmetrics-text; version=newest",
        "application/openmetrics-text;version=1.0.0;escaping=?;q=a",
        ";;;==,,\udcff",
        "text/html",
        "a" * 9000,
    ],
)
def test_any_accept_header_gives_a_page(accept: str, tmp_path: Path) -> None:
    worker = Worker(tmp_path)
    worker.meter.create_counter("shop.sales").add(1)
    assert "shop_sales_total 1.0" in worker.page(accept)
    assert encoder(accept)[1].startswith(("text/plain", "application/openmetrics-text"))


def test_a_value_that_cannot_be_added_up_leaves_nothing_half(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    forget_reports()
    worker = Worker(tmp_path)
    wait = worker.meter.create_histogram("shop.wait", "s", explicit_bucket_boundaries_advisory=[1.0])
    wait.record(0.5)
    wait.record(Decimal("0.5"))  # type: ignore[arg-type]  # on purpose
    assert worker.sample("shop_wait_seconds_count") == 1
    assert worker.sample("shop_wait_seconds_sum") == 0.5
    assert "shop.wait" in caplog.text


def test_a_damaged_file_costs_what_is_damaged_and_no_more(tmp_path: Path) -> None:
    worker = Worker(tmp_path)
    worker.meter.create_counter("shop.sales", "{sale}", "Sales.").add(3, {"till": "a"})
    worker.meter.create_gauge("shop.level", "1", "Level.").set(0.5)
    worker.meter.create_histogram("shop.wait", explicit_bucket_boundaries_advisory=[1, 2]).record(1.5)
    own = worker.storage.file
    assert own is not None
    whole = own.path.read_bytes()
    used = int.from_bytes(whole[:8], "little")
    chance = random.Random(1)
    other = tmp_path / "1-1-1.worker"
    for _ in range(300):
        damaged = bytearray(whole)
        for _ in range(chance.choice((1, 2, 50))):
            damaged[chance.randrange(used)] = chance.randrange(256)
        other.write_bytes(damaged)
        merged = Merged()
        merged.add(read(other), alive=True)
        merged.add(own.records(), alive=True)
        page, _ = render(merged.items(), {}, "", "")
        assert b"shop_sales_total{" in page
        archive = WorkerFile(tmp_path, ".unfinished")
        merged.write(archive)
        archive.close()
        archive.path.unlink()
