"""What the current request says of a line: request id, user, session, route, address, user agent."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from functools import lru_cache
from typing import Any

from ada_otel.logs._redaction import redactor
from ada_otel.pipeline.lines import Client

__all__ = ["KEYS", "NO_VALUES", "RequestValues", "add_to", "current", "current_values", "of_client"]

#: As :meth:`ada_otel.web.context.RequestContext.log_values` gives them.
RequestValues = tuple[str | None, ...]

#: The one of these into which a client may write anything.
_USER_AGENT = "user_agent.original"
#: What these are called on a log record: by semantic convention, but for the two ids that the log files and
#: the index have always had.
KEYS = ("request_id", "user_id", "session.id", "http.route", "client.address", _USER_AGENT)
#: In the place of these values outside of a request: within one there is an id.
NO_VALUES: RequestValues = (None,) * len(KEYS)
#: So many are remembered.
_CLIENTS = 1024


def _find_current() -> Any:
    global current  # noqa: PLW0603  # imported with the first line, for start-up's sake
    from ada_otel.web.context import _current

    current = _current.get
    return current()


#: The current request, or None outside of one.
current: Callable[[], Any] = _find_current


def current_values() -> RequestValues | None:
    """What the current request knows by now; None outside of one."""
    request = current()
    return None if request is None else request.log_values()


@lru_cache(_CLIENTS)
def of_client(user: str | None, session: str | None, address: str | None, agent: str | None) -> Client:
    """What the lines of a client have in common."""
    pairs = (("user_id", user), ("session.id", session), ("client.address", address))
    kept = tuple((key, value) for key, value in pairs if value is not None)
    return Client(kept, ((_USER_AGENT, agent),) if agent else ())


def add_to(attributes: MutableMapping[str, Any]) -> None:
    """Add what the current request knows; what the line says itself stays."""
    values = current_values()
    if values is None:
        return
    for key, value in zip(KEYS, values, strict=True):
        if value is not None and key not in attributes:
            attributes[key] = redactor().value(key, value) if key == _USER_AGENT else value
