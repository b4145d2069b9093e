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
                "The check: database, redis, host, network, performance, telemetry, or one of the app.",
                bound="registered checks",
            ),
            Attribute(
                "ada.health.required", "Whether the app cannot serve without it.", values=("true", "false")
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
    Metric(
        "ada.probe.success",
        "observable_gauge",
        "{probe}",
        "1 when the last request got a good answer, 0 when not.",
        "health",
        (Attribute("ada.probe.name", "As given to `ada-otel probe`.", bound="configured targets"),),
        on_request="`ada-otel probe`",
    ),
    Metric(
        "ada.probe.duration",
        "observable_gauge",
        "s",
        "Time of the last request, with name lookup and connection.",
        "health",
        (Attribute("ada.probe.name", "As given to `ada-otel probe`.", bound="configured targets"),),
        on_request="`ada-otel probe`",
    ),
)
