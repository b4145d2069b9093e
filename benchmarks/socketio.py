"""CPU of one Socket.IO event, bare and instrumented, in one process and interleaved.

Run ``python -m benchmarks.socketio [--rounds N] [--json FILE]``. Beside it stands what the stock Flask
instrumentation adds to a plain request in the same run: absolute figures do not travel between machines.
Recording is measured, not encoding and sending.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import flask
import socketio
from opentelemetry.instrumentation.flask import FlaskInstrumentor
from opentelemetry.sdk.metrics import MeterProvider as StockMeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider as StockTracerProvider

from ada_otel.instrument.socketio import SocketIOInstrumentor
from ada_otel.pipeline.metrics import MeterProvider
from ada_otel.pipeline.tracing.provider import TracerProvider

EVENTS = 300
EVENT = '2/chat,7["message",{"text":"hello","room":"all"}]'


def _server() -> Callable[[], Any]:
    """A server with one client; what it sends goes nowhere. Gives the function that receives an event."""
    server = socketio.Server(async_mode="threading", async_handlers=False)
    server.eio.send = lambda *_arguments: None
    server.on("message", lambda _sid, _data: {"ok": True}, namespace="/chat")
    server._handle_eio_connect("client", {})
    server._handle_eio_message("client", "0/chat,")
    return lambda: server._handle_eio_message("client", EVENT)


def _app(instrumented: bool) -> Callable[[], Any]:
    app = flask.Flask("bench")
    app.add_url_rule("/plain", view_func=lambda: "ok", endpoint="plain")
    if instrumented:
        FlaskInstrumentor.instrument_app(
            app,
            tracer_provider=StockTracerProvider(),
            meter_provider=StockMeterProvider([InMemoryMetricReader()]),
        )
    environ = app.test_request_context("/plain").request.environ
    return lambda: list(app.wsgi_app(dict(environ), lambda *_arguments: lambda _data: None))


def _cpu(call: Callable[[], Any]) -> float:
    began = time.process_time()
    for _ in range(EVENTS):
        call()
    return (time.process_time() - began) / EVENTS * 1e6


def measure(rounds: int) -> dict[str, Any]:
    """Take the measures.

    Args:
        rounds: How often each has its turn, after one to warm up.

    Returns:
        µs of process CPU, least and median of the rounds, for each way; what is added; its ratio to the bare
        handler; and its share of what stock adds to a plain Flask request.
    """
    instrumentor = SocketIOInstrumentor()
    plain, traced = _app(instrumented=False), _app(instrumented=True)
    taken: dict[str, list[float]] = {}
    for turn in range(rounds + 1):
        spent = {"event, bare": _cpu(_server())}
        instrumentor.instrument(
            tracer_provider=TracerProvider(shutdown_on_exit=False),
            meter_provider=MeterProvider([InMemoryMetricReader()], shutdown_on_exit=False),
        )
        try:
            spent["event, instrumented"] = _cpu(_server())
        finally:
            instrumentor.uninstrument()
        spent["Flask request, bare"] = _cpu(plain)
        spent["Flask request, stock"] = _cpu(traced)
        if turn:
            for name, value in spent.items():
                taken.setdefault(name, []).append(value)
    least = {name: min(values) for name, values in taken.items()}
    added = least["event, instrumented"] - least["event, bare"]
    stock = least["Flask request, stock"] - least["Flask request, bare"]
    return {
        "unit": "us of process CPU",
        "rounds": rounds,
        "least": least,
        "median": {name: statistics.median(values) for name, values in taken.items()},
        "added": added,
        "ratio_to_bare": least["event, instrumented"] / least["event, bare"],
        "stock_adds_to_flask": stock,
        "of_stock": added / stock,
        "goal_of_stock": 30 / 237,
    }


def main() -> int:
    """Measure, print, and add the figures under ``socketio`` to a file of results if asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", type=Path, metavar="FILE", help="add the figures to this file of results")
    options = parser.parse_args()
    figures = measure(options.rounds)
    print(json.dumps(figures, indent=1))
    if options.json:
        results = json.loads(options.json.read_text(encoding="utf-8")) if options.json.exists() else {}
        results["socketio"] = figures
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
