"""The Socket.IO chat, in the namespace ``/chat``; it is for signed-in users.

Events of the client: ``join`` and ``leave`` {room}, ``message`` {room, text}, ``report`` (always fails).
Each is acknowledged with {"ok": true, …} or {"error": code}. The server's own events are ``joined``, ``left``
and ``message``. A message that starts with ``@ai`` is answered by the AI, from a background task.
"""

from __future__ import annotations

from typing import Any

import structlog
from flask import Flask, current_app, request, session
from flask_socketio import ConnectionRefusedError as Refused
from flask_socketio import SocketIO, emit, join_room, leave_room

from .ai import AiError, complete
from .chat import save_message
from .errors import ApiError, text_field
from .settings import Settings

log = structlog.get_logger(__name__)

NAMESPACE = "/chat"


def create_socketio(app: Flask, settings: Settings) -> SocketIO:
    """The Socket.IO server of ``app``, with the chat's handlers."""
    socketio = SocketIO(
        app,
        async_mode=settings.socketio_async_mode,
        message_queue=settings.socketio_message_queue or None,
        manage_session=False,
    )
    handlers = {
        "connect": _connect,
        "join": _join,
        "leave": _leave,
        "message": _message,
        "report": _report,
        "disconnect": _disconnect,
    }
    for name, handler in handlers.items():
        socketio.on_event(name, handler, namespace=NAMESPACE)
    socketio.on_error(NAMESPACE)(_failed)
    return socketio


def _sid() -> str:
    # Flask-SocketIO adds the attribute to the request of an event.
    return str(request.sid)  # type: ignore[attr-defined]


def _connect(_auth: Any = None) -> None:
    if "user_id" not in session:
        log.warning("connection refused", reason="not signed in")
        raise Refused("sign in first")
    log.info("connected", user_id=session["user_id"], sid=_sid())


def _disconnect(reason: str | None = None) -> None:
    log.info("disconnected", user_id=session.get("user_id"), reason=reason)


def _join(data: Any) -> dict[str, Any]:
    room = _field(data, "room", 40)
    join_room(room)
    emit("joined", {"room": room, "user_id": session["user_id"]}, to=room, include_self=False)
    return {"ok": True, "room": room}


def _leave(data: Any) -> dict[str, Any]:
    room = _field(data, "room", 40)
    leave_room(room)
    emit("left", {"room": room, "user_id": session["user_id"]}, to=room)
    return {"ok": True, "room": room}


def _message(data: Any) -> dict[str, Any]:
    room, text = _field(data, "room", 40), _field(data, "text", 2000)
    message_id = save_message(room, session["user_id"], text)
    emit("message", {"id": message_id, "room": room, "text": text, "user_id": session["user_id"]}, to=room)
    log.info("message", message_id=message_id, room=room)
    if text.startswith("@ai "):
        app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]
        socketio: SocketIO = app.extensions["socketio"]
        socketio.start_background_task(_answer, app, socketio, room, text.removeprefix("@ai "))
    return {"ok": True, "id": message_id}


def _report(_data: Any = None) -> None:
    raise RuntimeError("The report over Socket.IO failed")


def _answer(app: Flask, socketio: SocketIO, room: str, prompt: str) -> None:
    with app.app_context():
        try:
            text = complete(app.config["ADA"], prompt).text
        except AiError:
            log.exception("the AI did not answer a room", room=room)
            text = "The AI did not answer; try again."
        message_id = save_message(room, None, text)
    socketio.emit(
        "message",
        {"id": message_id, "room": room, "text": text, "user_id": None},
        to=room,
        namespace=NAMESPACE,
    )


def _failed(error: Exception) -> dict[str, str]:
    """What a client is told of an event that failed; Flask-SocketIO sends it as the acknowledgement."""
    if isinstance(error, ApiError):
        return {"error": error.code, "message": error.message}
    log.error("a Socket.IO event failed", exc_info=error)
    return {"error": "failed", "message": "This did not work; try again."}


def _field(data: Any, name: str, longest: int) -> str:
    if not isinstance(data, dict):
        raise ApiError(400, "bad_json", "The event's data must be an object.")
    return text_field(data, name, longest)
