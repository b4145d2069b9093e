"""A request context with known content."""

from __future__ import annotations

from dataclasses import astuple, dataclass


@dataclass
class Request:
    """What ``ada_otel.web.context.current()`` gives within a request."""

    request_id: str | None = "r-1"
    user_id: str | None = "u-1"
    session_id: str | None = "s-1"
    route: str | None = "/tea/<int:id>"
    client_address: str | None = "192.0.2.1"
    user_agent: str | None = "curl/8"

    def log_values(self) -> tuple[str | None, ...]:
        """In the order of ``ada_otel.logs._context.KEYS``."""
        return astuple(self)
