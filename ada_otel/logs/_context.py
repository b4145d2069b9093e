"""What the current request says of a line: request id, user, session, route, address, user agent."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from functools import lru_cache
from typing import Any

from ada_otel.logs._redaction import redactor
from ada_otel.pipeline.grouped import Group

__all__ = ["KEYS", "RequestValues", "add_to", "current_values", "say"]

#: As :meth:`ada_otel.web.context.RequestContext.log_values` gives them.
RequestValues = tuple[str | None, ...]

#: The one of these into which a client may write anything.
_USER_AGENT = "user_agent.original"
#: What these are called on a log record: by semantic convention, but for the two ids that the log files and
#: the index have always had.
KEYS = ("request_id", "user_id", "session.id", "http.route", "client.address", _USER_AGENT)
#: So many are remembered.
_CLIENTS = 1024

_current: Callable[[], Any] | None = None


def current_values() -> RequestValues | None:
    """What the current request knows by now; None outside of one."""
    global _current  # noqa: PLW0603  # imported with the first line, for start-up's sake
    if _current is None:
        from ada_otel.web.context import _current as variable

        _current = variable.get
    request = _current()
    return None if request is None else request.log_values()


def say(values: RequestValues, pairs: list[tuple[str, Any]], secretive: list[tuple[str, Any]]) -> Group:
    """What recurs of it, as a group; what does not is put into the lists (see ``pipeline.lines.Said``)."""
    request_id, user, session, route, address, agent = values
    pairs += (("request_id", request_id), ("http.route", route))
    secretive.append((_USER_AGENT, agent or None))
    return _of_client(user, session, address)


@lru_cache(_CLIENTS)
def _of_client(user: str | None, session: str | None, address: str | None) -> Group:
    pairs = (("user_id", user), ("session.id", session), ("client.address", address))
    return Group(tuple((key, value) for key, value in pairs if value is not None))


def add_to(attributes: MutableMapping[str, Any]) -> None:
    """Add what the current request knows; what the line says itself stays."""
    values = current_values()
    if values is None:
        return
    for key, value in zip(KEYS, values, strict=True):
        if value is not None and key not in attributes:
            attributes[key] = redactor().value(key, value) if key == _USER_AGENT else value
