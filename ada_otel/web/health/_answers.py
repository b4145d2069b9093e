"""The pages: /health, /health/ready, /health/detailed, /health/history."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from typing import Any

from ada_otel._diagnostics import text_of
from ada_otel.web._access import REFUSED, Access
from ada_otel.web._pages import Answer, Page
from ada_otel.web.health._history import SECONDS, History
from ada_otel.web.health._model import Report, State, overall

#: How long the first answer of a process may wait for checks that have not ended once.
_FIRST = 0.02


class Answers:
    """Makes the answers.

    Args:
        reports: Gives the state of the checks, waiting so many seconds for the first.
        history: The figures of the last 24 hours.
        access: Who may see the detail.
        verbose: Whether the detail names addresses and errors.
    """

    def __init__(
        self, reports: Callable[[float], Sequence[Report]], history: History, access: Access, verbose: bool
    ) -> None:
        self._reports = reports
        self._history = history
        self._access = access
        self._verbose = verbose
        self._version = _version()

    def pages(self, prefix: str) -> dict[str, Page]:
        """The pages by path."""
        return {
            prefix: self.live,
            f"{prefix}/ready": self.ready,
            f"{prefix}/detailed": self.detailed,
            f"{prefix}/history": self.history,
        }

    def live(self, _environ: dict[str, Any]) -> Answer:
        """Say that the process answers: always 200, as a restart mends no database."""
        return _json(self._head("healthy"))

    def ready(self, _environ: dict[str, Any]) -> Answer:
        """Say whether requests can be served: 503 if a required check fails, or has not ended once."""
        state = overall(self._reports(_FIRST))
        return _json(self._head(state), state)

    def detailed(self, environ: dict[str, Any]) -> Answer:
        """Say what each check found, to those who may know."""
        if not self._access.allows(environ):
            return REFUSED
        reports = self._reports(_FIRST)
        state = overall(reports)
        checks = {report.check.name: self._shown(report) for report in reports}
        return _json({**self._head(state), "pid": os.getpid(), "checks": checks}, state)

    def history(self, environ: dict[str, Any]) -> Answer:
        """Give the figures of the last 24 hours, by column."""
        if not self._access.allows(environ):
            return REFUSED
        found = {"interval_s": SECONDS, "columns": self._history.columns()}
        return _json({**self._head("healthy"), **found})

    def _head(self, state: State) -> dict[str, Any]:
        now = datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return {"status": state, "timestamp": now, "version": self._version}

    def _shown(self, report: Report) -> dict[str, Any]:
        result = report.result
        shown: dict[str, Any] = {
            "status": result.state,
            "required": report.check.required,
            "duration_s": round(report.seconds, 4),
            "age_s": None if report.age is None else round(report.age, 1),
        }
        if result.reason:
            shown["reason"] = result.reason
        if result.figures:
            shown["figures"] = {text_of(name): _plain(figure) for name, figure in result.figures.items()}
        if self._verbose and result.text:
            shown["error"] = result.text
        return shown


def _json(found: dict[str, Any], state: State = "healthy") -> Answer:
    status = "200 OK" if state in {"healthy", "degraded"} else "503 Service Unavailable"
    return Answer((json.dumps(found) + "\n").encode(), status=status)


def _plain(figure: Any) -> Any:
    """What a check shows beside its state, as JSON has it: an app's check may give anything.

    None for NaN and infinity, which JSON has no word for.
    """
    kind = type(figure)
    if figure is None or kind is bool or (kind is int and abs(figure) < 2**63):
        return figure
    if isinstance(figure, float):
        return float(figure) if math.isfinite(figure) else None
    return text_of(figure, 200)


def _version() -> str:
    """The service version, as the telemetry has it."""
    from opentelemetry import trace

    resource = getattr(trace.get_tracer_provider(), "resource", None)
    return str(resource.attributes.get("service.version", "")) if resource is not None else ""
