"""Whether the app's Redis servers answer a PING: on a connection of our own, which is closed after it."""

from __future__ import annotations

from typing import Any

from ada_otel.web.health._found import Found
from ada_otel.web.health._model import Result


class RedisServers:
    """The check."""

    def __init__(self, found: Found, limit: float) -> None:
        self._found = found
        self._limit = limit

    def known(self) -> bool:
        """Whether the app has a client."""
        return bool(self._found.pools())

    def run(self) -> Result:
        """Ask each server."""
        pools = self._found.pools()
        failures = []
        for pool in pools:
            try:
                _ping(pool, self._limit)
            except Exception as error:  # noqa: PERF203  # each server for itself
                failures.append(f"{type(error).__name__}: {error}")
        figures = {"servers": len(pools), "failed": len(failures)}
        if failures:
            return Result("unhealthy", "does not answer", figures, "; ".join(failures))
        return Result(figures=figures)


def _ping(pool: Any, limit: float) -> None:
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    options = {
        **pool.connection_kwargs,
        "socket_timeout": limit,
        "socket_connect_timeout": limit,
        "retry": Retry(NoBackoff(), 0),
        "retry_on_timeout": False,
        "retry_on_error": [],
        "health_check_interval": 0,
    }
    for shared in _SHARED:
        options.pop(shared, None)
    connection = pool.connection_class(**options)
    try:
        connection.connect()
        connection.send_command("PING")
        connection.read_response()
    finally:
        connection.disconnect()


#: What belongs to the app's pool and would tell it of a connection that it does not know.
_SHARED = ("maint_notifications_config", "maint_notifications_pool_handler", "event_dispatcher")
