"""The sizing benchmark in miniature, on the real collector: all that is sent leaves it, in each shape."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.sizing.throughput import Rounds, measure
from tests.support.servers import or_skip
from tools.builds.go import build
from tools.builds.targets import OTELCOL

pytestmark = pytest.mark.integration


def test_each_shape_passes_on_what_it_takes(tmp_path: Path) -> None:
    or_skip(lambda: build(OTELCOL))
    found = measure(tmp_path, Rounds(1, 0.2))
    assert {kind: set(shapes) for kind, shapes in found["signals"].items()} == {
        "spans": {"bare", "ours", "no_hop"},
        "log_records": {"bare", "ours", "no_hop"},
        "metric_points": {"bare", "ours"},
    }
    for shapes in found["signals"].values():
        for row in shapes.values():
            assert row["per_second"] > 0
            assert 100 < row["bytes_per_item"] < 1000
    assert all(mebibytes > 20 for mebibytes in found["peak_mib"].values())
