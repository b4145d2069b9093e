"""The collector's overlay for Issues: it holds what waits, and waits longer than the bridge takes."""

from __future__ import annotations

import inspect
from typing import Any

import yaml

from ada_otel.sentry_bridge import Sender
from tools.paths import COLLECTOR


def load(name: str) -> dict[str, Any]:
    loaded = yaml.safe_load((COLLECTOR / name).read_text(encoding="utf-8"))
    assert isinstance(loaded, dict)
    return loaded


def test_it_queues_on_disk_never_gives_up_and_outwaits_the_bridge() -> None:
    leg = load("otelcol.issues.yaml")["exporters"]["otlp_http/issues"]
    assert leg["sending_queue"]["storage"] == "file_storage/queue"
    assert leg["retry_on_failure"]["max_elapsed_time"] == "0s"
    budget = inspect.signature(Sender).parameters["budget"].default
    assert int(leg["timeout"].removesuffix("s")) > budget


def test_it_hangs_on_the_base_and_repeats_none_of_it_or_of_the_other_overlay() -> None:
    overlay = load("otelcol.issues.yaml")
    assert overlay["service"]["pipelines"] == {
        "logs/issues": {"receivers": ["forward/logs"], "exporters": ["otlp_http/issues"]}
    }
    assert set(overlay) == {"exporters", "service"}
    for name in ("otelcol.yaml", "otelcol.sentry.yaml"):
        other = load(name)
        assert not set(overlay["exporters"]) & set(other["exporters"])
        assert not set(overlay["service"]["pipelines"]) & set(other["service"]["pipelines"])
    assert "forward/logs" in load("otelcol.yaml")["connectors"]
