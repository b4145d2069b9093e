"""Health checks, as metrics."""

from __future__ import annotations

from ada_otel.catalogue._model import Attribute, Metric

HEALTH: tuple[Metric, ...] = (
    Metric(
        "ada.health.status",
        "observable_gauge",
        "{check}",
        "1 for the state that a check is in, 0 for the others.",
        "health",
        (
            Attribute(
                "ada.health.check",
                "The check: database, redis, host, network, telemetry, or one of the app.",
                bound="registered checks",
            ),
            Attribute("ada.health.state", "The state.", values=("healthy", "degraded", "unhealthy")),
        ),
    ),
    Metric(
        "ada.health.check.duration",
        "observable_gauge",
        "s",
        "Time of the last run of a check.",
        "health",
        (Attribute("ada.health.check", "The check.", bound="registered checks"),),
    ),
)
