"""The current request: id, user, session, route, address, user agent; worked out when asked for."""

from __future__ import annotations

import re
from contextvars import ContextVar
from functools import lru_cache
from typing import Any

from opentelemetry import trace

__all__ = ["RequestContext", "current", "set_user"]

_valid_id = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}")
_traceparent = re.compile(r"[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}.*")


class RequestContext:
    """What is known of one request; everything but the environ is worked out when asked for."""

    # On the class, as most requests ask for none of it.
    #: That of the request's span, where it is known.
    span_context: trace.SpanContext | None = None
    _request_id: str | None = None
    _route: str | None = None
    _session: dict[str, Any] | None = None
    _user_id: str | None = None
    _flask_context: Any = None

    def __init__(self, environ: dict[str, Any]) -> None:
        self.environ = environ

    @property
    def request_id(self) -> str:
        """A valid ``X-Request-ID``, else the trace id of ``traceparent`` or of the span, else a new one."""
        if self._request_id is None:
            self._request_id = _request_id(self.environ, self.span_context)
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
        session = self._find_session()
        if session is None:
            return None
        # Not by its own `get`, which may mark the session as used: the answer would get a `Vary: Cookie`.
        found = dict.get(session, "user_id")
        if found is None:
            found = dict.get(session, "_user_id")
        return None if found is None else str(found)

    @user_id.setter
    def user_id(self, value: object) -> None:
        self._user_id = None if value is None else str(value)

    @property
    def session_id(self) -> str | None:
        """``session_id`` of Flask's session, if the app puts one there; never the cookie."""
        session = self._find_session()
        found = None if session is None else dict.get(session, "session_id")
        return None if found is None else str(found)

    def log_values(self) -> tuple[str | None, ...]:
        """What log lines tell of it by now: request id, user, session, route, address and user agent.

        Without the properties where that can be: five of them cost a line 5 µs.
        """
        environ = self.environ
        session = self._session
        if session is None:
            session = self._find_session()
        user, named = self._user_id, None
        if session:
            # Not by its own `get`; see `user_id`.
            if user is None:
                user = self.user_id
            named = self.session_id
        return (
            self._request_id or self.request_id,
            user,
            named,
            self._route or self.route,
            environ.get("REMOTE_ADDR"),
            environ.get("HTTP_USER_AGENT"),
        )

    def _find_session(self) -> dict[str, Any] | None:
        """Flask's session, if Flask has opened it by now. It is not marked as used."""
        if self._session is None:
            context = self._flask_context or flask_context(self.environ)
            if context is not None:
                # Since Flask 3.1.3 the attribute `session` is a property that marks the session as used.
                held = vars(context)
                found = held.get("_session", held.get("session"))
                self._session = found if isinstance(found, dict) else None
        return self._session

    @property
    def route(self) -> str | None:
        """Flask's URL rule; None where none matches."""
        if self._route is None:
            kept = self._flask_context
            request = self.environ.get("werkzeug.request") if kept is None else kept.request
            rule = getattr(request, "url_rule", None)
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


def _request_id(environ: dict[str, Any], span_context: trace.SpanContext | None) -> str:
    given = environ.get("HTTP_X_REQUEST_ID")
    if given and _valid_id.fullmatch(given) is not None:
        from ada_otel.redaction import redactor

        if redactor().text(given) == given:
            return str(given)
    parent = environ.get("HTTP_TRACEPARENT")
    if parent and (found := _traceparent.fullmatch(parent.strip())) is not None:
        return found[1]
    # By position: half of the time by name.
    if trace_id := (span_context or trace.get_current_span().get_span_context())[0]:
        return format(trace_id, "032x")
    import uuid

    return uuid.uuid4().hex


def flask_context(environ: dict[str, Any]) -> Any:
    """Flask's context of this very request, while it is there."""
    context = _of_flask()._cv_request.get(None)
    return context if context is not None and context.request.environ is environ else None


@lru_cache(1)
def _of_flask() -> Any:
    # An import statement costs 1 µs each time it is run.
    from flask import globals as flask_globals

    return flask_globals
