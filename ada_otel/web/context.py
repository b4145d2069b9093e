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

    __slots__ = ("_request_id", "_route", "_session", "_user_id", "environ")

    def __init__(self, environ: dict[str, Any]) -> None:
        self.environ = environ
        self._request_id: str | None = None
        self._route: str | None = None
        self._session: dict[str, Any] | None = None
        self._user_id: str | None = None

    @property
    def request_id(self) -> str:
        """A valid ``X-Request-ID``, else the trace id of ``traceparent`` or of the span, else a new one."""
        if self._request_id is None:
            self._request_id = _request_id(self.environ)
        return self._request_id

    @request_id.setter
    def request_id(self, value: str) -> None:
        self._request_id = value

    @property
    def user_id(self) -> str | None:
        """As the app has said, else ``user_id`` of Flask's session, else Flask-Login's ``_user_id`` there.

        The user object of Flask-Login is not asked: it may have to query the database for its own id.
        """
        if self._user_id is not None:
            return self._user_id
        found = self._of_session("user_id")
        if found is None:
            found = self._of_session("_user_id")
        return None if found is None else str(found)

    @user_id.setter
    def user_id(self, value: object) -> None:
        self._user_id = None if value is None else str(value)

    @property
    def session_id(self) -> str | None:
        """``session_id`` of Flask's session, if the app puts one there; never the cookie."""
        found = self._of_session("session_id")
        return None if found is None else str(found)

    def remember(self) -> None:
        """Keep Flask's route and session for what is logged after Flask has forgotten them."""
        self._find_session()
        _ = self.route

    def _find_session(self) -> dict[str, Any] | None:
        if self._session is None:
            self._session = _open_session(self.environ)
        return self._session

    def _of_session(self, key: str) -> Any:
        session = self._find_session()
        # Not by its own `get`, which may mark the session as used: the answer would get a `Vary: Cookie`.
        return None if session is None else dict.get(session, key)

    @property
    def route(self) -> str | None:
        """Flask's URL rule; None where none matches."""
        if self._route is None:
            rule = getattr(self.environ.get("werkzeug.request"), "url_rule", None)
            self._route = None if rule is None else rule.rule
        return self._route

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


def _open_session(environ: dict[str, Any]) -> dict[str, Any] | None:
    """Flask's session of this request, if Flask has opened it by now. It is not marked as used."""
    from flask import globals as flask_globals

    flask_context = flask_globals._cv_request.get(None)
    if flask_context is None or flask_context.request.environ is not environ:
        return None
    # Since Flask 3.1.3 the attribute `session` is a property that marks the session as used.
    held = vars(flask_context)
    session = held.get("_session", held.get("session"))
    return session if isinstance(session, dict) else None
