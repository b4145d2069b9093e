"""The example app with some more routes: channels of a user's app that ADA itself has no use for.

Run by gunicorn under the launcher; ``SECRETS`` holds a secret for each channel, as JSON.
"""

from __future__ import annotations

import json
import logging
import os
from typing import Any

import redis
import structlog
from flask import request
from opentelemetry import trace
from opentelemetry.trace import Status, StatusCode

import ada_otel.logs
from ada_otel import business
from examples.ada.wsgi import app

S: dict[str, str] = json.loads(os.environ["SECRETS"])
log = logging.getLogger("leaky")
store = redis.Redis.from_url(os.environ["REDIS_URL"])


def connect(**_options: Any) -> None:
    """Fail, with the options in the line of source that a traceback shows."""
    raise ConnectionError("no connection")


@app.post("/leaks/form")
def form() -> str:
    """What a request brings, logged."""
    log.info("form %s", request.form.to_dict())
    log.info("headers", extra={"headers": dict(request.headers)})
    log.info("cookies", extra={"data": [{"cookies": dict(request.cookies)}]})
    return "ok"


@app.get("/leaks/texts")
def texts() -> str:
    """Texts and fields, through each kind of logger."""
    log.warning("paid with %s", S["card_message"])
    # A field of its own: what comes first, the number or what stands for it, decides of what type it is in
    # Elasticsearch, which other tests share.
    log.warning("paid", extra={"leaky_number": int(S["card_number"]), "list": [S["card_list"]]})
    log.info("signed in as %s", S["jwt"])
    log.info("Authorization: Bearer %s", S["bearer"])
    log.info("key: %s", S["private_key"])
    log.info("connecting to postgresql://app:%s@db.internal:5432/shop", S["database_url"])
    log.info("config", extra={"api_key": S["extra"], "nested": {"deep": {"client_secret": S["nested"]}}})
    log.info('{"user": "ada", "password": "%s"}', S["json_text"])
    structlog.get_logger("leaky.structlog").info("event", access_token=S["structlog"])
    ada_otel.logs.get_logger("leaky.ours").info("event", refresh_token=S["ours"])
    return "ok"


@app.get("/leaks/business")
def told() -> str:
    """What the app says of itself."""
    where = f"redis://:{S['alert']}@cache:6379/0"
    business.alert("high", f"cannot reach {where}", {"password": S["alert_detail"]})
    business.suspicious_input(f"token={S['suspicious']}")
    business.sign_in_failed(f"password={S['reason']}")
    return "ok"


@app.get("/leaks/errors")
def errors() -> str:
    """Exceptions: logged with their cause, with a line of source, and not caught."""
    try:
        try:
            raise ValueError(f"token={S['cause']}")
        except ValueError as cause:
            raise RuntimeError(f"password={S['exception']}") from cause
    except RuntimeError:
        log.exception("failed")
    try:
        connect(host="db", password="SOURCE_LINE")
    except ConnectionError:
        log.exception("not connected")
    raise LookupError(f"api_key: {S['unhandled']}")


@app.get("/leaks/spans")
def spans() -> str:
    """All that an app can put on a span."""
    span = trace.get_current_span()
    span.set_attribute("user.password", S["span_attribute"])
    span.set_attribute("note", f"bearer {S['span_text']}")
    span.add_event("step", {"session.token": S["span_event"]})
    span.add_link(span.get_span_context(), {"session.token": S["span_link"]})
    span.record_exception(ValueError(f"secret={S['span_exception']}"))
    span.set_status(Status(StatusCode.ERROR, f"passwd={S['span_status']}"))
    return "ok"


@app.get("/leaks/data")
def data() -> str:
    """Statements and commands."""
    from sqlalchemy import text

    engine = app.extensions["ada.database"].engine
    with engine.connect() as connection:
        connection.execute(text(f"SELECT '{S['sql_literal']}'"))
    store.set("leak-test", S["redis_value"], ex=60)
    log.info("stored", extra={"command": ["SET", "session_token", S["redis_command"]]})
    return "ok"
