"""The way of an incoming event."""

from __future__ import annotations

from typing import Any

from ada_otel.instrument.socketio._calls import Before
from ada_otel.instrument.socketio._handling import Handling, call_hook
from ada_otel.instrument.socketio._names import OTHER, handled_name, namespace_name
from ada_otel.instrument.socketio._telemetry import Telemetry
from ada_otel.pipeline.grouped import Group, GroupedAttributes

#: A client may send events of any name: longer ones are cut in ``socketio.event_original``.
_LONGEST_NAME = 100
_ROUTES = "_ada_otel_routes"


class _Route:
    """What is known of an event that is handled before it comes."""

    __slots__ = ("_groups", "name", "received", "space")

    def __init__(self, telemetry: Telemetry, name: str, space: str) -> None:
        self.name = name
        self.space = space
        self.received = telemetry.messages(space, name, "receive").add
        self._groups: dict[str | None, tuple[Group, ...]] = {}

    def groups(self, transport: str | None) -> tuple[Group, ...]:
        """The attributes that recur."""
        found = self._groups.get(transport)
        if found is None:
            pairs = [("socketio.namespace", self.space), ("socketio.event", self.name)]
            if transport is not None:
                pairs.append(("socketio.transport", transport))
            found = self._groups[transport] = (Group(tuple(pairs)),)
        return found


def handle_event(telemetry: Telemetry) -> Before:
    """Around ``Server._handle_event_internal``: the handler and the sending of its acknowledgement."""

    def before(
        own: Any,
        server: Any,
        sid: str,
        eio_sid: str,
        data: Any,
        namespace: str,
        id: Any,  # noqa: A002  # python-socketio's name
    ) -> Handling | None:
        try:
            route = server.__dict__[_ROUTES][telemetry, namespace, data[0]]
        except (KeyError, TypeError):  # TypeError: a name that is no string
            route = _find(telemetry, server, namespace, data[0])
            if route is None:
                return None
        route.received(1, None, None)
        parent, passed = telemetry.carrier.of_event(data)
        connection = telemetry.connections.get(eio_sid, namespace)

        def attributes() -> GroupedAttributes:
            found: dict[str, Any] = {"socketio.sid": sid}
            if id is not None:
                found["socketio.ack"] = True
            if route.name is OTHER:
                found["socketio.event_original"] = data[0][:_LONGEST_NAME]
            return GroupedAttributes(
                route.groups(None if connection is None else connection.transport), found
            )

        links = None if connection is None else connection.links
        handling = Handling(telemetry, route.name, route.space, parent, attributes, links)
        if passed is not data:
            handling.arguments = (own, server, sid, eio_sid, passed, namespace, id), {}
        if telemetry.request_hook is not None:
            call_hook(telemetry.request_hook, handling.span, route.name, route.space, sid, passed[1:])
        return handling

    return before


def _find(telemetry: Telemetry, server: Any, namespace: str, event: Any) -> _Route | None:
    """Look for the handler, and remember one that is registered under this very name."""
    name, space = handled_name(server, namespace, event), namespace_name(server, namespace)
    if name is None:
        telemetry.messages(space, OTHER, "receive").take(1)
        return None
    route = _Route(telemetry, name, space)
    if name is not OTHER and space is not OTHER:
        server.__dict__.setdefault(_ROUTES, {})[telemetry, namespace, event] = route
    return route
