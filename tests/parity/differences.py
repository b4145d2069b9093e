"""The one table of what our telemetry does on purpose in another way than stock, with the reasons.

``tests/parity`` uses it to turn stock's telemetry into what is expected of ours; ``docs/differences.md`` is
written from it: ``python -m tests.parity.differences``.
"""

# ruff: noqa: E501 - each text is one cell of a table

from __future__ import annotations

import copy
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Record = dict[str, Any]
Adjust = Callable[[Record, Record], Record]

PAGE = Path(__file__).parents[2] / "docs" / "differences.md"


@dataclass(frozen=True)
class Difference:
    """One difference.

    Attributes:
        key: Its name in the cases.
        stock: What stock does.
        ours: What ours do.
        reason: Why.
        adjust: From the records of stock and ours to what is expected of ours; None where a test, named in
            ``shown_by``, shows it.
        shown_by: The test that shows it, where it is not a case of the parity test.
    """

    key: str
    stock: str
    ours: str
    reason: str
    adjust: Adjust | None = None
    shown_by: str = ""


def _flask_spans(record: Record) -> list[Record]:
    return [span for span in record["spans"] if span["scope"][0].endswith("flask")]


def _duration(record: Record) -> list[Record]:
    return [metric for metric in record["metrics"] if metric["metric"][0] == "http.server.request.duration"]


def _name_by_method(stock: Record, ours: Record) -> Record:
    for span in _flask_spans(stock):
        if "http.route" not in span["attributes"]:
            span["name"] = span["name"].partition(" ")[0]
    for metric in _duration(stock):
        for point in metric["points"]:
            if "http.route" not in point["attributes"]:
                point["exemplars"] = sorted({name.partition(" ")[0] for name in point["exemplars"]})
    return stock


def _with_error_type(stock: Record, ours: Record) -> Record:
    for span in _flask_spans(stock):
        (event,) = span["events"]
        span["attributes"]["error.type"] = event[1]["exception.type"]
    assert not _duration(stock)
    (duration,) = _duration(ours)
    (point,) = duration["points"]
    first = _flask_spans(stock)[0]["attributes"]
    assert point["count"] == len(_flask_spans(stock))
    keys = ("error.type", "http.request.method", "http.route", "network.protocol.version", "url.scheme")
    assert point["attributes"] == {key: first[key] for key in keys}
    stock["metrics"].append(duration)
    return stock


def _ended_by_body(stock: Record, ours: Record) -> Record:
    for mine, theirs in zip(_flask_spans(ours), _flask_spans(stock), strict=True):
        assert theirs["status"] == ["UNSET", None]
        assert mine["status"] == ["ERROR", "OSError: midway"]
        assert [event[1]["exception.message"] for event in mine["events"]] == ["midway"]
        theirs["status"], theirs["events"] = mine["status"], mine["events"]
    return stock


def _uncounted(stock: Record, ours: Record) -> Record:
    assert not stock["spans"]
    assert [metric["metric"][0] for metric in stock["metrics"]] == ["http.server.active_requests"]
    stock["metrics"] = []
    return stock


def _children_of_server_span(stock: Record, ours: Record) -> Record:
    (server,) = _flask_spans(stock)
    for span in stock["spans"]:
        if span is not server:
            assert span["parent"] is None
            span["parent"] = server["name"]
    return stock


def _contained_hook(stock: Record, ours: Record) -> Record:
    assert stock["notes"]["answers"][0][0].startswith("500")
    (answer,) = ours["notes"]["answers"]
    assert answer[:2] == ["200 OK", "plain"]
    (span,) = _flask_spans(ours)
    assert span["status"] == ["UNSET", None]
    return ours


def _real_connections(stock: Record, ours: Record) -> Record:
    per_checkout = [span for span in stock["spans"] if span["name"] == "connect"]
    real = [span for span in ours["spans"] if span["name"] == "connect"]
    assert len(real) == ours["notes"]["connections"] < len(per_checkout)
    assert all(span in per_checkout for span in real)
    stock["spans"] = [span for span in stock["spans"] if span["name"] != "connect"] + real
    return stock


def _observed_pools(stock: Record, ours: Record) -> Record:
    if stock["notes"].get("uninstrumented"):
        assert not ours["metrics"]
        stock["metrics"] = []
        return stock
    assert not stock["metrics"]
    (usage,) = ours["metrics"]
    assert usage["metric"][0] == "db.client.connections.usage"
    assert [point["value"] for point in usage["points"]] == [0, 0]
    stock["metrics"] = ours["metrics"]
    return stock


def _traced_anyway(stock: Record, ours: Record) -> Record:
    # Engine.connect is wrapped on the class, so that stock has a span for the checkout and none for the query.
    assert [span["name"] for span in stock["spans"]] == ["connect"]
    (span,) = (span for span in ours["spans"] if span["name"] != "connect")
    assert (span["name"], span["attributes"]["db.query.text"]) == ("SELECT :memory:", "SELECT 1")
    return ours


#: What stock has not: taken off before metrics are compared.
ADDED_METRICS = (
    "ada.cache.lookups",
    "db.client.connection.max",
    "db.client.connection.pending_requests",
    "db.client.connection.timeouts",
    "db.client.operation.duration",
    "http.server.request.body.size",
    "http.server.response.body.size",
)

DIFFERENCES: tuple[Difference, ...] = (
    Difference(
        "more-metrics",
        "There are no such metrics.",
        "There are " + ", ".join(f"`{name}`" for name in ADDED_METRICS) + ".",
        "The stable conventions have them, and databases and caches are where the time goes.",
        shown_by="tests/unit/catalogue/test_application.py",
    ),
    Difference(
        "span-covers-request",
        "The server span starts in a `before_request` function.",
        "It starts in a wrapper around `app.wsgi_app`, before Flask does anything. A WSGI middleware that was put "
        "around `app.wsgi_app` before the app was instrumented is inside it.",
        "Session loading and earlier `before_request` functions made traces of their own.",
        _children_of_server_span,
    ),
    Difference(
        "unmatched-name",
        "A request without a route is named `GET /the/path`.",
        "It is named by its method alone: `GET`.",
        "Paths have no bound: one scanner makes thousands of span names. The semantic conventions forbid it.",
        _name_by_method,
    ),
    Difference(
        "stream-end",
        "The span and the duration of a streamed response end before the body has been sent.",
        "They end with the body: sent, closed early, or failed, with the error.",
        "The body is the work.",
        _ended_by_body,
    ),
    Difference(
        "raised-through",
        "No duration is recorded for a request whose exception goes through the app.",
        "It is recorded, and `error.type` is on the point and on the span, also for SystemExit and its like.",
        "Error rates are computed from that histogram.",
        _with_error_type,
    ),
    Difference(
        "excluded-urls",
        "Requests to excluded URLs count in `http.server.active_requests`.",
        "They do not.",
        "Excluded means excluded.",
        _uncounted,
    ),
    Difference(
        "hook-errors",
        "An error in a request or response hook of Flask fails the request.",
        "It is reported once, and the request goes on.",
        "Telemetry never breaks the app.",
        _contained_hook,
    ),
    Difference(
        "capture-read-once",
        "The variables for header capture are read in every request.",
        "They are read when the app is instrumented.",
        "10 µs per request, mostly with nothing to capture.",
        shown_by="tests/upstream/test_upstream_suites.py",
    ),
    Difference(
        "connect-span",
        "There is a `connect` span for every checkout from the pool.",
        "There is one for each real connection, and one for each that fails; none for connections that a `creator` "
        "function makes.",
        "A checkout takes microseconds and says nothing; its span cost more than the query's.",
        _real_connections,
    ),
    Difference(
        "pool-usage",
        "`db.client.connections.usage` is added to on each checkout and checkin.",
        "It is observed when metrics are collected, from an engine's first use until instrumentation ends, also "
        "while it is zero, and also for work under `suppress_instrumentation()`.",
        "40 µs per query; and the stock sum stays wrong for ever once one event is missed.",
        _observed_pools,
    ),
    Difference(
        "every-engine",
        "SQLAlchemy 2.1 is refused; engines are traced if they were made by a wrapped function after "
        "instrumentation and outside of `suppress_instrumentation()`.",
        "Every engine of the process is traced from its next connection on, also on 2.1.",
        "Which engines were traced depended on the order of imports.",
        _traced_anyway,
    ),
    Difference(
        "request-id",
        "The server span has no request id.",
        "It has `request_id`, and the answer has `X-Request-ID`, unless `ADA_OTEL_REQUESTS=false`.",
        "Log lines, answers and spans of one request are found by one id.",
        shown_by="tests/unit/web/test_request_ways.py",
    ),
    Difference(
        "redacted",
        "Attributes, events and statuses are sent as they were recorded.",
        "Secrets in them are replaced by `[redacted]`, unless `ADA_OTEL_REDACTION=false`.",
        "What a query string, an error or a statement holds must not leave the process.",
        shown_by="tests/integration/test_leaks.py",
    ),
    Difference(
        "unsampled",
        "Attributes are computed for spans that are not sampled, too.",
        "They are computed for recorded spans only, unless the sampler is one that reads them.",
        "Most of the work at 1 % sampling.",
        shown_by="tests/unit/pipeline/test_tracing_sampling.py",
    ),
    Difference(
        "attributes-at-start",
        "Database and Redis spans get their attributes after they are started.",
        "They have them from the start: samplers and `on_start` see them.",
        "The tracing API recommends it, and it is one operation instead of ten.",
        shown_by="tests/unit/pipeline/test_tracing_sampling.py",
    ),
)


def expected(stock: Record, ours: Record, keys: tuple[str, ...]) -> Record:
    """Give what ours should have recorded, from what stock did and the differences that apply."""
    found = copy.deepcopy(stock)
    by_key = {difference.key: difference for difference in DIFFERENCES}
    for key in keys:
        adjust = by_key[key].adjust
        assert adjust is not None, key
        found = adjust(found, copy.deepcopy(ours))
    return ordered(found)


def without_additions(record: Record) -> Record:
    """Give a record without the metrics that stock has not."""
    kept = [metric for metric in record["metrics"] if metric["metric"][0] not in ADDED_METRICS]
    return {**record, "metrics": kept}


def ordered(record: Record) -> Record:
    """Give a record whose lists are in their canonical order."""
    return {**record, **{name: sorted(record[name], key=repr) for name in ("spans", "metrics")}}


def page() -> str:
    """Give the text of ``docs/differences.md``."""
    rows = "\n".join(f"| `{d.key}` | {d.stock} | {d.ours} | {d.reason} |" for d in DIFFERENCES)
    return (
        "# Differences from the stock instrumentations\n\n"
        "Written from `tests/parity/differences.py` by `python -m tests.parity.differences`; do not edit.\n\n"
        "Spans and metrics are those of the stock instrumentations for Flask, SQLAlchemy and Redis under the stable\n"
        "conventions, but for what is listed here. `tests/parity` sends the same requests through both and compares\n"
        "every span, attribute, event, link, status, parent, metric point and exemplar. With\n"
        "`ADA_OTEL_FAST_PATH=false`, or other conventions, the stock code serves and only `every-engine`, `request-id` and\n"
        "`redacted` hold.\n\n"
        "| Name | Stock | ada-otel | Reason |\n| --- | --- | --- | --- |\n"
        f"{rows}\n"
    )


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    sys.stdout.write(f"{PAGE}\n")
