"""The thread that takes batches from a queue and hands them to an exporter.

One thread per signal: a traces endpoint that hangs must not hold the logs, and at exit all signals are
flushed side by side. It starts with the first item that the process records, so a forked child that records
nothing has none, and locks are made where the thread is: under gevent, both are then of the same kind,
patched or not.
"""

from __future__ import annotations

import _thread
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY, attach, detach, set_value

from ada_otel._diagnostics import contained, report
from ada_otel.pipeline import threads
from ada_otel.pipeline.export import stats
from ada_otel.pipeline.export.delivery import Delivers, Delivery
from ada_otel.pipeline.export.queue import ItemQueue, exporting, exporting_threads
from ada_otel.pipeline.fork import on_fork, threads_held

if TYPE_CHECKING:
    from ada_otel.pipeline.export.spool import Spool

#: A batch that is sent while it is uncertain whether it arrives.
_PROBE = 64

#: Seconds between looks at the queue while the collector is away and there is a spool.
_LOOK = 0.1

#: The part of the time to stop that is spent on sending, when the rest can be written to disk.
_BEFORE_SPOOLING = 0.7


class _Life:
    """What belongs to one running thread; a forked child gets none of it."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.bell = _held_lock()
        self.rung = False
        self.done = _held_lock()
        self.flushes: deque[Any] = deque()


class Worker:
    """Batches of one signal.

    Args:
        name: The thread's.
        queue: Where the items are.
        exporter: A standard exporter of the signal; one that :class:`Delivers` gets back what it kept.
        figures: Where it counts.
        is_important: Whether an item must be dropped last.
        delay: Seconds from one batch to the next.
        batch: The most items in a batch.
        export_timeout: Seconds that one batch may take, further tries included.
        retry_for: Seconds for which a failing collector is given the same items again before plain ones are
            dropped as ``retry_exhausted``: one that fails only on them must not hold up the rest for ever.
        spool: Takes what cannot be sent when the queue is half full or the process ends.
    """

    def __init__(
        self,
        name: str,
        queue: ItemQueue,
        exporter: Any,
        figures: stats.SignalStats,
        *,
        is_important: Callable[[Any], bool],
        delay: float,
        batch: int,
        export_timeout: float,
        retry_for: float = 600.0,
        spool: Spool | None = None,
    ) -> None:
        self._name = name
        self._queue = queue
        self._exporter = exporter
        self._delivers = isinstance(exporter, Delivers)
        self._figures = figures
        self._is_important = is_important
        self._delay = delay
        self._batch = batch
        self._export_timeout = export_timeout
        self._retry_for = retry_for
        self._spool = spool
        self._taken: list[Any] = []
        queue.wake = self._added
        self._renew()
        on_fork(self._renew)
        if spool is not None and spool.waiting:
            self._start()  # what an earlier process left is sent even if this one records nothing

    def _renew(self) -> None:
        """In a forked child: items, thread and locks are the parent's, which sends them itself."""
        self._queue.clear()
        self._taken = []
        self._life: _Life | None = None
        self._queue.wake_at = 1  # there is no thread
        self._starting = _thread.allocate_lock()
        self._failing_since = 0.0
        self._last_call: float | None = None
        self._one_at_a_time = threading.Lock()
        exporting_threads.clear()

    @property
    def in_hand(self) -> int:
        """How many items are being sent."""
        return len(self._taken)

    def _added(self, length: int) -> None:
        """An item was added: start the thread if there is none, wake it if a batch is full. Never waits."""
        life = self._life or self._start()
        if life is not None and length >= self._batch and not life.rung:
            life.rung = True
            _ring(life.bell)

    def flush(self, timeout: float) -> bool:
        """Export what is queued now.

        Args:
            timeout: Seconds to wait for it.

        Returns:
            Whether all of it has left in time.
        """
        if exporting() or (not self._queue and not self.in_hand):
            return True
        life = self._life or self._start()
        if life is None:
            return self._drain_here(time.monotonic() + timeout)
        gone = _held_lock()
        life.flushes.append(gone)
        _ring(life.bell)
        return gone.acquire(timeout=max(0.0, timeout)) and not self._queue

    def stop(self, timeout: float) -> bool:
        """Export what is queued, then end the thread; what is left after ``timeout`` is dropped and counted.

        Args:
            timeout: Seconds.

        Returns:
            Whether nothing was left.
        """
        if self._spool is not None:
            timeout *= _BEFORE_SPOOLING
        deadline = time.monotonic() + timeout
        self._last_call = deadline
        if self._delivers:
            self._exporter.hurry(deadline)
        life = self._life
        if life is not None and not exporting():
            _ring(life.bell)
            life.done.acquire(timeout=max(0.0, timeout))
        elif life is None:
            self._drain_here(deadline)
        # From here on it is not the thread's: what it could not send it would put back, to be stored twice.
        stuck, self._taken = self._taken, []
        left = self._spool_all(stuck) if self._spool is not None else self._queue.clear() + len(stuck)
        if left:
            self._figures.drop("shutdown", left)
        stats.say_drops(at_exit=True)
        return left == 0

    def _start(self) -> _Life | None:
        if not self._starting.acquire(blocking=False):
            return self._life  # another thread is at it
        try:
            if self._life is None and self._last_call is None and not threads_held():
                life = _Life()
                threads.start(self._run, self._name, life)
                self._life = life
                self._queue.wake_at = self._batch
        except RuntimeError as error:  # too many, or the interpreter is ending; flush works
            report(
                f"worker:{self._name}", f"The thread {self._name} could not be started: {error}.", exc=error
            )
        finally:
            self._starting.release()
        return self._life

    def _run(self, life: _Life) -> None:
        try:
            while self._last_call is None:
                rung = life.bell.acquire(timeout=self._delay)
                life.rung = False
                with contained(f"Exporting {self._figures.signal}"):
                    self._round(life, only_full=rung)
            with contained(f"Exporting {self._figures.signal}"):
                self._drain(self._last_call)
        finally:
            life.done.release()

    def _round(self, life: _Life, *, only_full: bool) -> None:
        """One awakening: what was there is exported; if woken for a full batch, only full batches."""
        flushes = [life.flushes.popleft() for _ in range(len(life.flushes))]
        only_full = only_full and not flushes and self._last_call is None
        planned = len(self._queue)
        while planned > 0 and self._last_call is None:
            if only_full and len(self._queue) < self._batch:
                break
            if self._spool is not None and self._waits_with_spool(life, self._spool):
                continue
            taken = self._export_one()
            if not taken:
                break
            planned -= taken
        for gone in flushes:
            _ring(gone)
        stats.say_drops()
        if self._spool is not None and not self._failing_since and not self._exporter.pause:
            self._spool.replay(self._at_leisure, self._export_timeout)

    def _drain(self, deadline: float) -> None:
        while self._queue and time.monotonic() < deadline and self._export_one():
            pass

    def _drain_here(self, deadline: float) -> bool:
        """Export in the calling thread, for want of another."""
        self._drain(deadline)
        return not self._queue

    def _export_one(self) -> int:
        """Export one batch; returns how many items left the queue for good."""
        with self._one_at_a_time:
            delivers = isinstance(self._exporter, Delivers)
            probing = delivers and self._exporter.failing and self._last_call is None
            items = self._take(min(self._batch, _PROBE) if probing else self._batch, plain_first=probing)
            if not items:
                return 0
            self._taken = items
            ident = threading.get_ident()
            exporting_threads.add(ident)
            token = attach(set_value(_SUPPRESS_INSTRUMENTATION_KEY, True))
            try:
                done = self._deliver(items) if self._delivers else self._export(items)
                if self._taken is items:
                    self._settle(done)
            finally:
                detach(token)
                exporting_threads.discard(ident)
                self._taken = []
            self._figures.delivered(done)
            return len(items) - len(done.kept)

    def _take(self, most: int, *, plain_first: bool = False) -> list[Any]:
        """Items for a batch. Spans lose their secrets here, off the request's way and before any disk."""
        items = self._queue.take(most, plain_first=plain_first)
        if items and self._figures.signal == "traces":
            from ada_otel.redaction._spans import redact_spans

            redact_spans(items)
        return items

    def _deliver(self, items: list[Any]) -> Delivery:
        within = self._export_timeout
        if self._last_call is not None:
            within = min(within, self._last_call - time.monotonic())
        done: Delivery = self._exporter.deliver(items, within, once=self._spool is not None)
        return done

    def _export(self, items: list[Any]) -> Delivery:
        """By the standard interface, which says yes or no for the whole batch."""
        done = Delivery()
        try:
            result = self._exporter.export(items)
        except Exception as error:
            report(
                f"exporter:{self._figures.signal}:{type(error).__name__}",
                f"{type(self._exporter).__name__} raised {type(error).__name__}: {error}. "
                "The batch is dropped and counted.",
                exc=error,
            )
            done.error = type(error).__name__
            done.drop("exporter_error", len(items))
            return done
        if getattr(result, "name", "SUCCESS") == "SUCCESS":
            done.sent = len(items)
        else:
            done.error = "export_failed"
            done.drop("retry_exhausted", len(items))
        return done

    def _settle(self, done: Delivery) -> None:
        """Put back what may still be sent, unless it has been tried for long enough."""
        if not done.kept:
            self._failing_since = 0.0
            return
        now = time.monotonic()
        self._failing_since = self._failing_since or now
        if self._spool is not None and self._last_call is None:
            self._spool_half(self._spool)
        if now - self._failing_since > self._retry_for and self._last_call is None:
            self._give_up(done)
        self._queue.restore(done.kept, self._is_important)

    def _waits_with_spool(self, life: _Life, spool: Spool) -> bool:
        """While no attempt is due, keep the queue from running over instead of waiting in the exporter."""
        if not self._failing_since or self._last_call is not None:
            return False
        pause = self._exporter.pause
        if pause <= 0:
            return False
        life.bell.acquire(timeout=min(pause, _LOOK))
        life.rung = False
        self._spool_half(spool)
        return True

    def _at_leisure(self) -> bool:
        return self._last_call is None and len(self._queue) < self._batch and not self._has_flushes()

    def _has_flushes(self) -> bool:
        return self._life is not None and bool(self._life.flushes)

    def _spool_half(self, spool: Spool) -> None:
        """Write to disk what is beyond half of the queue, the oldest plain items first."""
        while len(self._queue) > self._queue.capacity // 2:
            items = self._take(self._batch, plain_first=True)
            if not spool.put(items):
                self._queue.restore(items, self._is_important)
                return

    def _spool_all(self, stuck: list[Any]) -> int:
        """Write everything to disk, also the batch that is being sent; returns how many items are lost."""
        assert self._spool is not None
        lost = 0
        items = stuck
        while items or self._queue:
            items = items or self._take(self._batch)
            if not self._spool.put(items):
                lost += len(items)
            items = []
        return lost

    def _give_up(self, done: Delivery) -> None:
        """Drop the plain items of a batch, or all of them if there are none."""
        important: Sequence[Any] = [item for item in done.kept if self._is_important(item)]
        if len(important) == len(done.kept):
            important = ()
        done.drop("retry_exhausted", len(done.kept) - len(important))
        done.kept = list(important)
        self._failing_since = time.monotonic()


def _held_lock() -> Any:
    """A lock that is taken already: acquiring it waits for :func:`_ring`. Ringing never waits."""
    lock = threading.Lock()
    lock.acquire()
    return lock


def _ring(lock: Any) -> None:
    try:
        lock.release()
    except (RuntimeError, ValueError):
        return  # rung already
