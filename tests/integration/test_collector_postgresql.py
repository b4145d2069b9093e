"""The PostgreSQL overlay without its receiver, which only otelcol-contrib has: OTLP stands in its place.

What the receiver sends is taken from its ``documentation.md``: a resource for each database and table.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.capture import CAPTURE, captured, overlay, plain
from tests.support.collector import BASE, Collector, eventually
from tests.support.otlp_sender import counter, post
from tests.support.ports import free_port
from tests.support.servers import or_skip
from tools.builds.go import build
from tools.builds.targets import OTELCOL

pytestmark = pytest.mark.integration


def _with_otlp_for_postgresql(folder: Path, address: str) -> Path:
    config: dict[str, Any] = yaml.safe_load(overlay("postgresql").read_text(encoding="utf-8"))
    assert list(config["receivers"]) == ["postgresql"]
    config["receivers"] = {"otlp/postgresql": {"protocols": {"http": {"endpoint": address}}}}
    pipeline = config["service"]["pipelines"]["metrics/postgresql"]
    assert pipeline["receivers"] == ["postgresql"]
    pipeline["receivers"] = ["otlp/postgresql"]
    written = folder / "postgresql.yaml"
    written.write_text(yaml.safe_dump(config), encoding="utf-8")
    return written


def test_databases_and_tables_are_labels_of_one_instance(tmp_path: Path) -> None:
    program = or_skip(lambda: build(OTELCOL)) / "otelcol"
    capture = tmp_path / "capture.yaml"
    capture.write_text(CAPTURE.replace("FOLDER", str(tmp_path)))
    address = f"127.0.0.1:{free_port()}"
    environment = {"ADA_POSTGRESQL_ENDPOINT": "db.example:5432", "ADA_ENVIRONMENT": "test"}
    configs = (BASE, _with_otlp_for_postgresql(tmp_path, address), capture)
    places: tuple[dict[str, str], ...] = (
        {"postgresql.database.name": "shop"},
        {"postgresql.database.name": "users"},
        {"postgresql.database.name": "shop", "postgresql.table.name": "public.orders"},
        {},  # of the whole server
    )
    with Collector(program, tmp_path, environment, configs) as collector:
        for number, place in enumerate(places):
            resource = {**place, "service.instance.id": f"made up by the receiver {number}"}
            post(address, "metrics", [counter("postgresql.commits", number)], resource)
        found = eventually(
            "all points", lambda: each if len(each := captured(tmp_path, "metrics")) == len(places) else []
        )
        text = collector.log.read_text(encoding="utf-8")
    assert "deprecat" not in text.lower()
    assert {tuple(sorted(metric["resource"].items())) for metric in found} == {
        (
            ("deployment.environment.name", "test"),
            ("service.instance.id", "db.example:5432"),
            ("service.name", "postgresql"),
        )
    }
    points = {
        int(point["asInt"]): plain(point.get("attributes", []))
        for metric in found
        for point in metric["sum"]["dataPoints"]
    }
    assert points == dict(enumerate(places))
