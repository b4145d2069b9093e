"""Everything that can be set from outside, by environment variable."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

DEVELOPMENT_SECRET_KEY = "for-development-only"

_Number = TypeVar("_Number", int, float)


class SettingsError(ValueError):
    """A setting has a value that ADA cannot use; the text names it and says what would be right."""


@dataclass(frozen=True)
class Settings:
    """ADA's settings; `from_env` says which variable each comes from."""

    database_url: str = "sqlite:///ada.db"
    pool_size: int = 10
    """Most database connections of one process."""
    redis_url: str = "redis://127.0.0.1:6379/0"
    cache_seconds: int = 30
    """How long a list of items may be served from Redis."""
    ai_url: str = "http://127.0.0.1:8090"
    ai_api_key: str = ""
    ai_model: str = "ada-small"
    ai_timeout_seconds: float = 5.0
    ai_price_per_million_tokens: float = 2.0
    """In US dollars."""
    secret_key: str = DEVELOPMENT_SECRET_KEY
    app_version: str = "1.0.0"
    log_level: str = "INFO"
    slow_seconds: float = 1.0
    """How long ``GET /slow`` takes."""
    max_upload_bytes: int = 262_144
    sign_in_failures: int = 5
    """Wrong passwords allowed per user name and window; the next attempt is answered 429."""
    sign_in_window_seconds: int = 60
    socketio_async_mode: str = "threading"
    socketio_message_queue: str = ""
    """A Redis URL that joins the Socket.IO servers of several processes; empty: each stands alone."""

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> Settings:
        """Read the settings from ``environ`` (default: the process environment).

        Raises:
            SettingsError: a number is not one, or is out of its range.
        """
        env = os.environ if environ is None else environ
        default = cls()
        return cls(
            database_url=env.get("DATABASE_URL") or default.database_url,
            pool_size=_number(env, "ADA_POOL_SIZE", int, default.pool_size, 1),
            redis_url=env.get("REDIS_URL") or default.redis_url,
            cache_seconds=_number(env, "ADA_CACHE_SECONDS", int, default.cache_seconds, 1),
            ai_url=(env.get("AI_URL") or default.ai_url).rstrip("/"),
            ai_api_key=env.get("AI_API_KEY", default.ai_api_key),
            ai_model=env.get("AI_MODEL") or default.ai_model,
            ai_timeout_seconds=_number(env, "AI_TIMEOUT_SECONDS", float, default.ai_timeout_seconds, 0.01),
            ai_price_per_million_tokens=_number(
                env, "AI_PRICE_PER_MILLION_TOKENS", float, default.ai_price_per_million_tokens, 0
            ),
            secret_key=env.get("SECRET_KEY") or default.secret_key,
            app_version=env.get("APP_VERSION") or default.app_version,
            log_level=(env.get("LOG_LEVEL") or default.log_level).upper(),
            slow_seconds=_number(env, "ADA_SLOW_SECONDS", float, default.slow_seconds, 0),
            max_upload_bytes=_number(env, "ADA_MAX_UPLOAD_BYTES", int, default.max_upload_bytes, 1),
            sign_in_failures=_number(env, "ADA_SIGN_IN_FAILURES", int, default.sign_in_failures, 1),
            sign_in_window_seconds=_number(
                env, "ADA_SIGN_IN_WINDOW_SECONDS", int, default.sign_in_window_seconds, 1
            ),
            socketio_async_mode=env.get("SOCKETIO_ASYNC_MODE") or default.socketio_async_mode,
            socketio_message_queue=env.get("SOCKETIO_MESSAGE_QUEUE", default.socketio_message_queue),
        )


def _number(
    env: Mapping[str, str], name: str, kind: Callable[[str], _Number], default: _Number, least: float
) -> _Number:
    text = env.get(name, "").strip()
    if not text:
        return default
    wanted = "a number" if kind is float else "a whole number"
    try:
        value = kind(text)
    except ValueError:
        raise SettingsError(f"{name}={text!r} is not {wanted}; for example {name}={default}") from None
    if not math.isfinite(value) or value < least:
        raise SettingsError(f"{name}={text!r} is out of range; it must be {wanted} of at least {least}")
    return value
