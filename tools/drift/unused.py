"""The metrics of the catalogue that no rule, dashboard, runbook or page asks for, and why they are there."""

from __future__ import annotations

from collections.abc import Mapping

_HEALTH = "the same is in /health/detailed, which answers when nothing arrives"
_QUEUE = "read by hand when AppTelemetryDropped fires; the alert itself goes by what was lost"
_PROCESS = "read by hand when a worker misbehaves; says nothing by itself"

#: The reason by OpenTelemetry name. Without a row here, a metric that nothing uses fails the gate.
UNUSED: Mapping[str, str] = {
    "ada.probe.duration": "read by hand when ProbeFailing fires",
    "ada.sdk.exporter.consecutive_failures": _HEALTH,
    "ada.sdk.exporter.last_success": _HEALTH,
    "cpython.gc.collected_objects": _PROCESS,
    "otel.sdk.processor.log.queue.capacity": _QUEUE,
    "otel.sdk.processor.log.queue.size": _QUEUE,
    "otel.sdk.processor.span.queue.capacity": _QUEUE,
    "otel.sdk.processor.span.queue.size": _QUEUE,
    "process.context_switches": _PROCESS,
    "process.memory.virtual": _PROCESS,
    "system.uptime": "read by hand after a reboot",
}
