"""Metrics that are read together, once per collection."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from time import monotonic
from typing import Any

from opentelemetry.metrics import CallbackOptions, Meter, Observation

from ada_otel import catalogue
from ada_otel._diagnostics import failed
from ada_otel.pipeline.fork import check_pid, on_fork

Points = Sequence[Observation]
Reading = Mapping[str, Points]

#: A reading serves all instruments of a collection, and other readers that collect at the same time.
_FRESH_SECONDS = 0.5


class Group:
    """Observable instruments that share one reading."""

    def __init__(self, title: str, names: Iterable[str], read: Callable[[], Reading]) -> None:
        """Make a group.

        Args:
            title: What is read, as it should read in "Observing … failed".
            names: The metrics, by their names in the catalogue.
            read: Gives the observations by metric; a metric that it leaves out has none.
        """
        self._title = title
        self._names = tuple(names)
        self._read = read
        self._renew()
        on_fork(self._renew)

    def _renew(self) -> None:
        self._lock = threading.Lock()
        self._reading: Reading = {}
        self._until = 0.0

    def register(self, meter: Meter) -> None:
        """Make the instruments."""
        for name in self._names:
            catalogue.create(meter, catalogue.metric(name), [self._callback(name)])

    def _callback(self, name: str) -> Callable[[CallbackOptions], Points]:
        def observe(_options: Any) -> Points:
            return self.current().get(name, ())

        return observe

    def current(self) -> Reading:
        """The observations by metric, at most half a second old."""
        with self._lock:
            if monotonic() >= self._until:
                check_pid()
                try:
                    self._reading = self._read()
                except Exception as error:
                    self._reading = {}
                    failed(f"Observing {self._title}", error)
                self._until = monotonic() + _FRESH_SECONDS
            return self._reading


def one(value: float | None) -> Points:
    """A single observation without attributes; none for ``None``."""
    return () if value is None else (Observation(value),)
