"""How ADA says no: every error is answered as JSON, ``{"error": code, "message": text}``."""

from __future__ import annotations

import logging
from typing import Any

import redis
from flask import Flask, request
from flask.typing import ResponseReturnValue
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

logger = logging.getLogger(__name__)

#: What of a refused body is read and thrown away, so that the client gets to read the answer.
_DRAIN_BYTES = 16 * 1024 * 1024


class ApiError(Exception):
    """An answer other than success, raised from anywhere in a request."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


def json_object() -> dict[str, Any]:
    """The request's body, which has to be a JSON object; 400 otherwise."""
    body = request.get_json(silent=True)
    if not isinstance(body, dict):
        raise ApiError(400, "bad_json", "The body must be a JSON object, sent as application/json.")
    return body


def text_field(body: dict[str, Any], name: str, longest: int) -> str:
    """The text ``name`` of ``body``, not blank and of at most ``longest`` characters; 400 otherwise."""
    value = body.get(name)
    if not isinstance(value, str) or not value.strip() or len(value) > longest:
        raise ApiError(400, "bad_field", f"{name!r} must be a text of 1 to {longest} characters.")
    return value.strip()


def whole_number(value: Any, name: str, least: int, most: int) -> int:
    """``value`` as a whole number from ``least`` to ``most``; 400 otherwise."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 10:
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise ApiError(400, "bad_field", f"{name!r} must be a whole number from {least} to {most}.")
    return value


def install(app: Flask) -> None:
    """Answer errors as JSON, and those of a database or Redis that is away with 503."""
    app.register_error_handler(ApiError, _api_error)
    app.register_error_handler(HTTPException, _http_error)
    for kind in (
        OperationalError,
        InterfaceError,
        PoolTimeoutError,
        redis.ConnectionError,
        redis.TimeoutError,
    ):
        app.register_error_handler(kind, _unavailable)


def _body(code: str, message: str) -> dict[str, str]:
    return {"error": code, "message": message}


def _api_error(error: ApiError) -> ResponseReturnValue:
    return _body(error.code, error.message), error.status


def _http_error(error: HTTPException) -> ResponseReturnValue:
    if isinstance(error, RequestEntityTooLarge):
        _drain()
    response = error.get_response()
    code = (error.name or "error").lower().replace(" ", "_")
    # The headers stay: a 405 names the methods that are allowed.
    headers = [
        (key, value)
        for key, value in response.headers
        if key.lower() not in {"content-type", "content-length"}
    ]
    return _body(code, error.description or error.name), response.status_code, headers


def _unavailable(error: Exception) -> ResponseReturnValue:
    store = "Redis" if isinstance(error, redis.RedisError) else "the database"
    logger.error("A request needed %s, which did not answer", store, exc_info=error)
    return _body("unavailable", "A part of ADA is away; try again soon."), 503, {"Retry-After": "5"}


def _drain() -> None:
    stream = request.environ.get("wsgi.input")
    left = min(request.content_length or 0, _DRAIN_BYTES)
    while stream is not None and left > 0:
        chunk = stream.read(min(65536, left))
        if not chunk:
            return
        left -= len(chunk)
