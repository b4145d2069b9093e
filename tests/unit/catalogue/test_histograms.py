"""Explicit or exponential histograms, by the setting of OpenTelemetry, as they leave a process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.otlp_receiver import otlp_receiver
from tests.support.process import run_program

PROGRAM = """
import ada_otel
ada_otel.setup()
import flask
app = flask.Flask("shop")
app.add_url_rule("/items", view_func=lambda: "items")
client = app.test_client()
for _ in range(100):
    client.get("/items")
"""


@pytest.mark.parametrize(
    ("aggregation", "kind"),
    [
        ("explicit_bucket_histogram", "histogram"),
        ("base2_exponential_bucket_histogram", "exponential_histogram"),
    ],
)
def test_the_setting_decides(tmp_path: Path, aggregation: str, kind: str) -> None:
    with otlp_receiver() as received:
        done = run_program(
            PROGRAM,
            tmp_path,
            environment={
                "OTEL_EXPORTER_OTLP_ENDPOINT": received.endpoint,
                "OTEL_SERVICE_NAME": "shop",
                "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION": aggregation,
                "ADA_OTEL_RAISE": "true",
            },
        )
    assert done.returncode == 0, done.stderr
    found: list[Any] = [
        metric
        for request in received.metrics
        for block in request.resource_metrics
        for scope in block.scope_metrics
        for metric in scope.metrics
        if metric.name == "http.server.request.duration"
    ]
    assert {metric.WhichOneof("data") for metric in found} == {kind}
    (point,) = getattr(found[-1], kind).data_points
    assert point.count == 100
    if kind == "histogram":
        assert list(point.explicit_bounds)[:3] == [0.005, 0.01, 0.025]
    else:
        assert sum(point.positive.bucket_counts) + point.zero_count == 100
