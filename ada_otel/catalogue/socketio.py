"""Socket.IO, server side. No semantic conventions exist; names follow those for HTTP and messaging."""

from __future__ import annotations

from ada_otel.catalogue._common import DIRECTION, ERROR_TYPE, SECONDS
from ada_otel.catalogue._model import Attribute, Metric

_NAMESPACE = Attribute(
    "socketio.namespace", "The namespace.", bound="the namespaces that the app handles; others are _OTHER"
)
_EVENT = Attribute("socketio.event", "The event.", bound="the events that the app handles; others are _OTHER")
_MESSAGE = Attribute(
    "socketio.event",
    "The event; _ACK for an acknowledgement.",
    bound="the events that the app handles, and the first 100 that it emits; others are _OTHER",
)
_TRANSPORT = Attribute("socketio.transport", "Of the connection.", values=("polling", "websocket"))

SOCKETIO: tuple[Metric, ...] = (
    Metric(
        "socketio.server.active_connections",
        "up_down_counter",
        "{connection}",
        "Open connections.",
        "socketio",
        (
            _NAMESPACE,
            _TRANSPORT,
        ),
    ),
    Metric(
        "socketio.server.connections",
        "counter",
        "{connection}",
        "Connections that were asked for.",
        "socketio",
        (
            _NAMESPACE,
            _TRANSPORT,
            Attribute("ada.outcome", "Whether it was accepted.", values=("success", "failure")),
            ERROR_TYPE,
        ),
    ),
    Metric(
        "socketio.server.disconnects",
        "counter",
        "{connection}",
        "Connections that ended.",
        "socketio",
        (
            _NAMESPACE,
            Attribute(
                "socketio.disconnect.reason",
                "Why.",
                values=(
                    "client disconnect",
                    "server disconnect",
                    "ping timeout",
                    "transport close",
                    "transport error",
                    "_OTHER",
                ),
            ),
        ),
    ),
    Metric(
        "socketio.server.event.duration",
        "histogram",
        "s",
        "Duration of event handlers, connect and disconnect included.",
        "socketio",
        (
            _NAMESPACE,
            _EVENT,
            ERROR_TYPE,
        ),
        buckets=SECONDS,
    ),
    Metric(
        "socketio.server.messages",
        "counter",
        "{message}",
        "Events and acknowledgements that came in or went out.",
        "socketio",
        (
            _NAMESPACE,
            _MESSAGE,
            DIRECTION,
        ),
    ),
    Metric(
        "socketio.server.io",
        "counter",
        "By",
        "Bytes of Socket.IO packets that came in or went out.",
        "socketio",
        (
            _NAMESPACE,
            DIRECTION,
        ),
    ),
)
