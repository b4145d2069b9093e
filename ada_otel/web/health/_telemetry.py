"""The telemetry pipeline itself: what waits, what was dropped, when the collector last took something."""

from __future__ import annotations

import time
from typing import Any

from ada_otel.pipeline.export import stats
from ada_otel.web.health._model import Result

_FAILURES = 3
_FULL = 0.8


class Telemetry:
    """The check: degraded when telemetry is, or is about to be, lost. The app serves all the same."""

    def __init__(self) -> None:
        self._dropped: dict[str, int] = {}

    def run(self) -> Result:
        """Look at the figures of all signals."""
        figures: dict[str, Any] = {}
        troubles = set()
        for signal, found in stats.snapshot().items():
            dropped = sum(found["dropped"].values())
            if dropped > self._dropped.get(signal, 0):
                troubles.add("items were dropped")
            self._dropped[signal] = dropped
            if found["consecutive_failures"] >= _FAILURES:
                troubles.add("the collector does not take it")
            if found["capacity"] and found["queued"] > _FULL * found["capacity"]:
                troubles.add("a queue is almost full")
            figures[f"{signal}_queued"] = found["queued"]
            figures[f"{signal}_capacity"] = found["capacity"]
            figures[f"{signal}_sent"] = found["sent"]
            figures[f"{signal}_dropped"] = dropped
            figures[f"{signal}_consecutive_failures"] = found["consecutive_failures"]
            last = found["last_success"]
            figures[f"{signal}_last_success_age_s"] = round(time.time() - last, 1) if last else None
        return Result("degraded" if troubles else "healthy", ", ".join(sorted(troubles)), figures)
