"""The current request: id, user, session, route, address, user agent; worked out when asked for."""

from __future__ import annotations

import re
from contextvars import ContextVar
from typing import Any

from opentelemetry import trace

__all__ = ["RequestContext", "current", "set_user"]

_valid_id = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}")
_traceparent = re.compile(r"[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}.*")


class RequestContext:
    """What is known of one request; everything but the environ is worked out when asked for."""

    __slots__ = ("_request_id", "_user_id", "environ")

    def __init__(self, environ: dict[str, Any]) -> None:
        self.environ = environ
        self._request_id: str | None = None
        self._user_id: str | None = None

    @property
    def request_id(self) -> str:
        """A valid ``X-Request-ID``, else the trace id of ``traceparent`` or of the span, else a new one."""
        if self._request_id is None:
            self._request_id = _request_id(self.environ)
        return self._request_id

    @property
    def user_id(self) -> str | None:
        """As the app has said, else by Flask-Login, else ``user_id`` of Flask's session."""
        if self._user_id is not None:
            return self._user_id
        found = _flask_login() or _of_session("user_id")
        return None if found is None else str(found)

    @user_id.setter
    def user_id(self, value: object) -> None:
        self._user_id = None if value is None else str(value)

    @property
    def session_id(self) -> str | None:
        """``session_id`` of Flask's session, if the app puts one there; never the cookie."""
        found = _of_session("session_id")
        return None if found is None else str(found)

    @property
    def route(self) -> str | None:
        """Flask's URL rule; None where none matches."""
        rule = getattr(self.environ.get("werkzeug.request"), "url_rule", None)
        return None if rule is None else rule.rule

    @property
    def client_address(self) -> str | None:
        """The peer's address, or what a ``ProxyFix`` says."""
        return self.environ.get("REMOTE_ADDR")

    @property
    def user_agent(self) -> str | None:
        """The header, unredacted."""
        return self.environ.get("HTTP_USER_AGENT")


_current: ContextVar[RequestContext | None] = ContextVar("ada_otel_request", default=None)


def current() -> RequestContext | None:
    """The request that is being served, or None."""
    return _current.get()


def set_user(user_id: object) -> None:
    """Say whose request this is; outside of one nothing happens."""
    found = _current.get()
    if found is not None:
        found.user_id = user_id


def _request_id(environ: dict[str, Any]) -> str:
    given = environ.get("HTTP_X_REQUEST_ID")
    if given and _valid_id.fullmatch(given) is not None:
        from ada_otel.redaction import redactor

        if redactor().text(given) == given:
            return str(given)
    parent = environ.get("HTTP_TRACEPARENT")
    if parent and (found := _traceparent.fullmatch(parent.strip())) is not None:
        return found[1]
    context = trace.get_current_span().get_span_context()
    if context.trace_id:
        return format(context.trace_id, "032x")
    import uuid

    return uuid.uuid4().hex


def _flask_login() -> Any:
    from flask import g, has_app_context

    if not has_app_context():
        return None
    user = g.get("_login_user")
    return user.get_id() if user is not None and hasattr(user, "get_id") else None


def _of_session(key: str) -> Any:
    from flask import has_request_context
    from flask.globals import request_ctx

    session = request_ctx.session if has_request_context() else None
    # Not by its own `get`, which marks the session as used: the answer would get a `Vary: Cookie`.
    return dict.get(session, key) if isinstance(session, dict) else None
