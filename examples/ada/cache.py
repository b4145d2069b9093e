"""Redis: a cache that the app can do without, and a counter of attempts that it cannot."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, cast

import redis
import structlog
from flask import current_app

from .settings import Settings, SettingsError

log = structlog.get_logger(__name__)


class Cache:
    """What ADA keeps in Redis. The client connects on first use, and once more in each forked process."""

    def __init__(self, settings: Settings) -> None:
        try:
            self._client = redis.Redis.from_url(
                settings.redis_url, decode_responses=True, socket_connect_timeout=1, socket_timeout=1
            )
        except ValueError as error:
            raise SettingsError(
                f"REDIS_URL cannot be used ({error}); for example redis://127.0.0.1:6379/0"
            ) from error
        self._seconds = settings.cache_seconds

    def lookup(self, key: str, load: Callable[[], Any]) -> tuple[Any, str]:
        """The JSON value at ``key``, loaded and kept when it is not there.

        Returns:
            The value, and how it was found: ``hit``, ``miss``, or ``bypass`` when Redis is away.
        """
        try:
            found = self._client.get(key)
        except redis.RedisError as error:
            log.warning("cache is away", key=key, reason=type(error).__name__)
            return load(), "bypass"
        if found is not None:
            return json.loads(cast("str", found)), "hit"
        value = load()
        try:
            self._client.set(key, json.dumps(value), ex=self._seconds)
        except redis.RedisError as error:
            log.warning("cache did not take a value", key=key, reason=type(error).__name__)
        return value, "miss"

    def attempts(self, key: str) -> int:
        """How often `add_attempt` was called for ``key`` in its window.

        Raises:
            redis.RedisError: Redis is away.
        """
        return int(cast("str | None", self._client.get(f"attempts:{key}")) or 0)

    def add_attempt(self, key: str, window_seconds: int) -> None:
        """Count one attempt; the first one opens a window of ``window_seconds``.

        Raises:
            redis.RedisError: Redis is away.
        """
        pipeline = self._client.pipeline()
        pipeline.set(f"attempts:{key}", 0, ex=window_seconds, nx=True)
        pipeline.incr(f"attempts:{key}")
        pipeline.execute()


def cache() -> Cache:
    """The cache of the current app."""
    return cast("Cache", current_app.extensions["ada.cache"])
