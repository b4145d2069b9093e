"""The front page, a slow one, a streamed one, and one that fails: ADA's ways to show what telemetry sees."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator

from flask import Blueprint, Response, current_app, request
from flask.typing import ResponseReturnValue
from sqlalchemy import text

from .database import database
from .errors import ApiError, whole_number
from .models import User
from .settings import Settings

logger = logging.getLogger(__name__)
blueprint = Blueprint("pages", __name__)


class ReportError(RuntimeError):
    """The report of ``GET /boom`` could not be made."""


@blueprint.get("/")
def home() -> ResponseReturnValue:
    """Name and version: 200."""
    settings: Settings = current_app.config["ADA"]
    return {"name": "ADA", "version": settings.app_version}


@blueprint.get("/slow")
def slow() -> ResponseReturnValue:
    """Take ``ADA_SLOW_SECONDS``, in the app or, with ``?in=database``, in one query: 200; 400 bad input."""
    settings: Settings = current_app.config["ADA"]
    place = request.args.get("in", "app")
    if place == "app":
        time.sleep(settings.slow_seconds)
    elif place == "database":
        with database().session() as db:
            db.execute(text("SELECT pg_sleep(:seconds)"), {"seconds": settings.slow_seconds})
    else:
        raise ApiError(400, "bad_field", "'in' must be 'app' or 'database'.")
    return {"slept_seconds": settings.slow_seconds, "in": place}


@blueprint.get("/stream")
def stream() -> ResponseReturnValue:
    """``?lines=`` lines of text, sent one by one: 200; 400 bad input."""
    count = whole_number(request.args.get("lines", "10"), "lines", 1, 10_000)

    def lines() -> Iterator[str]:
        for number in range(1, count + 1):
            yield f"line {number} of {count}\n"

    return Response(lines(), content_type="text/plain; charset=utf-8")


@blueprint.get("/boom")
def boom() -> ResponseReturnValue:
    """Fail in the way that ``?kind=`` says, with ``?detail=`` in the error's text: 500; 400 unknown kind."""
    kind = request.args.get("kind", "report")
    failure = _FAILURES.get(kind)
    if failure is None:
        raise ApiError(400, "bad_field", f"'kind' must be one of {', '.join(sorted(_FAILURES))}.")
    failure(request.args.get("detail", "no detail"))
    raise AssertionError(f"the failure {kind!r} did not fail")


def _report(detail: str) -> None:
    raise ReportError(f"The report failed: {detail}")


def _chained(detail: str) -> None:
    try:
        int(f"not a number: {detail}")
    except ValueError as error:
        raise ReportError(f"The report failed: {detail}") from error


def _lookup(detail: str) -> None:
    totals: dict[str, int] = {}
    logger.info("The total is %d", totals[detail])


def _database(detail: str) -> None:
    with database().session() as db:
        # The name is taken, so the database refuses the row.
        db.add(User(name="ada", email=detail[:120], password_hash="none"))
        db.commit()


def _critical(detail: str) -> None:
    logger.critical("The order book does not add up: %s", detail)
    raise ReportError(f"The order book does not add up: {detail}")


_FAILURES: dict[str, Callable[[str], None]] = {
    "report": _report,
    "chained": _chained,
    "lookup": _lookup,
    "database": _database,
    "critical": _critical,
}
