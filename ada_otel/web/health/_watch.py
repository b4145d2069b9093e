"""Puts the checks together from the settings, and keeps the history."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

from ada_otel._diagnostics import contained
from ada_otel.pipeline.fork import on_fork
from ada_otel.web.health import _registry
from ada_otel.web.health._database import Databases
from ada_otel.web.health._found import Found
from ada_otel.web.health._history import SECONDS, History
from ada_otel.web.health._history_file import FileRing
from ada_otel.web.health._host import Host, over
from ada_otel.web.health._model import Check, Result
from ada_otel.web.health._network import Network
from ada_otel.web.health._redis import RedisServers
from ada_otel.web.health._requests import Requests, totals
from ada_otel.web.health._runner import Runner
from ada_otel.web.health._telemetry import Telemetry

if TYPE_CHECKING:
    from ada_otel.settings import Settings


class Watch:
    """All checks of this process, and 24 hours of the main figures.

    Attributes:
        runner: Runs the checks.
        history: The figures, of all workers of the host.
    """

    def __init__(self, settings: Settings) -> None:
        limit = settings.health_timeout
        required = frozenset(settings.health_required)
        found = Found()
        self._databases = Databases(found, limit)
        self._redis = RedisServers(found, limit)
        self._network = Network([(host, port) for _, host, port in settings.dependencies], limit)
        self._host = Host(
            settings.health_cpu, settings.health_memory, settings.health_disk, settings.health_disk_path
        )
        self._requests = Requests()
        self._limits = {
            "cpu_percent": settings.performance_cpu,
            "memory_percent": settings.performance_memory,
            "response_time_s": settings.performance_response_time,
            "error_rate": settings.performance_error_rate,
        }
        self._database = Check("database", self._databases.run, "database" in required)
        self._redis_check = Check("redis", self._redis.run, "redis" in required)
        self._network_check = Check("network", self._network.run, "network" in required)
        self._always = (
            # A machine under load serves more slowly; to take it out of the load balancer helps nobody.
            Check("host", self._host.run),
            Check("performance", self.performance),
            Check("telemetry", Telemetry().run),
        )
        self._looks_at = 0.0
        # Each process adds once in an interval, and a second is for the round itself.
        self.history = History(FileRing(settings.health_history), settings.health_interval + 1)
        self.runner = Runner(settings.health_interval, limit, self._find, self._sample)
        on_fork(self._renew)

    def performance(self) -> Result:
        """Compare the last minute of this process with the thresholds."""
        figures = {
            "cpu_percent": self._host.cpu,
            "memory_percent": self._host.memory,
            "response_time_s": self._requests.response_time,
            "error_rate": self._requests.error_rate,
        }
        return over(figures, self._limits)

    def _find(self) -> Iterable[Check]:
        yield from self._always
        if self._network.known():
            yield self._network_check
        if self._databases.known():
            yield self._database
        if self._redis.known():
            yield self._redis_check
        yield from _registry.checks()

    def _sample(self) -> None:
        if time.monotonic() >= self._looks_at:
            self._looks_at = time.monotonic() + SECONDS
            self._requests.look()
        requests = None
        with contained("Reading the sums of requests"):
            requests = totals()
        self.history.add(self._host.cpu, self._host.memory, self._host.disk, requests)

    def _renew(self) -> None:
        self.history.forget()
        self._requests = Requests()
        self._looks_at = 0.0
