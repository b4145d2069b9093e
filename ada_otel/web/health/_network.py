"""Whether the configured dependencies can be reached: a TCP connection to each, which is closed at once."""

from __future__ import annotations

import socket
import time
from collections.abc import Sequence

from ada_otel.web.health._model import Result, State


class Network:
    """The check: degraded when some cannot be reached, and unhealthy when none can."""

    def __init__(self, dependencies: Sequence[tuple[str, int]], limit: float) -> None:
        self._dependencies = tuple(dependencies)
        self._limit = limit

    def known(self) -> bool:
        """Whether there is anything to reach."""
        return bool(self._dependencies)

    def run(self) -> Result:
        """Try each, within the time limit altogether."""
        failures = []
        slowest = 0.0
        for host, port in self._dependencies:
            begun = time.monotonic()
            try:
                socket.create_connection((host, port), self._limit / len(self._dependencies)).close()
            except (OSError, UnicodeError) as error:
                failures.append(f"{host}:{port}: {error}")
            slowest = max(slowest, time.monotonic() - begun)
        figures = {
            "dependencies": len(self._dependencies),
            "failed": len(failures),
            "slowest_s": round(slowest, 4),
        }
        if not failures:
            return Result(figures=figures)
        state: State = "unhealthy" if len(failures) == len(self._dependencies) else "degraded"
        return Result(state, "cannot be reached", figures, "; ".join(failures))
