"""Secrets, sent through every channel of an app under the real pipeline, and looked for byte by byte.

The app runs twice, with secrets of its own each time: once as users run it, and once with
``ADA_OTEL_REDACTION=false``, which shows that each secret would have been found where it was looked for.
"""

from __future__ import annotations

import base64
import json
import secrets
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ada_otel.sentry_bridge import Bridge, Destination, EventSettings, Sender
from tests.support.process import run_program
from tests.unit.sentry_bridge.fake_sentry import FakeSentry, fake_sentry
from tests.unit.sentry_bridge.serving import serving
from tools.demo.arrivals import BackEnds, wait_for
from tools.stack import Stack

pytestmark = pytest.mark.integration

APP = """
import logging, os, sys
import flask, redis, sqlalchemy, structlog
import ada_otel, ada_otel.logs
from ada_otel import business
from opentelemetry import trace
from opentelemetry._logs import get_logger_provider
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.trace import Status, StatusCode

app = flask.Flask("leaky")
ada_otel.setup(app)
get_logger_provider().add_log_record_processor(
    BatchLogRecordProcessor(OTLPLogExporter(endpoint=os.environ["BRIDGE"] + "/v1/logs"))
)
log = logging.getLogger("leaky")
engine = sqlalchemy.create_engine("sqlite://")
store = redis.Redis.from_url(os.environ["REDIS_URL"])
S = json.loads(os.environ["SECRETS"])

def connect(**_options):
    raise ConnectionError("no connection")

@app.post("/form")
def form():
    request = flask.request
    log.info("form %s", request.form.to_dict())
    log.info("headers", extra={"headers": dict(request.headers)})
    log.info("cookies", extra={"data": [{"cookies": dict(request.cookies)}]})
    return "ok"

@app.get("/texts")
def texts():
    log.warning("paid with %s", S["card_message"])
    log.warning("paid", extra={"number": int(S["card_number"]), "list": [S["card_list"]]})
    log.info("signed in as %s", S["jwt"])
    log.info("Authorization: Bearer %s", S["bearer"])
    log.info("key: %s", S["private_key"])
    log.info("connecting to postgresql://app:%s@db.internal:5432/shop", S["database_url"])
    log.info("asking https://user:%s@ai.internal/v1/chat", S["ai_url"])
    log.info("config", extra={"api_key": S["extra"], "nested": {"deep": {"client_secret": S["nested"]}}})
    log.info('{"user": "ada", "password": "%s"}', S["json_text"])
    structlog.get_logger("leaky.structlog").info("event", access_token=S["structlog"])
    ada_otel.logs.get_logger("leaky.ours").info("event", refresh_token=S["ours"])
    where = "redis://:" + S["alert"] + "@cache:6379/0"
    business.alert("high", "cannot reach " + where, {"password": S["alert_detail"]})
    return "ok"

@app.get("/errors")
def errors():
    try:
        try:
            raise ValueError("token=" + S["cause"])
        except ValueError as cause:
            raise RuntimeError("password=" + S["exception"]) from cause
    except RuntimeError:
        log.exception("failed")
    try:
        connect(host="db", password="SOURCE_LINE")
    except ConnectionError:
        log.exception("not connected")
    raise LookupError("api_key: " + S["unhandled"])

@app.get("/spans")
def spans():
    span = trace.get_current_span()
    span.set_attribute("user.password", S["span_attribute"])
    span.set_attribute("note", "bearer " + S["span_text"])
    span.add_event("step", {"session.token": S["span_event"]})
    span.record_exception(ValueError("secret=" + S["span_exception"]))
    span.set_status(Status(StatusCode.ERROR, "passwd=" + S["span_status"]))
    return "ok"

@app.get("/data")
def data():
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text("create table a (id integer primary key, b text)"))
        connection.execute(sqlalchemy.text(f"insert into a (id, b) values (1, '{S['sql_literal']}')"))
    try:
        with engine.begin() as connection:
            connection.execute(sqlalchemy.text("insert into a values (1, :b)"), {"b": S["sql_parameter"]})
    except sqlalchemy.exc.IntegrityError:
        log.exception("not inserted")
    store.set("leak-test", S["redis_value"], ex=60)
    log.info("stored", extra={"command": ["SET", "session_token", S["redis_command"]]})
    return "ok"

client = app.test_client()
client.set_cookie("session_id", S["cookie"])
client.post("/form?api_key=" + S["query"], data={"user": "ada", "password": S["form"]},
            headers={"X-Auth-Token": S["header"], "Authorization": "Bearer " + S["authorization"],
                     "X-Request-ID": S["request_id"]})
for path in ("/texts", "/errors", "/spans", "/data"):
    client.get(path)
"""

#: Lines that are waited for: errors go before the others, in batches of their own.
LAST = ("failed", "not connected", "not inserted", "stored", "event", "config", "Exception on /errors [GET]")

#: What no channel shows, redacted or not: the stock instrumentation leaves values out of commands.
NEVER_SHOWN = {"redis_value"}

PLAIN = (
    *("form", "query", "cookie", "header", "authorization", "bearer", "database_url", "ai_url", "extra"),
    *("nested", "json_text", "structlog", "ours", "alert", "alert_detail", "cause", "exception", "unhandled"),
    *("span_attribute", "span_text", "span_event", "span_exception", "span_status", "sql_literal"),
    *("sql_parameter", "redis_value", "redis_command", "source_line"),
)


def card_number() -> str:
    digits = "4" + "".join(secrets.choice("0123456789") for _ in range(14))
    doubled = [int(digit) * (2 if place % 2 == 0 else 1) for place, digit in enumerate(digits)]
    return digits + str(-sum(number - 9 * (number > 9) for number in doubled) % 10)


def jwt() -> str:
    def part(value: dict[str, str]) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    return f"{part({'alg': 'HS256'})}.{part({'sub': secrets.token_hex(8)})}.{secrets.token_urlsafe(24)}"


def new_secrets() -> dict[str, str]:
    """One for each channel; none is part of another."""
    found = {name: f"{secrets.token_hex(10)}x" for name in PLAIN}
    found |= {name: card_number() for name in ("card_message", "card_number", "card_list")}
    found |= {"jwt": jwt(), "request_id": jwt()}
    body = base64.b64encode(secrets.token_bytes(48)).decode()
    found["private_key"] = f"-----BEGIN RSA PRIVATE KEY-----\n{body}\n-----END RSA PRIVATE KEY-----"
    return found


def looked_for(name: str, secret: str) -> bytes:
    """The bytes that would give the secret away, in a form that no encoding of text changes."""
    return (secret.splitlines()[1] if name == "private_key" else secret).encode()


@dataclass
class Run:
    """What one run of the app left behind, in bytes, by place."""

    secrets: dict[str, str]
    places: dict[str, bytes]

    def leaks(self) -> dict[str, list[str]]:
        """By secret, the places where it was found."""
        found = {
            name: [place for place, data in self.places.items() if looked_for(name, secret) in data]
            for name, secret in self.secrets.items()
        }
        return {name: places for name, places in found.items() if places}


def drive(stack: Stack, bridge: Bridge, sentry: FakeSentry, folder: Path, redaction: str) -> Run:
    service = f"leaks-{redaction}-{time.time_ns()}"
    hidden = new_secrets()
    environment = {
        **stack.app_env(),
        "OTEL_SERVICE_NAME": service,
        "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_REQUEST": ".*",
        "ADA_OTEL_RAISE": "true",
        "ADA_OTEL_REDACTION": redaction,
        "ADA_OTEL_LOG_FILE": "true",
        "BRIDGE": bridge.url,
        "SECRETS": json.dumps(hidden),
    }
    folder.mkdir()
    source = "import json\n" + APP.replace("SOURCE_LINE", hidden["source_line"])
    done = run_program(source, folder, environment=environment, timeout=180)
    assert done.returncode == 0, done.stderr
    back_ends = BackEnds(
        stack.url("prometheus"), stack.url("elasticsearch"), stack.url("sentry_sink"), service
    )
    documents = wait_for(
        lambda: [back_ends.search(index, size=500) for index in ("ada-logs-*", "ada-traces-*")],
        lambda found: (
            {*LAST} <= {one["body"]["text"] for one in found[0]}
            and completed(found[0]) >= 5
            and sum("/" in one.get("name", "") for one in found[1]) >= 5
        ),
    )
    wait_for(lambda: sentry.events, lambda found: sum(service in str(event) for event in found) >= 4)
    series = wait_for(lambda: in_prometheus(stack, service), lambda found: b"/errors" in found)
    return Run(
        hidden,
        {
            "log file": b"".join(file.read_bytes() for file in (folder / "logs").iterdir()),
            "elasticsearch": json.dumps(documents, ensure_ascii=False).encode(),
            "prometheus": series,
            "sentry, by OTLP": json.dumps(back_ends.sentry(), ensure_ascii=False).encode(),
            "sentry, by the bridge": json.dumps(list(sentry.events), ensure_ascii=False).encode(),
            "the collector's log": stack.log("otelcol").read_bytes(),
            "the collector's and the sink's files": b"".join(
                file.read_bytes()
                for server in ("otelcol", "sentry_sink")
                for file in (stack.state_dir / "data" / server).rglob("*")
                if file.is_file()
            ),
        },
    )


def completed(logs: list[dict[str, Any]]) -> int:
    return sum(one["body"]["text"] == "Request completed" for one in logs)


def in_prometheus(stack: Stack, service: str) -> bytes:
    """All labels and exemplars of the service, as Prometheus answers."""
    selector = f'{{service_name="{service}"}}'
    now = time.time()
    queries: dict[str, dict[str, Any]] = {
        "series": {"match[]": selector},
        "query_exemplars": {"query": selector, "start": now - 600, "end": now},
    }
    found = b""
    for path, arguments in queries.items():
        url = f"{stack.url('prometheus')}/api/v1/{path}?{urllib.parse.urlencode(arguments)}"
        with urllib.request.urlopen(url, timeout=10) as answer:
            found += answer.read()
    return found


@pytest.fixture(scope="module")
def runs(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Run]]:
    folder = tmp_path_factory.mktemp("leaks")
    with fake_sentry() as sentry:
        sender = Sender(Destination.from_dsn(sentry.dsn))
        with (
            serving(Bridge(("127.0.0.1", 0), sender, EventSettings())) as bridge,
            ThreadPoolExecutor() as pool,
        ):
            under_way = {
                redaction: pool.submit(drive, stack, bridge, sentry, folder / redaction, redaction)
                for redaction in ("true", "false")
            }
            yield {redaction: one.result() for redaction, one in under_way.items()}


def test_no_secret_is_anywhere(runs: dict[str, Run]) -> None:
    assert runs["true"].leaks() == {}


def test_without_redaction_each_would_have_been_found(runs: dict[str, Run]) -> None:
    run = runs["false"]
    leaks = run.leaks()
    assert set(run.secrets) - set(leaks) == NEVER_SHOWN
    everywhere = {"log file", "elasticsearch", "sentry, by OTLP", "sentry, by the bridge"}
    assert everywhere - set(leaks["exception"]) == set()
    # The bridge redacts the lines of source that it reads itself, by its own settings.
    assert everywhere - set(leaks["source_line"]) <= {"sentry, by the bridge"}
    assert {"elasticsearch", "sentry, by OTLP"} <= set(leaks["span_attribute"])


def test_what_is_no_secret_is_still_there(runs: dict[str, Run]) -> None:
    places = runs["true"].places
    for text in (b"postgresql://app:[redacted]@db.internal:5432/shop", b"no connection", b"not inserted"):
        assert text in places["elasticsearch"]
        assert text in places["log file"]
