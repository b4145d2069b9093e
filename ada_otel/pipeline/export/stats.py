"""What became of the telemetry of this process, by signal: for health endpoints, metrics and one log line.

Counts are plain integers, added to without a lock: the interpreter switches threads between such statements,
not within them, and a lost count would only understate a drop.
"""

from __future__ import annotations

import logging
import time
import weakref
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from ada_otel.pipeline.fork import on_fork

if TYPE_CHECKING:
    from opentelemetry.metrics import CallbackOptions, Meter, Observation

    from ada_otel.pipeline.export.delivery import Delivery
    from ada_otel.pipeline.export.target import Signal

_logger = logging.getLogger("ada_otel")

#: At most one line about drops in this many seconds.
_LINE_INTERVAL = 60.0

#: What the specification calls ``error.type`` for each of our reasons, where it has a word of its own.
_NOT_HANDED_ON = frozenset({"queue_full", "already_shutdown", "shutdown"})


class Queued(Protocol):
    """Something that holds items of a signal until they are sent."""

    @property
    def capacity(self) -> int:
        """The most items that it holds."""

    def __len__(self) -> int: ...


class SignalStats:
    """The figures of one signal in this process.

    Attributes:
        signal: ``traces``, ``metrics`` or ``logs``.
        sent: Items that the collector took: spans, log records, data points.
        dropped: Items that were lost, by reason: ``queue_full``, ``rejected`` (by the collector),
            ``retry_exhausted``, ``shutdown`` (left at exit), ``already_shutdown`` (recorded after it),
            ``encode``, ``exporter_error`` (a foreign exporter raised), ``spool_full``, ``spool_corrupt``.
        spooled: Items that were written to disk to be sent later, by this process.
        replayed: Items that were read from there, whoever wrote them.
        last_success: When the collector last took something, in Unix seconds; 0 if never.
        last_error: The kind of the last trouble: a status code or an exception's name; empty if none.
        consecutive_failures: Failed deliveries since the last success.
    """

    def __init__(self, signal: Signal) -> None:
        self.signal: Signal = signal
        self._queues: weakref.WeakSet[Any] = weakref.WeakSet()
        self._reset()

    def _reset(self) -> None:
        self.sent = 0
        self.dropped: dict[str, int] = {}
        self.spooled = 0
        self.replayed = 0
        self.last_success = 0.0
        self.last_error = ""
        self.consecutive_failures = 0
        self._said: dict[str, int] = {}

    def attach(self, queue: Queued) -> None:
        """Count a queue's length and capacity as this signal's; held weakly."""
        self._queues.add(queue)

    @property
    def queued(self) -> int:
        """Items that wait to be sent, or are being sent."""
        return sum(len(queue) for queue in list(self._queues))

    @property
    def capacity(self) -> int:
        """The most items that can wait."""
        return sum(queue.capacity for queue in list(self._queues))

    def drop(self, reason: str, count: int = 1) -> None:
        """Count lost items. Cheap: called where telemetry is recorded."""
        self.dropped[reason] = self.dropped.get(reason, 0) + count

    def delivered(self, done: Delivery) -> None:
        """Count what became of a batch."""
        self.sent += done.sent
        for reason, count in done.dropped.items():
            self.drop(reason, count)
        if done.error:
            self.last_error = done.error
        if done.sent and not done.kept:
            self.last_success = time.time()
            self.consecutive_failures = 0
        elif done.kept or done.dropped:
            self.consecutive_failures += 1

    def snapshot(self) -> dict[str, Any]:
        """The figures as plain values."""
        return {
            "queued": self.queued,
            "capacity": self.capacity,
            "sent": self.sent,
            "spooled": self.spooled,
            "replayed": self.replayed,
            "dropped": dict(self.dropped),
            "last_success": self.last_success,
            "last_error": self.last_error,
            "consecutive_failures": self.consecutive_failures,
        }

    def unsaid(self) -> dict[str, int]:
        """The drops since the last call, by reason."""
        now = dict(self.dropped)
        new = {reason: count - self._said.get(reason, 0) for reason, count in now.items()}
        self._said = now
        return {reason: count for reason, count in new.items() if count > 0}


class _Process:
    """All signals of this process."""

    def __init__(self) -> None:
        self.signals: dict[str, SignalStats] = {}
        self.next_line = 0.0
        on_fork(self._renew)

    def _renew(self) -> None:
        """The parent reports its own figures."""
        self.next_line = 0.0
        for figures in self.signals.values():
            figures._reset()


_process = _Process()


def of(signal: Signal) -> SignalStats:
    """The figures of one signal; there is one object per signal and process."""
    return _process.signals.setdefault(signal, SignalStats(signal))


def snapshot() -> dict[str, dict[str, Any]]:
    """The figures of all signals as plain values, by signal; see :class:`SignalStats`."""
    return {signal: figures.snapshot() for signal, figures in list(_process.signals.items())}


def say_drops(*, at_exit: bool = False) -> None:
    """Log what was dropped since the last line: one line for all signals, at most once a minute.

    Args:
        at_exit: Whether the process ends, so that there will be no later line.
    """
    now = time.monotonic()
    if now < _process.next_line and not at_exit:
        return
    parts = [
        f"{signal}: " + ", ".join(f"{count} {reason}" for reason, count in sorted(new.items()))
        for signal, figures in sorted(_process.signals.items())
        if (new := figures.unsaid())
    ]
    if parts:
        _process.next_line = now + _LINE_INTERVAL
        _logger.warning("Telemetry was dropped (%s). The app is not affected.", "; ".join(parts))


def register(meter: Meter) -> None:
    """Expose the figures as observable metrics.

    Names, units and attributes are those of OpenTelemetry's SDK metrics where these exist; two that do not
    are ``ada.sdk.exporter.last_success`` and ``ada.sdk.exporter.consecutive_failures``.

    Args:
        meter: Of the provider that should report them.
    """
    from ada_otel import catalogue

    for figure in _FIGURES:
        catalogue.create(meter, catalogue.metric(figure.name), [_callback(figure)])


class _Figure(NamedTuple):
    """One observable metric: its name in the catalogue, and what it reads of which signals."""

    name: str
    signals: tuple[Signal, ...]
    read: Callable[[SignalStats], Iterable[tuple[float, dict[str, str]]]]


def _callback(figure: _Figure) -> Callable[[CallbackOptions], Iterable[Observation]]:
    from opentelemetry.metrics import Observation as _Observation

    def observe(_options: CallbackOptions) -> Iterable[Observation]:
        for signal in figure.signals:
            figures = _process.signals.get(signal)
            if figures is not None:
                common = _component(figure.name, signal)
                for number, attributes in figure.read(figures):
                    yield _Observation(number, {**common, **attributes})

    return observe


def _component(name: str, signal: Signal) -> dict[str, str]:
    kinds = {"traces": "span", "logs": "log", "metrics": "metric"}
    kind = f"otlp_http_{kinds[signal]}_exporter"
    if ".processor." in name:
        kind = f"batching_{kinds[signal]}_processor"
    return {"otel.component.type": kind, "otel.component.name": f"{kind}/ada"}


def _processed(figures: SignalStats) -> Iterator[tuple[float, dict[str, str]]]:
    handed_on = figures.sent + figures.spooled - figures.replayed
    for reason, count in list(figures.dropped.items()):
        if reason in _NOT_HANDED_ON:
            yield count, {"error.type": reason}
        else:
            handed_on += count
    yield handed_on, {}


def _exported(figures: SignalStats) -> Iterator[tuple[float, dict[str, str]]]:
    yield figures.sent, {}
    for reason, count in list(figures.dropped.items()):
        if reason not in _NOT_HANDED_ON:
            yield count, {"error.type": reason}


def _figures() -> Iterator[_Figure]:
    named: tuple[tuple[Signal, str], ...] = (("traces", "span"), ("logs", "log"))
    for signal, word in named:
        base = f"otel.sdk.processor.{word}"
        yield _Figure(f"{base}.queue.size", (signal,), lambda figures: [(figures.queued, {})])
        yield _Figure(f"{base}.queue.capacity", (signal,), lambda figures: [(figures.capacity, {})])
        yield _Figure(f"{base}.processed", (signal,), _processed)
        yield _Figure(f"otel.sdk.exporter.{word}.exported", (signal,), _exported)
    yield _Figure("otel.sdk.exporter.metric_data_point.exported", ("metrics",), _exported)
    every: tuple[Signal, ...] = ("traces", "metrics", "logs")
    yield _Figure(
        "ada.sdk.exporter.last_success",
        every,
        lambda figures: [(figures.last_success, {})] if figures.last_success else [],
    )
    yield _Figure(
        "ada.sdk.exporter.consecutive_failures",
        every,
        lambda figures: [(figures.consecutive_failures, {})],
    )


_FIGURES = tuple(_figures())
