"""What a check is, and what comes of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

State = Literal["healthy", "degraded", "unhealthy", "pending"]

#: From good to bad; a check that has not ended once is worse than degraded: nothing is known of it.
_ORDER: tuple[State, ...] = ("healthy", "degraded", "pending", "unhealthy")


@dataclass(frozen=True)
class Result:
    """What one run of a check found.

    Attributes:
        state: healthy, degraded or unhealthy.
        reason: A word or two for everyone who may see the detail; never an address or an exception's text.
        figures: Numbers beside it.
        text: What may name addresses and errors; shown with ``ADA_OTEL_HEALTH_VERBOSE`` only.
    """

    state: State = "healthy"
    reason: str = ""
    figures: Mapping[str, Any] = field(default_factory=dict)
    text: str = ""


@dataclass(frozen=True)
class Check:
    """One thing to look at.

    Attributes:
        name: As it is shown, and in the metric's attribute.
        run: Does it; returns a :class:`Result`, or whether it is healthy. An exception is unhealthy.
        required: Whether the app cannot serve without it: ``/health/ready`` is 503 then.
        timeout: Seconds after which it counts as failed, whatever it does; None for the setting.
    """

    name: str
    run: Callable[[], Any]
    required: bool = False
    timeout: float | None = None


@dataclass(frozen=True)
class Report:
    """The state of one check now.

    Attributes:
        check: The check.
        result: What is known of it.
        seconds: How long its last run took, or the present one has taken so far.
        age: Seconds since its last run ended; None if none has.
    """

    check: Check
    result: Result
    seconds: float
    age: float | None


def overall(reports: Sequence[Report]) -> State:
    """The state of everything: one that is not required degrades it at most.

    Without a report it is not known yet what there is to check, a required database perhaps: pending.
    """
    worst: State = "healthy" if reports else "pending"
    for report in reports:
        state = report.result.state
        if not report.check.required:
            # Until an optional check has ended once, nothing speaks against serving.
            state = "healthy" if state in {"healthy", "pending"} else "degraded"
        worst = max(worst, state, key=_ORDER.index)
    return worst
