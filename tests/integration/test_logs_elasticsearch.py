"""Log lines of every kind, from an app through the real collector into the real Elasticsearch, once each."""

from __future__ import annotations

import json
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ada_otel.analysis import ClientSettings, FileAnalyzer, LogAnalyzer, Selection
from tests.support.process import run_program
from tools.demo.app import get_json
from tools.demo.arrivals import BackEnds, wait_for
from tools.stack import Stack

pytestmark = pytest.mark.integration

APP = """
import logging, logging.config
import flask, structlog
import ada_otel

app = flask.Flask("shop")
ada_otel.setup(app)
logging.config.dictConfig({
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"console": {"class": "logging.StreamHandler"}},
    "root": {"level": "INFO", "handlers": ["console"]},
})
structlog.configure(
    processors=[structlog.stdlib.add_log_level, structlog.processors.JSONRenderer()],
    logger_factory=structlog.stdlib.LoggerFactory(),
    wrapper_class=structlog.stdlib.BoundLogger,
)
gunicorn = logging.getLogger("gunicorn.error")
gunicorn.propagate = False
gunicorn.setLevel("INFO")
gunicorn.addHandler(logging.StreamHandler())

@app.get("/tea/<int:cups>")
def tea(cups):
    logging.getLogger("shop.stdlib").info("stdlib: %d cups", cups, extra={"cups": cups, "user_id": 7})
    structlog.get_logger("shop.structlog").warning("structlog", cups=cups, request_id="r-1")
    ada_otel.logs.get_logger("shop.ours").info("ours", cups=cups)
    app.logger.warning("flask")
    gunicorn.info("gunicorn")
    try:
        try:
            raise OSError("no water")
        except OSError as cause:
            raise KeyError("kettle") from cause
    except KeyError:
        logging.getLogger("shop.stdlib").exception("tea failed", extra={"otel.event.name": "tea.failed"})
    return "ok"

import ada_otel.logs
assert app.test_client().get("/tea/3").status_code == 200
"""


@dataclass
class Run:
    """What one run left in Elasticsearch and in its log file."""

    service: str
    documents: list[dict[str, Any]]
    file: Path

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.file.read_text().splitlines()]

    def document(self, message: str) -> dict[str, Any]:
        (found,) = [one for one in self.documents if one["body"]["text"] == message]
        return found


EXPECTED = {"stdlib: 3 cups", "structlog", "ours", "flask", "gunicorn", "tea failed"}


@pytest.fixture(scope="module")
def run(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Run:
    service = f"logs-{time.time_ns()}"
    folder = tmp_path_factory.mktemp("logs")
    environment = {
        **stack.app_env(),
        "OTEL_SERVICE_NAME": service,
        "ADA_OTEL_RAISE": "true",
        "ADA_OTEL_LOG_FILE": "true",
    }
    done = run_program(APP, folder, environment=environment)
    assert done.returncode == 0, done.stderr
    back_ends = BackEnds(stack.url("prometheus"), stack.url("elasticsearch"), "", service)
    documents = wait_for(
        lambda: back_ends.search("ada-logs-*", size=1000), lambda found: len(found) >= len(EXPECTED)
    )
    time.sleep(2)  # what comes twice comes with the same batch, or the next
    documents = back_ends.search("ada-logs-*", size=1000)
    return Run(service, documents, folder / "logs" / "ada_app.log")


def test_each_line_is_there_once(run: Run) -> None:
    messages = Counter(one["body"]["text"] for one in run.documents)
    assert {message: messages[message] for message in EXPECTED} == dict.fromkeys(EXPECTED, 1)
    in_file = Counter(line["message"] for line in run.lines)
    assert {message: in_file[message] for message in EXPECTED} == dict.fromkeys(EXPECTED, 1)


def test_fields_of_a_stdlib_line(run: Run) -> None:
    found = run.document("stdlib: 3 cups")
    attributes = found["attributes"]
    assert (found["severity_text"], found["scope"]["name"]) == ("INFO", "shop.stdlib")
    assert (attributes["cups"], attributes["user_id"]) == (3, 7)
    assert attributes["code.function.name"] == "tea"
    assert Path(attributes["code.file.path"]).name == "program.py"
    assert attributes["http.route"] == "/tea/<int:cups>"
    assert attributes["request_id"]


def test_fields_of_a_structlog_line_that_was_rendered(run: Run) -> None:
    found = run.document("structlog")
    assert (found["severity_text"], found["scope"]["name"]) == ("WARN", "shop.structlog")
    assert (found["attributes"]["cups"], found["attributes"]["request_id"]) == (3, "r-1")
    assert found["attributes"]["code.function.name"] == "tea"


def test_fields_of_an_exception(run: Run) -> None:
    found = run.document("tea failed")
    attributes = found["attributes"]
    assert found["event_name"] == "tea.failed"
    assert (attributes["exception.type"], attributes["exception.message"]) == ("KeyError", "'kettle'")
    assert "OSError: no water" in attributes["exception.stacktrace"]


def test_an_event_is_found_by_its_name_in_both_places(run: Run, stack: Stack) -> None:
    for query in ("event.name:tea.failed", "event:tea.failed"):
        selection = Selection(query, service=run.service)
        with LogAnalyzer(ClientSettings(url=stack.url("elasticsearch"))) as analyzer:
            assert [entry.message for entry in analyzer.search(selection)] == ["tea failed"]
        assert [entry.message for entry in FileAnalyzer([str(run.file)]).search(selection)] == ["tea failed"]


def test_queries_that_use_the_old_names_go_on_working(run: Run, stack: Stack) -> None:
    """Asked of Elasticsearch itself, as the old monitoring code and Kibana do."""
    mine = f'resource.attributes.service.name:"{run.service}"'
    for query, messages in (
        ("level:ERROR AND message:failed", ["tea failed"]),
        ("message:cups AND timestamp:[now-1h TO now+1h]", ["stdlib: 3 cups"]),
        ("message:cups AND timestamp:[* TO now-1h]", []),
        ("logger:shop.ours", ["ours"]),
    ):
        body = {
            "query": {"query_string": {"query": f"{query} AND {mine}"}},
            "sort": [{"timestamp": "desc"}],
        }
        hits = get_json(f"{stack.url('elasticsearch')}/ada-logs-*/_search", body)["hits"]["hits"]
        assert [hit["_source"]["body"]["text"] for hit in hits] == messages, query


def test_all_are_of_one_trace_and_so_are_the_lines_of_the_file(run: Run) -> None:
    traces = {one["trace_id"] for one in run.documents if one["body"]["text"] in EXPECTED}
    assert len(traces) == 1
    assert {line["trace_id"] for line in run.lines if line["message"] in EXPECTED} == traces
    (failed,) = [line for line in run.lines if line["message"] == "tea failed"]
    assert failed["exception"]["causes"] == [{"type": "OSError", "message": "no water"}]
    assert (failed["function"], failed["module"]) == ("tea", "program")
