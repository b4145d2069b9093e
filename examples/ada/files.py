"""Uploads: ``POST /files``, and ``GET /files/<id>`` to have one back."""

from __future__ import annotations

import logging

from flask import Blueprint, Response, request
from flask.typing import ResponseReturnValue
from sqlalchemy import select
from sqlalchemy.orm import undefer
from werkzeug.utils import secure_filename

from ada_otel import business

from .auth import signed_in_user
from .database import database
from .errors import ApiError
from .models import Upload

logger = logging.getLogger(__name__)
blueprint = Blueprint("files", __name__)

#: The types that are taken, and how their content starts (empty: any text in UTF-8).
_ACCEPTED = {
    "text/plain": b"",
    "text/csv": b"",
    "image/png": b"\x89PNG\r\n\x1a\n",
    "image/jpeg": b"\xff\xd8\xff",
    "application/pdf": b"%PDF-",
}


@blueprint.post("/files")
def upload() -> ResponseReturnValue:
    """Keep the form field ``file``: 201; 400 no file, 401, 403, 413 too large, 415 a type we do not take."""
    user = signed_in_user("upload")
    sent = request.files.get("file")
    if sent is None or not sent.filename:
        raise ApiError(400, "no_file", "Send the file as the form field 'file'.")
    content = sent.read()
    if not _is_accepted(sent.mimetype, content):
        logger.warning("Upload of type %s refused", sent.mimetype)
        types = ", ".join(sorted(_ACCEPTED))
        raise ApiError(415, "bad_type", f"Only these types are taken, with content to match: {types}.")
    with database().session() as db:
        kept = Upload(
            user_id=user.id,
            filename=secure_filename(sent.filename)[:120],
            content_type=sent.mimetype,
            size=len(content),
            content=content,
        )
        db.add(kept)
        db.commit()
    logger.info("Upload %d: %d bytes of %s", kept.id, kept.size, kept.content_type)
    return {"id": kept.id, "size": kept.size, "content_type": kept.content_type}, 201


@blueprint.get("/files/<int:file_id>")
def download(file_id: int) -> ResponseReturnValue:
    """One of the user's own files: 200; 401, 404 when there is none."""
    user = signed_in_user()
    mine = (
        select(Upload).where(Upload.id == file_id, Upload.user_id == user.id).options(undefer(Upload.content))
    )
    with database().session() as db:
        kept = db.scalar(mine)
    if kept is None:
        raise ApiError(404, "no_such_file", f"There is no file {file_id}.")
    business.feature_used("download")
    disposition = {"Content-Disposition": f'attachment; filename="{kept.filename}"'}
    return Response(kept.content, content_type=kept.content_type, headers=disposition)


def _is_accepted(content_type: str, content: bytes) -> bool:
    start = _ACCEPTED.get(content_type)
    if start is None:
        return False
    if start:
        return content.startswith(start)
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return True
