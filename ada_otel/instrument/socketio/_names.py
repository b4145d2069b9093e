"""Names that end up in telemetry: only those that the app chose; what a client makes up is ``_OTHER``."""

from __future__ import annotations

from typing import Any

OTHER = "_OTHER"
#: Stands for the event in counts of acknowledgements, whose packets do not name one.
ACKNOWLEDGEMENT = "_ACK"
#: Names of events that the app itself emits; an app that makes names up is cut off here.
_MOST_EMITTED = 100

_emitted: set[str] = set()


def namespace_name(server: Any, namespace: str) -> str:
    """The namespace, if the app handles or lists it."""
    if namespace in server.handlers or namespace in server.namespace_handlers:
        return namespace
    listed = getattr(server, "namespaces", None)
    if listed and listed != "*" and namespace in listed:
        return namespace
    return OTHER


def handled_name(server: Any, namespace: str, event: Any) -> str | None:
    """The name of an event for which there is a handler, ``_OTHER`` under a catch-all, ``None`` without one.

    Follows the order in which python-socketio looks for handlers.
    """
    if type(event) is not str:
        return None
    for space in (namespace, "*"):
        handlers = server.handlers.get(space)
        if handlers is not None:
            if event in handlers:
                return event
            if "*" in handlers and event not in server.reserved_events:
                return OTHER
    spaces = server.namespace_handlers
    handler = spaces.get(namespace) or spaces.get("*")
    if handler is None:
        return None
    return event if hasattr(handler, f"on_{event}") else None


def emitted_name(event: Any) -> str:
    """The name of an event that the app emits; past a hundred different ones, ``_OTHER``."""
    if event in _emitted:
        return str(event)
    if type(event) is not str or len(_emitted) >= _MOST_EMITTED:
        return OTHER
    _emitted.add(event)
    return event
