"""The tracer, the metrics and the hooks of one instrumentation."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from opentelemetry import metrics, trace

from ada_otel import catalogue
from ada_otel._version import __version__
from ada_otel.instrument.socketio._carrier import Carrier
from ada_otel.instrument.socketio._connections import Connections
from ada_otel.pipeline.metrics import bind
from ada_otel.pipeline.tracing.begin import begin_with

SCOPE = "ada_otel.instrument.socketio"
_HANDLES = 2048


class Telemetry:
    """What the wrappers record with.

    Args:
        options: The keyword arguments of :meth:`SocketIOInstrumentor.instrument`.
    """

    def __init__(self, options: dict[str, Any]) -> None:
        tracer = trace.get_tracer(SCOPE, __version__, options.get("tracer_provider"))
        meter = metrics.get_meter(SCOPE, __version__, options.get("meter_provider"))
        self.begin = begin_with(tracer)
        self.request_hook = options.get("request_hook")
        self.response_hook = options.get("response_hook")
        self.emit_hook = options.get("emit_hook")
        self.on = True
        self.carrier = Carrier()
        self.active = _handles(
            meter, "socketio.server.active_connections", ("socketio.namespace", "socketio.transport")
        )
        self.asked = _handles(
            meter,
            "socketio.server.connections",
            ("socketio.namespace", "socketio.transport", "ada.outcome", "error.type"),
        )
        self.disconnects = _handles(
            meter, "socketio.server.disconnects", ("socketio.namespace", "socketio.disconnect.reason")
        )
        self.duration = _handles(
            meter,
            "socketio.server.event.duration",
            ("socketio.namespace", "socketio.event", "error.type"),
        )
        self.messages = _handles(
            meter,
            "socketio.server.messages",
            ("socketio.namespace", "socketio.event", "network.io.direction"),
        )
        self.io = _handles(meter, "socketio.server.io", ("socketio.namespace", "network.io.direction"))
        self.connections = Connections(self.active)


def _handles(meter: metrics.Meter, name: str, keys: tuple[str, ...]) -> Callable[..., Any]:
    """One bound handle per set of values; ``None`` as a value leaves the attribute away."""
    instrument = catalogue.create(meter, catalogue.metric(name))

    @lru_cache(_HANDLES)
    def handle(*values: str | None) -> Any:
        pairs = zip(keys, values, strict=True)
        return bind(instrument, {key: value for key, value in pairs if value is not None})

    return handle
