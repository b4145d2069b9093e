"""The open connections: which span each began with, and how many there are by namespace and transport."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from ada_otel._diagnostics import contained
from ada_otel.pipeline.fork import on_fork
from ada_otel.pipeline.grouped import SharedLinks

POLLING, WEBSOCKET = "polling", "websocket"


class Connection:
    """One client in one namespace.

    Attributes:
        namespace: Its name for telemetry.
        transport: ``polling`` or ``websocket``.
        links: To the span of the connection, if it has one.
        active: Whether it is counted.
    """

    __slots__ = ("active", "links", "namespace", "transport")

    def __init__(self, namespace: str, transport: str, links: SharedLinks) -> None:
        self.namespace = namespace
        self.transport = transport
        self.links = links
        self.active = False


class Connections:
    """The table of open connections of this process, by Engine.IO session and namespace.

    Args:
        count: Gives the handle of the active connections of a namespace and a transport.
    """

    def __init__(self, count: Callable[[str, str], Any]) -> None:
        self._count = count
        self._open: dict[str, dict[str, Connection]] = {}
        # Nothing is waited for while it is held, so that it may be a real one under gevent.
        self._lock = threading.Lock()
        on_fork(self.renew)

    def renew(self) -> None:
        """Start empty: a child process serves none of its parent's clients."""
        self._open = {}
        self._lock = threading.Lock()

    def get(self, session: str, namespace: str) -> Connection | None:
        """The connection of a client in a namespace."""
        found = self._open.get(session)
        return None if found is None else found.get(namespace)

    def begin(self, session: str, namespace: str, connection: Connection) -> None:
        """Remember a connection that is being made; not counted yet."""
        with self._lock:
            self._open.setdefault(session, {})[namespace] = connection

    def activate(
        self, session: str, namespace: str, connection: Connection, transport: Callable[[], str | None]
    ) -> None:
        """Count a connection that was accepted.

        Args:
            session: The Engine.IO session.
            namespace: As the client named it.
            connection: Which one.
            transport: Tells its transport now, or ``None`` if the client has gone meanwhile.
        """
        with self._lock:
            found = transport()
            if found is None or self.get(session, namespace) is not connection:
                self._remove(session, namespace, connection)
                return
            connection.transport = found
            connection.active = True
        self._count(connection.namespace, found).add(1)

    def end(self, session: str, namespace: str) -> Connection | None:
        """Forget a connection, and give it back."""
        with self._lock:
            connection = self.get(session, namespace)
            if connection is None:
                return None
            self._remove(session, namespace, connection)
        self._uncount(connection)
        return connection

    def end_session(self, session: str) -> None:
        """Forget whatever is left of a client that has gone."""
        with self._lock:
            left = self._open.pop(session, None)
        for connection in (left or {}).values():
            self._uncount(connection)

    def upgraded(self, session: str) -> None:
        """Move a client's connections to the websocket."""
        moved = []
        with self._lock:
            for connection in self._open.get(session, {}).values():
                if connection.transport == POLLING:
                    connection.transport = WEBSOCKET
                    if connection.active:
                        moved.append(connection.namespace)
        for namespace in moved:
            self._count(namespace, POLLING).add(-1)
            self._count(namespace, WEBSOCKET).add(1)

    def _remove(self, session: str, namespace: str, connection: Connection) -> None:
        found = self._open.get(session)
        if found is not None and found.get(namespace) is connection:
            del found[namespace]
            if not found:
                del self._open[session]

    def _uncount(self, connection: Connection) -> None:
        if connection.active:
            connection.active = False
            self._count(connection.namespace, connection.transport).add(-1)


class UpgradeWatch:
    """Takes the place of ``engineio.Socket.upgraded`` on the class, to hear of it when it is set.

    The value stays in the instance's ``__dict__``, where it is found again when this is taken off.
    """

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        if instance is None:
            return self
        try:
            return instance.__dict__["upgraded"]
        except KeyError:
            raise AttributeError("upgraded") from None

    def __set__(self, instance: Any, value: bool) -> None:
        instance.__dict__["upgraded"] = value
        if value:
            with contained("Counting Socket.IO connections"):
                self._connections.upgraded(instance.sid)
