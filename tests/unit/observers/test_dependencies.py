"""Reachability of dependencies: real sockets on loopback, tried off the collecting thread."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest

from ada_otel import settings
from ada_otel._diagnostics import forget_reports
from ada_otel.observers import targets
from ada_otel.observers._dependencies import Prober, attempt
from ada_otel.observers.targets import Target
from tests.support.ports import free_port


@pytest.fixture(autouse=True)
def _none_known() -> Iterator[None]:
    before = dict(targets._found)
    targets.forget()
    yield
    targets.forget()
    targets._found.update(before)


@pytest.fixture
def open_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_what_listens_is_reachable_with_latencies(open_port: int) -> None:
    found = attempt(Target("it", "localhost", open_port))
    assert found.reachable
    assert found.dns is not None and 0 <= found.dns < 3
    assert found.tcp is not None and 0 < found.tcp < 3


def test_a_closed_port_and_a_name_that_is_none() -> None:
    closed = attempt(Target("it", "127.0.0.1", free_port()))
    assert (closed.reachable, closed.tcp) == (False, None)
    assert closed.dns is not None
    unknown = attempt(Target("it", "no-such-host.invalid", 1))
    assert (unknown.reachable, unknown.dns, unknown.tcp) == (False, None, None)
    for host, port in (("127.0.0.1", 99_999), ("127.0.0.1", -1), ("a..b", 80), ("x" * 70, 80), ("a\0b", 80)):
        assert not attempt(Target("it", host, port)).reachable


def test_a_reading_does_not_wait_and_has_the_result_later(open_port: int) -> None:
    known = [Target("database", "127.0.0.1", open_port), Target("mail", "127.0.0.1", free_port())]
    prober = Prober(lambda: True, lambda: known, interval=0.05)
    started = time.monotonic()
    prober.read()
    assert time.monotonic() - started < 2
    deadline = time.monotonic() + 10
    reachable: dict[Any, Any] = {}
    while len(reachable) < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
        reading: Any = prober.read()
        reachable = {
            p.attributes["ada.dependency.name"]: p.value for p in reading["ada.dependency.reachable"]
        }
    prober._pid = 0  # ends its thread
    assert reachable == {"database": 1, "mail": 0}
    steps = {(p.attributes["ada.dependency.name"], p.attributes["ada.dependency.step"])
             for p in reading["ada.dependency.latency"]}  # fmt: skip
    assert steps == {("database", "dns"), ("database", "tcp"), ("mail", "dns")}


def test_a_look_up_that_hangs_counts_as_away() -> None:
    target = Target("database", "db", 1)
    prober = Prober(lambda: True, lambda: [target])
    prober._pid = os.getpid()
    prober._trying = (target, time.monotonic() - 60)
    (point,) = prober.read()["ada.dependency.reachable"]
    assert point.value == 0


def test_without_dependencies_or_the_lock_nothing_is_tried() -> None:
    assert Prober(lambda: True, list).read() == {}
    assert Prober(lambda: False, lambda: [Target("a", "b", 1)]).read() == {}


def test_found_ones_are_named_by_kind_and_configured_ones_by_the_setting() -> None:
    targets.note("database", "db1", 5432)
    targets.note("database", "db1", 5432)
    targets.note("database", "db2", 5432)
    targets.note("redis", "cache", 6379)
    targets.note("database", "/var/run/postgresql", 5432)
    targets.note("database", None, None)
    targets.configure("orders", "db2", 5432)
    assert [target.name for target in targets.all_targets()] == ["database", "orders", "redis"]


def test_the_setting_is_a_list_of_names_and_addresses() -> None:
    found = settings.load({"ADA_OTEL_DEPENDENCIES": "database=db.internal:5432, mail=[::1]:25"})
    assert found.dependencies == (("database", "db.internal", 5432), ("mail", "::1", 25))


@pytest.mark.parametrize("text", ["db", "db=host", "=host:1", "db=host:0", "db=host:99999", "db=:5"])
def test_a_bad_list_is_none(text: str, caplog: pytest.LogCaptureFixture) -> None:
    forget_reports()
    assert settings.load({"ADA_OTEL_DEPENDENCIES": text}).dependencies == ()
    assert "ADA_OTEL_DEPENDENCIES" in caplog.text
