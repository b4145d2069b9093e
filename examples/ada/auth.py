"""Signing in and out, and who the request comes from. The session is Flask's signed cookie."""

from __future__ import annotations

import functools
import time
import uuid

import structlog
from flask import Blueprint, current_app, session
from flask.typing import ResponseReturnValue
from sqlalchemy import select
from werkzeug.security import check_password_hash, generate_password_hash

from ada_otel import business

from .cache import cache
from .database import database
from .errors import ApiError, json_object, text_field
from .models import User
from .settings import Settings

log = structlog.get_logger(__name__)
blueprint = Blueprint("auth", __name__, url_prefix="/auth")


@functools.cache
def _nobodys_hash() -> str:
    """Checked for unknown names, so that the time an answer takes does not tell which names exist."""
    return generate_password_hash(uuid.uuid4().hex)


def signed_in_user(permission: str | None = None) -> User:
    """The user of this request's session.

    Raises:
        ApiError: 401 without a session; 403 when the user is disabled or lacks ``permission``.
    """
    user_id = session.get("user_id")
    if user_id is None or "session_id" not in session:
        raise ApiError(401, "not_signed_in", "Sign in first.")
    with database().session() as db:
        user = db.get(User, user_id)
    if user is None:
        session.clear()
        raise ApiError(401, "not_signed_in", "Sign in first.")
    if user.disabled:
        raise ApiError(403, "disabled", "This account is disabled.")
    business.session_active(session["session_id"], user.id)
    if permission is not None and not user.may(permission):
        business.permission_denied(permission)
        log.warning("permission denied", user_id=user.id, permission=permission)
        raise ApiError(403, "permission_denied", f"This account lacks the permission {permission!r}.")
    return user


@blueprint.post("/sign-in")
def sign_in() -> ResponseReturnValue:
    """Start a session: 200; 400 bad input, 401 wrong name or password, 403 disabled, 429 too often."""
    settings: Settings = current_app.config["ADA"]
    body = json_object()
    name = text_field(body, "name", 40)
    password = text_field(body, "password", 200)
    attempts = f"sign-in:{name}"
    if cache().attempts(attempts) >= settings.sign_in_failures:
        business.rate_limited("sign_in")
        log.warning("sign-in rate limited", user_name=name)
        answer = {"error": "rate_limited", "message": "Too many failed attempts; try again later."}
        return answer, 429, {"Retry-After": str(settings.sign_in_window_seconds)}
    with database().session() as db:
        user = db.scalar(select(User).where(User.name == name))
    right = check_password_hash(user.password_hash if user else _nobodys_hash(), password)
    if user is None or not right:
        cache().add_attempt(attempts, settings.sign_in_window_seconds)
        business.sign_in_failed("wrong_password")
        log.warning("sign-in failed", user_name=name, reason="wrong name or password")
        raise ApiError(401, "wrong_password", "Wrong name or password.")
    if user.disabled:
        business.sign_in_failed("disabled")
        log.warning("sign-in failed", user_name=name, reason="disabled")
        raise ApiError(403, "disabled", "This account is disabled.")
    session.clear()
    session.update(user_id=user.id, session_id=uuid.uuid4().hex, started_at=time.time())
    business.session_started(user.id, session["session_id"])
    log.info("signed in", user_id=user.id)
    return {"id": user.id, "name": user.name}


@blueprint.post("/sign-out")
def sign_out() -> ResponseReturnValue:
    """End the session: 204, also when there is none."""
    if "session_id" in session:
        seconds = round(time.time() - session.get("started_at", time.time()), 3)
        business.session_ended(session["session_id"])
        log.info("signed out", user_id=session["user_id"], session_seconds=seconds)
    session.clear()
    return "", 204


@blueprint.get("/me")
def me() -> ResponseReturnValue:
    """The signed-in user: 200; 401 without a session."""
    user = signed_in_user()
    return {"id": user.id, "name": user.name, "permissions": user.permissions.split()}
