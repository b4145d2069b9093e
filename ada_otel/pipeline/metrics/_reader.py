"""The periodic reader: exports from a thread of its own, in every process, and keeps no caller waiting."""

from __future__ import annotations

import math
from threading import TIMEOUT_MAX, Condition, Lock, current_thread
from time import monotonic
from typing import Any

from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY, attach, detach, set_value
from opentelemetry.sdk.metrics.export import (
    MetricExporter,
    MetricExportResult,
    MetricsData,
    PeriodicExportingMetricReader,
)

from ada_otel._diagnostics import contained, report
from ada_otel.pipeline import threads
from ada_otel.pipeline.fork import check_pid, on_fork, start_thread, threads_held


class PeriodicReader(PeriodicExportingMetricReader):
    """A drop-in for the SDK's ``PeriodicExportingMetricReader``.

    What differs: ``force_flush`` and ``shutdown`` return within their time limit whatever the exporter does
    (the work is done by the reader's thread, and they wait for it), and a forked process starts with new
    locks and a thread of its own.

    Args:
        exporter: Where the metrics go.
        export_interval_millis: Time between exports; ``OTEL_METRIC_EXPORT_INTERVAL``, or 60,000 ms.
            ``math.inf``: only when asked.
        export_timeout_millis: Longest time for one collection; ``OTEL_METRIC_EXPORT_TIMEOUT``, or 30,000 ms.

    Raises:
        ValueError: The interval is not greater than zero.
    """

    def __init__(
        self,
        exporter: MetricExporter,
        export_interval_millis: float | None = None,
        export_timeout_millis: float | None = None,
    ) -> None:
        # Before the SDK's code, which starts the thread at once.
        self._fresh()
        with threads.away_from_signals():
            super().__init__(exporter, export_interval_millis, export_timeout_millis)
        on_fork(self._renew)
        if self._export_interval_millis < math.inf:
            start_thread(self._running)

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        """Collect and export now.

        Returns:
            Whether it was done within ``timeout_millis`` (ms), and the exporter did not say that it failed.
        """
        check_pid()
        deadline = monotonic() + timeout_millis / 1e3
        if threads_held():
            return self._export(flush=True)
        if current_thread() is self._daemon_thread or not self._running():
            return False
        with self._changed:
            self._asked += 1
            turn = self._asked
            self._changed.notify_all()
            return self._changed.wait_for(lambda: self._served >= turn, _left(deadline)) and not self._failed

    def shutdown(self, timeout_millis: float = 30_000, **kwargs: Any) -> None:
        """Collect and export for the last time, shut the exporter down, and stop.

        Returns after ``timeout_millis`` (ms) at the latest. An export that hangs is left to itself: its
        thread does not keep the process alive.
        """
        check_pid()
        if self._shutdown:
            report("reader-shutdown", "PeriodicReader.shutdown() was called twice; the second did nothing.")
            return
        self._shutdown = True
        self._deadline = monotonic() + timeout_millis / 1e3
        running = self._running()
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
            done = running and self._changed.wait_for(lambda: self._stopped, _left(self._deadline))
        if not done:
            report(
                "reader-late",
                f"The last metrics could not be exported within {timeout_millis:.0f} ms and may be lost.",
            )

    def _fresh(self) -> None:
        self._changed = Condition()
        self._asked = self._served = 0
        self._refused = self._failed = self._stopping = self._stopped = False
        self._deadline = math.inf

    def _running(self) -> bool:
        """Whether there is a thread to do the work; starts one where the interval is infinite."""
        with self._changed:
            if self._daemon_thread is None or not self._daemon_thread.is_alive():
                if self._stopped:
                    return False
                self._start()
            return True

    def _start(self) -> None:
        self._daemon_thread = threads.start(self._tick, "OtelPeriodicExportingMetricReader")

    def _at_fork_reinit(self) -> None:
        """Do nothing: the SDK registers this with the interpreter; ours goes by pipeline.fork, in order."""

    def _renew(self) -> None:
        ended = self._shutdown
        self._fresh()
        self._export_lock = Lock()
        self._stopped = ended
        # Threads do not survive a fork; with an infinite interval there was none to begin with.
        self._daemon_thread = None
        if not ended and self._export_interval_millis < math.inf:
            self._start()

    def _ticker(self) -> None:
        # What the SDK's code starts. Where threads are held, ours ends before there is a fork.
        if not threads_held():
            self._tick()

    def _tick(self) -> None:
        changed = self._changed
        interval = self._export_interval_millis / 1e3
        due = monotonic() + interval
        while True:
            with changed:
                changed.wait_for(lambda: self._stopping or self._asked > self._served, _left(due))
                turn, stopping = self._asked, self._stopping
            if not stopping and turn == self._served and monotonic() < due:
                continue
            late = monotonic() >= self._deadline
            failed = late or not self._export(flush=turn > self._served or stopping)
            if stopping:
                with contained("Shutting the metric exporter down"):
                    self._exporter.shutdown(timeout_millis=max(0.0, _left(self._deadline) or 0.0) * 1e3)
            with changed:
                self._served, self._failed, self._stopped = turn, failed, stopping
                changed.notify_all()
            if stopping:
                return
            due = monotonic() + interval

    def _export(self, *, flush: bool) -> bool:
        limit = self._export_timeout_millis
        left = _left(self._deadline)
        if left is not None:
            limit = min(limit, left * 1e3)
        self._refused = False
        with contained("Exporting metrics"):
            if self._collect is not None:  # no provider has taken the reader yet
                self.collect(timeout_millis=limit)
            if flush:
                self._exporter.force_flush(timeout_millis=limit)
            return not self._refused
        return False

    def _receive_metrics(
        self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any
    ) -> None:
        token = attach(set_value(_SUPPRESS_INSTRUMENTATION_KEY, True))
        try:
            # Exports of one exporter never overlap; who calls collect() waits for a turn, but not for ever.
            if not self._export_lock.acquire(timeout=max(0.0, timeout_millis / 1e3)):
                raise TimeoutError(f"another export was still under way after {timeout_millis:.0f} ms")
            try:
                result = self._exporter.export(metrics_data, timeout_millis=timeout_millis)
                self._refused = result is MetricExportResult.FAILURE
            finally:
                self._export_lock.release()
        finally:
            detach(token)


def _left(deadline: float) -> float | None:
    """Give the seconds until ``deadline``, and ``None`` for one that never comes."""
    return None if deadline == math.inf else min(TIMEOUT_MAX, max(0.0, deadline - monotonic()))
