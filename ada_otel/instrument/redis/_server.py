"""What is known of a Redis server and its commands before one is run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from opentelemetry.instrumentation._semconv import _StabilityMode
from opentelemetry.instrumentation.redis.util import (
    _build_span_name,
    _extract_conn_attributes,
    _format_command_args,
)

from ada_otel.instrument._operations import Durations, redis_operation
from ada_otel.pipeline.grouped import Group, GroupedAttributes
from ada_otel.pipeline.metrics import BoundHistogram

#: Commands that are remembered, by name and number of arguments; so many are not in use.
_MOST_COMMANDS = 512
#: Commands whose answer says whether something was there.
LOOKUPS = frozenset({"GET", "GETEX", "HGET", "MGET"})
# The stock function looks at the client only for a command without a name.
_NO_CLIENT: Any = None


class Command:
    """One command, by its name and the number of its arguments; their values are never shown.

    Attributes:
        name: The span's name.
        operation: Its first word, if it is one of Redis's.
        attributes: Makes the span's attributes.
        duration: Its histogram, for a command that succeeds.
        lookup: The operation, if the answer says whether something was there.
    """

    __slots__ = ("attributes", "duration", "lookup", "name", "operation")

    def __init__(self, server: Server, name: str, count: int) -> None:
        self.name = _build_span_name(_NO_CLIENT, (name,))
        text = _format_command_args([name] + [""] * (count - 1))
        own = Group((("db.query.text", text), ("db.redis.args_length", count)))
        groups = (server.group, own)
        self.attributes: Callable[[], GroupedAttributes] = lambda: GroupedAttributes(groups, {})
        self.operation = operation = redis_operation(name)
        self.duration: BoundHistogram = server.durations.of(operation)
        self.lookup = operation if operation in LOOKUPS else None


class Server:
    """One server, remembered on the pool of its clients.

    Args:
        owner: The instrumentation that made it; after another one has taken its place, it is made anew.
        pool: The pool; anything, or nothing, as users bring their own.
        histogram: Of the durations.

    Attributes:
        address: Its span attributes.
        group: The same.
        durations: Its histograms.
        commands: Those of its commands that are remembered, by name and number of arguments.
    """

    __slots__ = ("address", "commands", "durations", "group", "owner")

    def __init__(self, owner: object, pool: Any, histogram: Any) -> None:
        self.owner = owner
        self.address: dict[str, Any] = {}
        if hasattr(pool, "connection_kwargs"):
            self.address = _extract_conn_attributes(
                pool.connection_kwargs, _StabilityMode.DATABASE, _StabilityMode.HTTP
            )
        self.group = Group(tuple(self.address.items()))
        self.durations = Durations(histogram, {"db.system.name": "redis", **self.address})
        self.commands: dict[tuple[str, int], Command] = {}

    def find(self, name: str, count: int) -> Command:
        """A command that is not remembered; it is from now on."""
        if len(self.commands) >= _MOST_COMMANDS:
            self.commands.clear()
        found = self.commands[name, count] = Command(self, name, count)
        return found
