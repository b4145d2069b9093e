"""The exit in one process: one budget for all flushers, once, and handlers of the app left alone."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ada_otel.pipeline import exit as leaving


@pytest.fixture
def process(monkeypatch: pytest.MonkeyPatch) -> Iterator[leaving._Exit]:
    """An exit of its own, which hooks into nothing that outlives the test."""
    fresh = leaving._Exit()
    monkeypatch.setattr(leaving, "_process", fresh)
    monkeypatch.setattr("atexit.register", lambda _hook: None)
    monkeypatch.setattr(leaving, "_before_threads_end", lambda _hook: None)
    before = signal.getsignal(signal.SIGTERM)
    yield fresh
    signal.signal(signal.SIGTERM, before)


def sleeper(seconds: float, done: list[str], name: str) -> Callable[[float], None]:
    def flush(_left: float) -> None:
        time.sleep(seconds)
        done.append(name)

    return flush


def test_flushers_run_side_by_side(process: leaving._Exit) -> None:
    done: list[str] = []
    leaving.install([sleeper(0.4, done, "a"), sleeper(0.4, done, "b")])
    leaving.install([sleeper(0.4, done, "c")], budget=2)
    begun = time.monotonic()
    assert leaving.flush_now()
    assert time.monotonic() - begun < 0.9
    assert sorted(done) == ["a", "b", "c"]


def test_a_flusher_that_overruns_is_left_behind(process: leaving._Exit) -> None:
    done: list[str] = []
    leaving.install([sleeper(5, done, "slow"), sleeper(0, done, "quick")], budget=0.5)
    begun = time.monotonic()
    assert not leaving.flush_now()
    assert time.monotonic() - begun < 0.8
    assert done == ["quick"]


def test_a_flusher_that_raises_does_not_hold_up_the_rest(
    process: leaving._Exit, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(_left: float) -> None:
        raise LookupError("broken flusher")

    done: list[str] = []
    leaving.install([broken, sleeper(0, done, "other")])
    assert leaving.flush_now()
    assert done == ["other"]
    assert "broken flusher" in caplog.text


def test_it_happens_once(process: leaving._Exit) -> None:
    done: list[str] = []
    leaving.install([sleeper(0, done, "a")])
    for _ in range(3):
        assert leaving.flush_now()
    assert done == ["a"]


def test_without_threads_the_budget_still_holds(
    process: leaving._Exit, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_self: threading.Thread) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    given: list[float] = []
    leaving.install([given.append, given.append], budget=1)
    monkeypatch.setattr(threading.Thread, "start", refuse)
    leaving.flush_now()
    assert len(given) == 2
    assert all(0.7 < left <= 1 for left in given)


def test_a_handler_of_the_app_stays(process: leaving._Exit) -> None:
    def mine(_number: int, _frame: Any) -> None:
        """The app's."""

    signal.signal(signal.SIGTERM, mine)
    leaving.install([])
    assert signal.getsignal(signal.SIGTERM) is mine


def test_installing_from_a_thread_is_safe(process: leaving._Exit) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    thread = threading.Thread(target=leaving.install, args=([],))
    thread.start()
    thread.join()
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


@pytest.mark.parametrize("budget", [-1, float("nan"), float("inf")])
def test_a_bad_budget_is_refused(process: leaving._Exit, budget: float) -> None:
    with pytest.raises(ValueError, match="exit budget"):
        leaving.install([], budget=budget)


def test_privates_that_this_leans_on_are_there() -> None:
    import multiprocessing.util as mp

    assert callable(threading._register_atexit)  # type: ignore[attr-defined]
    assert callable(mp.register_after_fork)
    assert callable(mp.Finalize)
    assert "multiprocessing.util" in sys.modules
