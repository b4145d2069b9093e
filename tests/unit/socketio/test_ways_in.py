"""The ways in: the launcher and setup(), before and after the library is imported, fast path and stock."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from tests.support.otlp_receiver import otlp_receiver
from tests.support.process import run_program

IMPORTS = "from flask import Flask\nfrom flask_socketio import SocketIO\n"
APP = textwrap.dedent("""
    app = Flask("chat")
    sio = SocketIO(app, async_mode="threading")
    sio.on_event("hello", lambda data: {"ok": True}, namespace="/chat")
""")
SETUP = "import ada_otel\nada_otel.setup()\n"
DRIVE = textwrap.dedent("""
    client = sio.test_client(app, namespace="/chat")
    print(client.emit("hello", 1, namespace="/chat", callback=True))
    client.disconnect(namespace="/chat")
""")
PROGRAMS = {
    "launcher": IMPORTS + APP + DRIVE,
    "setup before": SETUP + IMPORTS + APP + DRIVE,
    "setup between": IMPORTS + SETUP + APP + DRIVE,
    "setup after": IMPORTS + APP + SETUP + DRIVE,
}
SPANS = ["connect /chat", "disconnect /chat", "hello /chat"]


@pytest.mark.parametrize(
    ("way", "fast", "spans"),
    [
        ("launcher", "true", SPANS),
        ("launcher", "false", SPANS),
        ("setup before", "true", SPANS),
        ("setup between", "true", SPANS),
        ("setup after", "false", SPANS),
    ],
)
def test_each_way_in(way: str, fast: str, spans: list[str], tmp_path: Path) -> None:
    with otlp_receiver() as received:
        environment = {
            "OTEL_SERVICE_NAME": "chat",
            "OTEL_EXPORTER_OTLP_ENDPOINT": received.endpoint,
            "ADA_OTEL_RAISE": "true",
            "ADA_OTEL_FAST_PATH": fast,
        }
        done = run_program(PROGRAMS[way], tmp_path, launcher=way == "launcher", environment=environment)
    assert "{'ok': True}" in done.stdout, done.stderr
    found = [span for span in received.spans() if span["scope"] == "ada_otel.instrument.socketio"]
    assert sorted(span["name"] for span in found) == spans
    metrics = {name for name, _, _ in received.points() if name.startswith("socketio.")}
    assert "socketio.server.event.duration" in metrics and "socketio.server.active_connections" in metrics


def test_it_is_switched_off_by_name_and_costs_nothing_unused(tmp_path: Path) -> None:
    unused = SETUP + "import sys\nassert not {'socketio', 'engineio', 'flask_socketio'} & set(sys.modules)\n"
    off = IMPORTS + SETUP + "import socketio\nassert not hasattr(socketio.Server.emit, '__wrapped__')\n"
    names = {"OTEL_SDK_DISABLED": "false", "OTEL_TRACES_EXPORTER": "none", "OTEL_METRICS_EXPORTER": "none"}
    names |= {"OTEL_LOGS_EXPORTER": "none", "OTEL_SERVICE_NAME": "chat"}
    assert run_program(unused, tmp_path, environment=names).returncode == 0
    names["OTEL_PYTHON_DISABLED_INSTRUMENTATIONS"] = "socketio"
    assert run_program(off, tmp_path, environment=names).returncode == 0


LOGGED = textwrap.dedent("""
    import logging

    @sio.on("boom", namespace="/chat")
    def boom(_data):
        logging.getLogger("chat").warning("within")
        raise ValueError("no")

    @sio.on_error("/chat")
    def answer(error):
        return {"ok": False}

    client = sio.test_client(app, namespace="/chat", headers={"User-Agent": "drill/1"})
    client.emit("hello", 1, namespace="/chat", callback=True)
    client.emit("boom", 1, namespace="/chat", callback=True)
    client.disconnect(namespace="/chat")
""")


def test_the_request_log_has_a_line_for_each_event(tmp_path: Path) -> None:
    with otlp_receiver() as received:
        environment = {
            "OTEL_SERVICE_NAME": "chat",
            "OTEL_EXPORTER_OTLP_ENDPOINT": received.endpoint,
            "ADA_OTEL_RAISE": "true",
        }
        done = run_program(SETUP + IMPORTS + APP + LOGGED, tmp_path, environment=environment)
    assert done.returncode == 0, done.stderr
    spans = {span["name"]: span for span in received.spans()}
    lines = [line for line in received.records() if line["body"] == "Event completed"]
    found = {line["attributes"]["socketio.event"]: line for line in lines}
    assert len(found) == len(lines)
    assert set(found) == {"hello", "boom"}
    for event, line in found.items():
        about = line["attributes"]
        assert (about["socketio.namespace"], about["user_agent.original"]) == ("/chat", "drill/1")
        assert about["duration_seconds"] >= 0
        assert (line["trace_id"], line["span_id"]) == (
            spans[f"{event} /chat"]["trace_id"],
            spans[f"{event} /chat"]["span_id"],
        )
        assert about["request_id"] == line["trace_id"]
    assert found["boom"]["attributes"]["error.type"] == "ValueError"
    assert "error.type" not in found["hello"]["attributes"]
    (within,) = [line for line in received.records() if line["body"] == "within"]
    assert within["attributes"]["request_id"] == found["boom"]["attributes"]["request_id"]
