"""Sessions and active users, and the gauges that one worker of each host reports for all."""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING, Literal

from opentelemetry.metrics import Observation

from ada_otel.business import _check
from ada_otel.business._folder import Folder
from ada_otel.business._hosts import Hosts
from ada_otel.business._sessions import Sessions
from ada_otel.business._telemetry import count, record, telemetry
from ada_otel.business._users import Users
from ada_otel.resource import service_key

if TYPE_CHECKING:
    from ada_otel.observers._group import Reading
    from ada_otel.settings import Settings

EndReason = Literal["sign_out", "expired", "replaced", "other"]
_REASONS = ("sign_out", "expired", "replaced", "other")


class Engagement:
    """What this process keeps of sessions and users, from the settings."""

    def __init__(self, settings: Settings) -> None:
        folder = Folder(settings.business_folder)
        self.users = Users(folder)
        self.sessions = Sessions(folder, settings.session_timeout)
        self._folder = folder
        self._lock: object = None
        self.hosts: Hosts | None = None
        if settings.business_redis_url:
            self.hosts = Hosts(settings.business_redis_url, service_key(), platform.node(), self.users)

    def register(self) -> None:
        """Make the gauges."""
        from ada_otel.observers._group import Group
        from ada_otel.observers._lock import HostLock

        folder = self._folder.path()
        self._reporter = HostLock("business", str(folder / "reporter") if folder else "")
        self._group = Group("sessions and users", ("ada.sessions.active", "ada.users.active"), self._read)
        self._group.register(telemetry.meter)

    def _read(self) -> Reading:
        self.users.share()
        if self.hosts is not None:
            self.hosts.wake()
        if not self._reporter.held():
            return {}
        sessions, users = self.sessions.open(), self.users.counts()
        if self.hosts is not None:
            self.hosts.publish(sessions)
            everywhere = self.hosts.sessions()
            sessions = sessions if everywhere is None else everywhere
            users.update(self.hosts.counts())
        return {
            "ada.sessions.active": () if sessions is None else (Observation(sessions),),
            "ada.users.active": [
                Observation(number, {"ada.window": window}) for window, number in users.items()
            ],
        }


_engagement: Engagement | None = None


def start(settings: Settings) -> None:
    """Keep sessions and users from now on; before that, only what needs no memory is counted."""
    global _engagement  # noqa: PLW0603  # the process has one
    _engagement = Engagement(settings)
    _engagement.register()


def stop() -> None:
    """Keep nothing any more; for tests."""
    global _engagement  # noqa: PLW0603  # the process has one
    _engagement = None


@_check.safely
def user_active(user_id: str | int) -> None:
    """Say that a user is active now: once per request is right, and cheap.

    Args:
        user_id: Anything that names the user: text, a whole number or a UUID. Only a hash of it is kept.
    """
    user = _check.identity("user_active", "user_id", user_id)
    if user is not None and _engagement is not None:
        _engagement.users.active(user)


@_check.safely
def session_started(user_id: str | int, session_id: str | int) -> None:
    """Count a session that begins, and its user as active. One that is open already is not counted again.

    Args:
        user_id: Whose it is: text, a whole number or a UUID.
        session_id: Its id, likewise. Only a hash of it is kept.
    """
    user = _check.identity("session_started", "user_id", user_id)
    session = _check.identity("session_started", "session_id", session_id)
    if user is None or session is None or _engagement is None:
        return
    if _engagement.sessions.start(session):
        count("ada.session.starts", {})
    _engagement.users.active(user)


@_check.safely
def session_active(session_id: str | int, user_id: str | int | None = None) -> None:
    """Keep a session from expiring.

    Args:
        session_id: Its id.
        user_id: Whose it is, to count the user as active too.
    """
    session = _check.identity("session_active", "session_id", session_id)
    user = None if user_id is None else _check.identity("session_active", "user_id", user_id)
    if session is None or _engagement is None or (user_id is not None and user is None):
        return
    _engagement.sessions.active(session)
    if user is not None:
        _engagement.users.active(user)


@_check.safely
def session_ended(session_id: str | int, reason: EndReason = "sign_out") -> None:
    """Count a session that ends. One that is not open, as it has expired, is not counted again.

    Args:
        session_id: Its id.
        reason: ``sign_out``, ``expired``, ``replaced`` or ``other``.
    """
    session = _check.identity("session_ended", "session_id", session_id)
    why = _check.word("session_ended", "reason", reason, _REASONS)
    if session is None or why is None or _engagement is None:
        return
    ended, seconds = _engagement.sessions.end(session)
    if ended:
        count("ada.session.ends", {"ada.session.end_reason": why})
    if seconds is not None:
        record("ada.session.duration", seconds, {})
