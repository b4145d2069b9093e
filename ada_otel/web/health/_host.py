"""The machine, or the container: CPU, memory and disk in percent, against thresholds.

Over one is degraded, never unhealthy.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from typing import Any

from ada_otel._diagnostics import report
from ada_otel.observers._cgroup import Limits
from ada_otel.web.health._model import Result


class Host:
    """The figures of the machine, and the check on them.

    Attributes:
        cpu: Percent of all processors, or of the container's limit, since the look before; NaN at first.
        memory: Percent of the machine's or of the container's limit, without what can be had back on demand.
        disk: Percent in use of the file system of ``disk_path``, as its users see it.
    """

    def __init__(
        self,
        cpu: float,
        memory: float,
        disk: float,
        disk_path: str,
        limits: Callable[[], Limits] = Limits,
    ) -> None:
        """Take the thresholds, in percent, and what finds the limits of the container."""
        self._find_container = limits
        self._container: Limits | None = None
        self._limits = {"cpu": cpu, "memory": memory, "disk": disk}
        self._disk_path = disk_path
        self._before: tuple[float, float] | None = None
        self.cpu = self.memory = self.disk = math.nan

    def run(self) -> Result:
        """Look, and compare."""
        import psutil

        if self._container is None:
            self._container = self._find_container()
        self._look_at_cpu(psutil, self._container)
        memory = self._container.memory()
        if memory is not None and memory.limit:
            self.memory = round(100 * memory.used / memory.limit, 1)
        else:
            self.memory = float(psutil.virtual_memory().percent)
        try:
            self.disk = float(psutil.disk_usage(self._disk_path).percent)
        except (OSError, ValueError) as error:
            self.disk = math.nan
            report(
                "setting:ADA_OTEL_HEALTH_DISK_PATH",
                f"ADA_OTEL_HEALTH_DISK_PATH is {self._disk_path!r}, which cannot be looked at ({error}); "
                "it should be a path on the file system in question. How full that is, is not known.",
            )
        figures = {name: getattr(self, name) for name in self._limits}
        return over(figures, self._limits, "_percent")

    def _look_at_cpu(self, psutil: Any, container: Limits) -> None:
        used = container.cpu_seconds()
        if used is not None and container.cpus:
            # All that the container might have had since then, and what it had not.
            could = time.monotonic() * min(container.cpus, os.cpu_count() or 1)
            self._share(could, could - used)
            return
        # psutil's own cpu_percent() keeps the figures before by thread; checks run in many.
        times = psutil.cpu_times()
        idle = times.idle + getattr(times, "iowait", 0.0)
        # Linux counts the time of guests within user and nice already.
        total = sum(times) - getattr(times, "guest", 0.0) - getattr(times, "guest_nice", 0.0)
        self._share(total, idle)

    def _share(self, total: float, idle: float) -> None:
        before, self._before = self._before, (total, idle)
        if before is not None and total > before[0]:
            share = 1 - (idle - before[1]) / (total - before[0])
            self.cpu = round(100 * min(1.0, max(0.0, share)), 1)


def over(figures: dict[str, float], limits: dict[str, float], unit: str = "") -> Result:
    """Compare figures with their limits; what is NaN is not known, and not over."""
    shown = {f"{name}{unit}": round(figure, 4) for name, figure in figures.items() if math.isfinite(figure)}
    above = [name for name, limit in limits.items() if figures[name] > limit]
    if above:
        return Result("degraded", "above the threshold: " + ", ".join(above), shown)
    return Result(figures=shown)
