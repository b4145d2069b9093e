"""``ada-otel probe`` against small servers on loopback, as a process of its own."""

from __future__ import annotations

import signal
import subprocess
import sys
from typing import Any

import pytest

from ada_otel.cli import main
from tests.drills.faults import Collector, answer, collector, refusing
from tests.support.otlp_receiver import Received, value
from tests.support.process import clean_environment


def points(received: Received, metric: str) -> dict[str, Any]:
    """The newest value of each target."""
    found = {}
    for request in received.metrics:
        for block in request.resource_metrics:
            for scope in block.scope_metrics:
                for each in scope.metrics:
                    if each.name == metric:
                        for point in each.gauge.data_points:
                            name = value(point.attributes[0].value)
                            found[name] = point.as_int if point.HasField("as_int") else point.as_double
    return found


def test_good_bad_and_hanging_targets_are_told_apart() -> None:
    with (
        collector() as sink,
        collector(lambda _: answer(200)) as good,
        collector(lambda _: answer(503)) as bad,
        collector("black_hole") as hanging,
        refusing() as closed,
    ):
        targets = [("good", good.endpoint), ("bad", bad.endpoint), ("closed", closed)]
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "ada_otel.cli", "probe", "--interval", "0.2", "--timeout", "0.5"),
                *(f"{name}={url}/health/ready" for name, url in [*targets, ("hanging", hanging.endpoint)]),
            ],
            env=clean_environment({"OTEL_EXPORTER_OTLP_ENDPOINT": sink.endpoint}),
            stderr=subprocess.PIPE,
        )
        try:
            received = Received(sink)
            wanted = {"good": 1, "bad": 0, "closed": 0, "hanging": 0}
            assert sink.wait_for(lambda: points(received, "ada.probe.success") == wanted, 20)
            seconds = points(received, "ada.probe.duration")
            assert 0 < seconds["good"] < 0.5 <= seconds["hanging"]
            assert {request.path for request in good.requests} == {"/health/ready"}
        finally:
            process.send_signal(signal.SIGTERM)
            _, said = process.communicate(timeout=10)
        assert process.returncode == 0
        assert b"bad does not answer well (503)" in said
        assert b"hanging does not answer well (TimeoutError)" in said


def test_it_recovers() -> None:
    with collector() as sink, collector(lambda _: answer(503)) as app:
        process = subprocess.Popen(
            [sys.executable, "-m", "ada_otel.cli", "probe", "--interval", "0.1", f"front={app.endpoint}"],
            env=clean_environment({"OTEL_EXPORTER_OTLP_ENDPOINT": sink.endpoint}),
            stderr=subprocess.DEVNULL,
        )
        try:
            received = Received(sink)
            assert sink.wait_for(lambda: points(received, "ada.probe.success") == {"front": 0}, 20)
            app.mode = lambda _: answer(204)
            assert sink.wait_for(lambda: points(received, "ada.probe.success") == {"front": 1}, 20)
        finally:
            process.terminate()
            assert process.wait(10) == 0


def test_one_round_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    ready: Collector
    with collector(lambda _: answer(200)) as ready, collector(lambda _: answer(500)) as broken:
        assert main(["probe", "--once", f"front={ready.endpoint}"]) == 0
        assert main(["probe", "--once", f"front={ready.endpoint}", f"back={broken.endpoint}"]) == 1
    said = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[:2] for line in said] == [
        ["front", "good"],
        ["front", "good"],
        ["back", "bad (500)"],
    ]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["front"], "'front' is no NAME=URL, such as front=https://ada.example.com/health/ready"),
        (["front=ftp://x"], "'front=ftp://x' is no NAME=URL"),
        (["a=http://x", "a=http://y"], "two targets have one name"),
        (["a=http://x", "--timeout", "0"], "--timeout must be from 0 to 60 seconds"),
    ],
)
def test_bad_words_are_named(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["probe", *words]) == 2
    assert said in capsys.readouterr().err
