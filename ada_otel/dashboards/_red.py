"""Rate, errors and duration of a service, and its service levels, as several dashboards show them."""

from __future__ import annotations

from ada_otel.dashboards._bounds import AVAILABILITY, BUDGET, LATENCY, from_alerts
from ada_otel.dashboards._expr import quantile, rate, ratio, recorded
from ada_otel.dashboards._model import Panel, Query

REQUESTS = "http.server.request.duration"
#: What counts as a failed request; the same as in recording.yml.
FAILED = {"http.response.status_code": '=~"5..|"', "error.type": '!=""'}
_AVAILABILITY = {"slo": '="availability"'}
_LATENCY = {"slo": '="latency"'}


def error_ratio(by: tuple[str, ...] = ()) -> str:
    """The share of requests that failed."""
    return ratio(rate(REQUESTS, by, FAILED, part="count"), rate(REQUESTS, by, part="count"))


def figures(first: int) -> tuple[Panel, ...]:
    """Four figures for the head of a dashboard; takes the ids ``first`` to ``first + 3``."""
    left = recorded("slo:period_error_budget_remaining:ratio", _AVAILABILITY)
    return (
        Panel(
            first,
            "Requests per second",
            "Requests answered by the chosen workers. TrafficDrop compares with the hour before.",
            "reqps",
            (Query(rate(REQUESTS, part="count"), "requests"),),
            shape="stat",
            width=6,
            height=4,
            link="ada-application-performance",
        ),
        Panel(
            first + 1,
            "Failed requests",
            "Share of requests that ended in a server error. ErrorRateHigh wakes somebody up at 5 %.",
            "percentunit",
            (Query(error_ratio(), "failed"),),
            shape="stat",
            bounds=from_alerts(critical="ErrorRateHigh"),
            width=6,
            height=4,
            link="ada-error-analysis",
        ),
        Panel(
            first + 2,
            "Response time, 95th percentile",
            "One request in 20 takes longer. ResponseTimeHigh fires at 2 s.",
            "s",
            (Query(quantile(0.95, REQUESTS), "p95"),),
            shape="stat",
            bounds=from_alerts(high="ResponseTimeHigh"),
            width=6,
            height=4,
            link="ada-application-performance",
        ),
        Panel(
            first + 3,
            "Error budget left",
            "What is left of the 30 days' budget for failed requests (objective: 99.9 % succeed). "
            "Below 0 the objective is missed.",
            "percentunit",
            (Query(f"min({left})", "left"),),
            shape="stat",
            bounds=BUDGET,
            base="red",
            width=6,
            height=4,
            link="ada-application-performance",
        ),
    )


def objectives(first: int) -> tuple[Panel, ...]:
    """The service levels, their budgets, and how fast they are spent; ids ``first`` to ``first + 3``."""
    error = "slo:sli_error:ratio_rate1h"
    return (
        Panel(
            first,
            "Availability, last hour",
            "Share of requests without a server error. Objective: 99.9 % over 30 days.",
            "percentunit",
            (Query(f"1 - max({recorded(error, _AVAILABILITY)})", "availability"),),
            shape="stat",
            bounds=AVAILABILITY,
            base="red",
            width=4,
        ),
        Panel(
            first + 1,
            "Within 2.5 s, last hour",
            "Share of requests answered within 2.5 s. Objective: 95 % over 30 days.",
            "percentunit",
            (Query(f"1 - max({recorded(error, _LATENCY)})", "latency"),),
            shape="stat",
            bounds=LATENCY,
            base="red",
            width=4,
        ),
        Panel(
            first + 2,
            "Error budget left, 30 days",
            "1 is all of it, 0 is none, and below 0 the objective is missed.",
            "percentunit",
            (Query(recorded("slo:period_error_budget_remaining:ratio"), "{{job}} {{slo}}"),),
            bounds=BUDGET,
            base="red",
            top=1,
        ),
        Panel(
            first + 3,
            "Burn rate, last hour",
            "How many times faster than allowed the budget is spent. SloErrorBudgetBurnFast fires at 14.4.",
            "short",
            (Query(recorded("slo:current_burn_rate:ratio"), "{{job}} {{slo}}"),),
            bounds=from_alerts("SloErrorBudgetBurnSlow", "SloErrorBudgetBurnFast"),
        ),
    )
