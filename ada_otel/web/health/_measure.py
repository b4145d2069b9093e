"""The state of the checks as metrics, so that alerts can use it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from opentelemetry import metrics
from opentelemetry.metrics import CallbackOptions, Observation

from ada_otel import catalogue
from ada_otel.web.health._model import Report

_STATES = ("healthy", "degraded", "unhealthy")


def register(reports: Callable[[], Sequence[Report]]) -> None:
    """Report the state and the duration of each check; one that has not ended once is left out."""

    def states(_options: CallbackOptions) -> Iterable[Observation]:
        for report in reports():
            if report.result.state in _STATES:
                for state in _STATES:
                    yield Observation(
                        int(report.result.state == state),
                        {
                            "ada.health.check": report.check.name,
                            "ada.health.required": report.check.required,
                            "ada.health.state": state,
                        },
                    )

    def durations(_options: CallbackOptions) -> Iterable[Observation]:
        for report in reports():
            if report.result.state in _STATES:
                yield Observation(report.seconds, {"ada.health.check": report.check.name})

    meter = metrics.get_meter("ada_otel.health")
    catalogue.create(meter, catalogue.metric("ada.health.status"), [states])
    catalogue.create(meter, catalogue.metric("ada.health.check.duration"), [durations])
