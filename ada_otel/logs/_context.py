"""What the current request says of a line: request id, user, session, route, address, user agent."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from operator import attrgetter
from typing import Any

from ada_otel.logs._redaction import redactor

__all__ = ["add_to"]

#: Attributes of the request context, and what they are called on a log record: by semantic convention, but
#: for the two ids that the log files and the index have always had.
_KEYS = ("request_id", "user_id", "session.id", "http.route", "client.address")
_values = attrgetter("request_id", "user_id", "session_id", "route", "client_address")

_current: Callable[[], Any] | None = None


def add_to(attributes: MutableMapping[str, Any]) -> None:
    """Add what the current request knows; what the line says itself stays."""
    global _current  # noqa: PLW0603  # imported with the first line, for start-up's sake
    if _current is None:
        from ada_otel.web.context import current

        _current = current
    request = _current()
    if request is None:
        return
    for key, value in zip(_KEYS, _values(request), strict=True):
        if value is not None and key not in attributes:
            attributes[key] = value
    # The one of these that a client may write anything into.
    agent = request.user_agent
    if agent and "user_agent.original" not in attributes:
        attributes["user_agent.original"] = redactor().value("user_agent.original", agent)
