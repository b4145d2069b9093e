"""Chat with the AI over HTTP: ``POST /chat``."""

from __future__ import annotations

import logging

from flask import Blueprint, current_app
from flask.typing import ResponseReturnValue

from ada_otel import business

from .ai import AiError, complete
from .auth import signed_in_user
from .database import database
from .errors import ApiError, json_object, text_field
from .models import Message
from .settings import Settings

logger = logging.getLogger(__name__)
blueprint = Blueprint("chat", __name__)


def save_message(room: str, author_id: int | None, text: str) -> int:
    """Store one chat line, and return its id; ``author_id`` is None for the AI."""
    with database().session() as db:
        message = Message(room=room, author_id=author_id, text=text)
        db.add(message)
        db.commit()
        return message.id


@blueprint.post("/chat")
def chat() -> ResponseReturnValue:
    """Ask the AI: 200 with its reply; 400 bad input, 401, 403, 502 when the AI failed."""
    settings: Settings = current_app.config["ADA"]
    user = signed_in_user("chat")
    prompt = text_field(json_object(), "text", 2000)
    business.feature_used("chat")
    room = f"ai-{user.id}"
    save_message(room, user.id, prompt)
    try:
        completion = complete(settings, prompt)
    except AiError:
        logger.exception("The AI step of a chat failed for user %d", user.id)
        raise ApiError(502, "ai_failed", "The AI did not answer; try again.") from None
    message_id = save_message(room, None, completion.text)
    logger.info(
        "The AI answered", extra={"model": completion.model, "output_tokens": completion.output_tokens}
    )
    return {
        "id": message_id,
        "text": completion.text,
        "model": completion.model,
        "usage": {"input_tokens": completion.input_tokens, "output_tokens": completion.output_tokens},
    }
