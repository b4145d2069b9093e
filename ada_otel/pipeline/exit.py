"""The end of the process: all signals are flushed side by side within one budget, then the process may go.

However the process ends, it ends as it would have without telemetry: with the same status, by the same
signal, after the app's own handlers. Where each way is caught:

* the end of the main module, ``sys.exit``, an unhandled exception, ``KeyboardInterrupt``: ``atexit``, which
  runs after all non-daemon threads have ended and while daemon threads still live;
* SIGTERM, where the app has no handler of its own: ours flushes, then lets the signal have its default
  effect. A handler of the app is left alone; if it ends the process, ``atexit`` runs;
* ``os._exit`` of a multiprocessing or billiard child: the finalizers that these run before it;
* ``os._exit`` of a child of Celery's prefork pool, which runs none: Celery's ``worker_process_shutdown``.

Nothing can be done about SIGKILL and a bare ``os._exit``; the disk spool is for those.
"""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

from ada_otel._diagnostics import contained, report
from ada_otel.pipeline import threads
from ada_otel.pipeline.fork import on_fork

#: Flushes one signal; called with the seconds that are left, in a thread of its own.
Flusher = Callable[[float], object]

_DEFAULT_BUDGET = 3.0

#: The part of the budget that flushers get; the rest is for counting and saying what they had to leave.
_SHARE = 0.9

#: Modules whose child processes end by ``os._exit`` after running their own finalizers.
_FINALIZING = ("multiprocessing.util", "billiard.util")


class _Park:
    """A thread that waits until its flusher is wanted."""

    def __init__(self, flusher: Flusher) -> None:
        self._flusher = flusher
        self._go = _held_lock()
        self._done = _held_lock()
        self._left = 0.0
        threads.start(self._run, "ada-otel-exit")

    def go(self, left: float) -> None:
        """Let it flush within ``left`` seconds."""
        self._left = left
        self._go.release()

    def wait(self, left: float) -> bool:
        """Whether it is done within ``left`` seconds."""
        return bool(self._done.acquire(timeout=max(0.0, left)))

    def _run(self) -> None:
        self._go.acquire()
        with contained("Flushing telemetry at exit"):
            self._flusher(self._left)
        self._done.release()


class _Exit:
    """The state of this process."""

    def __init__(self) -> None:
        self.flushers: list[Flusher] = []
        self.budget = _DEFAULT_BUDGET
        self._hooked = False
        self._begun = False
        self._parked: list[_Park] = []
        on_fork(self._renew)

    def install(self, flushers: Iterable[Flusher], budget: float) -> None:
        self.flushers.extend(flushers)
        self.budget = budget
        if self._hooked:
            return
        self._hooked = True
        atexit.register(self._at_exit)
        _before_threads_end(self._park)
        self._watch_sigterm()
        self._watch_children()

    def run(self) -> bool:
        """Flush everything once; returns whether it was done within the budget."""
        if self._begun:
            return True
        self._begun = True
        deadline = time.monotonic() + self.budget
        if not self._parked:
            self._park()
        for parked in self._parked:
            parked.go((deadline - time.monotonic()) * _SHARE)
        for flusher in self.flushers[len(self._parked) :]:
            # No thread could be had: one after the other, in what is left of the budget.
            with contained("Flushing telemetry at exit"):
                flusher(max(0.0, deadline - time.monotonic()) * _SHARE)
        return sum(parked.wait(deadline - time.monotonic()) for parked in self._parked) == len(self._parked)

    def _at_exit(self) -> None:
        self.run()
        _keep_interrupted()

    def _park(self) -> None:
        """Start the threads while that is still allowed: Python 3.12 refuses it in ``atexit``."""
        try:
            while len(self._parked) < len(self.flushers):
                self._parked.append(_Park(self.flushers[len(self._parked)]))
        except RuntimeError as error:
            report(
                "exit:threads",
                f"No thread for flushing at exit ({error}); signals are flushed in turn.",
                level=10,
            )

    def _watch_sigterm(self) -> None:
        # The kernel ignores a default SIGTERM in process 1 of a container; ours must not end what went on.
        if os.getpid() == 1 or threading.current_thread() is not threading.main_thread():
            return
        with contained("Watching for SIGTERM"):
            if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
                signal.signal(signal.SIGTERM, self._on_signal)

    def _on_signal(self, number: int, _frame: Any) -> None:
        if self._begun:
            return  # a flush is under way, and the process ends after it
        self.run()
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)

    def _watch_children(self) -> None:
        """Flush in a multiprocessing child: this hook runs after its fork, the finalizer at its end.

        The launcher comes before the app imports these modules; so a child looks for them again.
        """
        for name in _FINALIZING:
            module = sys.modules.get(name)
            if module is not None:
                with contained(f"Watching {name}"):
                    module.register_after_fork(self, _finalize_in_child)
        signals = sys.modules.get("celery.signals")
        if signals is not None:
            with contained("Watching Celery's children"):
                signals.worker_process_shutdown.connect(
                    _at_end_of_celery_child, weak=False, dispatch_uid="ada-otel"
                )

    def _renew(self) -> None:
        self._begun = False
        self._parked = []
        if self._hooked:
            self._watch_children()


def _finalize_in_child(process: _Exit) -> None:
    for name in _FINALIZING:
        module = sys.modules.get(name)
        if module is not None:
            # The lowest priority: after the app's own finalizers, which may still record.
            module.Finalize(None, process.run, exitpriority=-1000)


def _at_end_of_celery_child(**_kwargs: Any) -> None:
    _process.run()


def _keep_interrupted() -> None:
    """Let a process that Ctrl-C ended still die of SIGINT, as its shell expects.

    CPython notes an unhandled ``KeyboardInterrupt`` in a flag, which every later ``exec`` of a string clears:
    defining a dataclass in a module that is imported on the first export is enough, and the status would be
    1.
    """
    if getattr(sys, "last_type", None) is KeyboardInterrupt:
        try:
            exec("raise KeyboardInterrupt")  # noqa: S102  # a constant; this sets the flag again
        except KeyboardInterrupt:
            return


def _before_threads_end(hook: Callable[[], None]) -> None:
    """Run ``hook`` when the main thread has ended, before the others are awaited (a private of CPython)."""
    register: Any = getattr(threading, "_register_atexit", None)
    if register is not None:
        with contained("Preparing the exit"):
            register(hook)


def _held_lock() -> Any:
    lock = threading.Lock()
    lock.acquire()
    return lock


_process = _Exit()


def install(flushers: Iterable[Flusher], budget: float = _DEFAULT_BUDGET) -> None:
    """Flush at the end of this process, and of each that is forked from it, however it ends.

    May be called again: flushers add up, and the last budget holds.

    Args:
        flushers: One for each signal: called with the seconds left, it sends what it can and gives up the
            rest. They run side by side. A flusher that does not keep to its time is left behind.
        budget: Seconds for all of them together.

    Raises:
        ValueError: The budget is negative.
    """
    if not 0 <= budget < float("inf"):
        raise ValueError(f"The exit budget is {budget!r}; it has to be a number of seconds, 0 or more.")
    _process.install(flushers, budget)


def flush_now() -> bool:
    """Do what the exit would do, now; for ways to end that are not caught, such as a bare ``os._exit``.

    Returns:
        Whether everything was flushed within the budget. What is recorded later is not sent.
    """
    return _process.run()
