"""The bounds of the alerts and objectives in collector/prometheus/rules, which panels show as lines.

A test compares each with the rule of its name.
"""

from __future__ import annotations

from ada_otel.dashboards._model import Bound

#: The number that the alert of this name compares with.
ALERTS: dict[str, float] = {
    "AiSuccessRateLow": 0.90,
    "DatabaseErrors": 0.01,
    "DatabasePoolSaturated": 0.9,
    "DatabaseSlow": 0.5,
    "DependencySlow": 0.5,
    "ErrorRateHigh": 0.05,
    "FileDescriptorsNearLimit": 0.8,
    "HostCpuCritical": 0.95,
    "HostCpuHigh": 0.80,
    "HostDiskFull": 0.90,
    "HostMemoryCritical": 0.95,
    "HostMemoryHigh": 0.85,
    "OtelCollectorQueueFilling": 0.5,
    "PermissionDenials": 20,
    "RedisErrors": 0.01,
    "RedisEvictions": 1,
    "RedisMemoryHigh": 0.9,
    "ResponseTimeHigh": 2,
    "RuntimeLagHigh": 0.5,
    "SignInFailures": 30,
    "SloErrorBudgetBurnFast": 14.4,
    "SloErrorBudgetBurnSlow": 1,
    "SocketioErrors": 0.05,
    "UploadFailuresHigh": 0.10,
}


def from_alerts(high: str = "", critical: str = "") -> tuple[Bound, ...]:
    """Bounds at which the named alerts fire: orange for a warning, red for what wakes somebody up."""
    found = [Bound(ALERTS[high], "orange")] if high else []
    return (*found, *([Bound(ALERTS[critical], "red")] if critical else []))


#: Any at all is worth a look.
ANY = (Bound(1e-9, "red"),)
#: Shares of a remaining error budget: under a quarter is orange, nothing is red (with ``base="red"``).
BUDGET = (Bound(0.0, "orange"), Bound(0.25, "green"))
#: 1 is up, below it is down (with ``base="red"``).
UP = (Bound(1, "green"),)
#: The objectives of slo.yml (with ``base="red"``).
AVAILABILITY = (Bound(0.999, "green"),)
LATENCY = (Bound(0.95, "green"),)
