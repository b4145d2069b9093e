"""Collects the dashboard part by part, so that one part that cannot be had takes no other with it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from ada_otel.analysis.connection import ClientSettings
from ada_otel.analysis.errors import AnalysisError, QueryError
from ada_otel.analysis.model import Dashboard, LogEntry, ResponseTime
from ada_otel.analysis.prometheus import Prometheus
from ada_otel.analysis.selection import Selection
from ada_otel.analysis.times import milliseconds

T = TypeVar("T")

_GAUGES = ("cpu_percent", "memory_bytes", "active_connections", "active_requests")
_RECENT = 10


class Store(Protocol):
    """Where the log lines are."""

    def search(self, selection: Selection, size: int) -> list[LogEntry]:
        """The newest lines."""

    def count(self, selection: Selection) -> int:
        """How many lines there are."""

    def response_time(self, selection: Selection) -> ResponseTime | None:
        """How long requests took."""


@dataclass
class DashboardParts:
    """Collects the parts; what could not be had, and why, is in ``missing``.

    Attributes:
        settings: How to reach Prometheus.
        selection: The window, with both ends, and the service.
        source: What the store is called.
    """

    settings: ClientSettings
    selection: Selection
    source: str = "elasticsearch"
    missing: dict[str, str] = field(default_factory=dict)
    _failures: list[AnalysisError] = field(default_factory=list)

    def collect(self, store: Store) -> Dashboard:
        """Ask for all parts.

        Raises:
            AnalysisError: Not one could be had, for want of an answer.
        """
        assert self.selection.start is not None
        assert self.selection.end is not None
        errors = Selection(**{**vars(self.selection), "level": "error"})
        count = self._part("errors", lambda: store.count(errors))
        recent = self._part("recent_errors", lambda: store.search(errors, _RECENT))
        prometheus = self._prometheus()
        time_taken, source = self._response_time(store, prometheus)
        gauges = self._gauges(prometheus)
        if count is None and time_taken is None and not gauges and self._failures:
            raise self._failures[0]
        return Dashboard(
            start=self.selection.start,
            end=self.selection.end,
            errors=count,
            recent_errors=tuple(recent or ()),
            response_time=time_taken,
            response_source=source,
            missing=self.missing,
            **gauges,
        )

    def _part(self, name: str, ask: Callable[[], T]) -> T | None:
        try:
            return ask()
        except QueryError:
            raise
        except AnalysisError as error:
            self._failures.append(error)
            self.missing[name] = str(error)
            return None

    def _prometheus(self) -> Prometheus | None:
        if self.settings.prometheus is None:
            return None
        return Prometheus(self.settings.prometheus, self.settings.timeout, self.selection.service)

    def _window(self) -> tuple[float, float]:
        assert self.selection.start is not None
        assert self.selection.end is not None
        length = (self.selection.end - self.selection.start).total_seconds()
        return milliseconds(self.selection.end) / 1000, length

    def _response_time(
        self, store: Store, prometheus: Prometheus | None
    ) -> tuple[ResponseTime | None, str | None]:
        """Prometheus comes first: it has seen every request, while traces may be sampled."""
        name = "response_time"
        if prometheus is not None:
            counted = self._part(name, lambda: prometheus.response_time(*self._window()))
            if counted is not None:
                return counted, "prometheus"
        found = self._part(name, lambda: store.response_time(self.selection))
        if found is not None:
            self.missing.pop(name, None)
            return found, self.source
        self.missing.setdefault(name, "no request was counted in this period")
        return None, None

    def _gauges(self, prometheus: Prometheus | None) -> dict[str, Any]:
        if prometheus is None:
            reason = "no Prometheus is known: give --prometheus (ADA_PROMETHEUS_URL)"
            self.missing.update(dict.fromkeys(_GAUGES, reason))
            return {}
        at, _ = self._window()
        found = self._part("gauges", lambda: prometheus.gauges(at))
        if found is None:
            reason = self.missing.pop("gauges")
            self.missing.update(dict.fromkeys(_GAUGES, reason))
            return {}
        none = "Prometheus has no such metric of this app"
        self.missing.update({name: none for name, value in found.items() if value is None})
        return {name: value for name, value in found.items() if value is not None}
