"""Secrets in spans of a tracer provider that the app has set before ada-otel came."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.process import run_program

SECRET = "hunter2-hunter2-hunter2"

PROGRAM = """
import json, logging, sys
import flask
from opentelemetry import trace
from opentelemetry.sdk import trace as sdk
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
import ada_otel

SECRET, kind = sys.argv[1:]
provider = sdk.TracerProvider(active_span_processor=getattr(sdk, kind)())
before, after = InMemorySpanExporter(), InMemorySpanExporter()
provider.add_span_processor(SimpleSpanProcessor(before))
trace.set_tracer_provider(provider)
tracer = trace.get_tracer("made before")
app = flask.Flask("shop")

@app.get("/pay")
def pay():
    with tracer.start_as_current_span("pay", links=[trace.Link(
        trace.get_current_span().get_span_context(), {"session.token": SECRET}
    )]) as span:
        span.set_attribute("card.password", SECRET)
        span.add_event("step", {"note": "token=" + SECRET})
        raise ValueError("api_key=" + SECRET)

ada_otel.setup(app)
ada_otel.setup(app)
provider.add_span_processor(SimpleSpanProcessor(after))
headers = {"traceparent": "00-" + "1" * 32 + "-" + "2" * 16 + "-01", "tracestate": "vendor=1,token=" + SECRET}
app.test_client().get("/pay?access_token=" + SECRET, headers=headers)
found = [exporter.get_finished_spans() for exporter in (before, after)]
print(json.dumps([[json.loads(span.to_json()) for span in spans] for spans in found]))
"""


def _spans(folder: Path, kind: str, **settings: str) -> list[list[dict[str, Any]]]:
    source = PROGRAM.replace("sys.argv[1:]", repr((SECRET, kind)))
    done = run_program(source, folder, environment={"ADA_OTEL_RAISE": "true", **settings})
    assert done.returncode == 0, done.stderr
    found: list[list[dict[str, Any]]] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("kind", ["SynchronousMultiSpanProcessor", "ConcurrentMultiSpanProcessor"])
def test_no_processor_of_the_apps_own_provider_gets_one(tmp_path: Path, kind: str) -> None:
    before, after = _spans(tmp_path, kind)
    assert before == after
    assert SECRET not in json.dumps(before)
    pay, request = before
    assert (pay["name"], request["name"]) == ("pay", "GET /pay")
    assert pay["attributes"] == {"card.password": "[redacted]"}
    assert pay["links"][0]["attributes"] == {"session.token": "[redacted]"}
    step, error = pay["events"]
    assert step["attributes"] == {"note": "token=[redacted]"}
    assert error["attributes"]["exception.message"] == "api_key=[redacted]"
    assert pay["status"]["description"] == "ValueError: api_key=[redacted]"
    assert request["attributes"]["url.query"] == "access_token=[redacted]"
    states = {span["context"]["trace_state"] for span in before}
    assert states == {"['{key=vendor, value=1}', '{key=token, value=[redacted]}']"}


def test_switched_off_they_are_as_the_app_made_them(tmp_path: Path) -> None:
    before, after = _spans(tmp_path, "SynchronousMultiSpanProcessor", ADA_OTEL_REDACTION="false")
    assert before == after
    assert before[0]["attributes"] == {"card.password": SECRET}
    assert before[1]["attributes"]["url.query"] == f"access_token={SECRET}"
