"""Error analysis: what fails, where, since when, and the log lines of it."""

from __future__ import annotations

from ada_otel.dashboards._bounds import ANY, from_alerts
from ada_otel.dashboards._expr import legend, rate, ratio, recorded, total
from ada_otel.dashboards._model import Dashboard, Panel, Query, Row, Search
from ada_otel.dashboards._red import FAILED, REQUESTS, error_ratio, figures

_EXCEPTION = "attributes.exception.type"
_DATABASE = "db.client.operation.duration"

_WHERE = (
    Panel(
        20,
        "Failed requests by route",
        "Per second: server errors, by method and route.",
        "reqps",
        (
            Query(
                rate(REQUESTS, ("http.request.method", "http.route"), FAILED, part="count"),
                legend("http.request.method", "http.route"),
                exemplar=True,
            ),
        ),
        bounds=ANY,
    ),
    Panel(
        21,
        "Answers by status",
        "Per second, of status 400 and higher. Without a status: the app raised through.",
        "reqps",
        (
            Query(
                rate(
                    REQUESTS,
                    ("http.response.status_code",),
                    {"http.response.status_code": '=~"4..|5..|"'},
                    part="count",
                ),
                legend("http.response.status_code"),
            ),
        ),
        stacked=True,
    ),
    Panel(
        22,
        "Failed requests by version",
        "Share of requests, by version of the service: a new release that fails more stands out.",
        "percentunit",
        (Query(error_ratio(("service.version",)), legend("service.version")),),
        bounds=from_alerts(critical="ErrorRateHigh"),
    ),
    Panel(
        23,
        "Failed database and Redis operations",
        "Share of operations, by product. DatabaseErrors and RedisErrors fire at 1 %.",
        "percentunit",
        (
            Query(
                ratio(
                    rate(_DATABASE, ("db.system.name",), {"error.type": '!=""'}, part="count"),
                    rate(_DATABASE, ("db.system.name",), part="count"),
                ),
                legend("db.system.name"),
            ),
        ),
        bounds=from_alerts(critical="DatabaseErrors"),
    ),
    Panel(
        24,
        "Failed Socket.IO events",
        "Share of event handlers that ended in an error, over 5 minutes. SocketioErrors fires at 5 %.",
        "percentunit",
        (Query(recorded("service:socketio_server_event_errors:ratio5m"), "{{job}}"),),
        bounds=from_alerts(high="SocketioErrors"),
    ),
    Panel(
        25,
        "Alerts raised by the app",
        "Within the time shown: calls of ada_otel.alert, by severity.",
        "short",
        (Query(total("ada.alerts", ("ada.alert.severity",)), legend("ada.alert.severity")),),
        shape="bars",
        bounds=ANY,
    ),
)
_WHAT = (
    Panel(
        30,
        "Exceptions by class",
        "Logged per second, the ten most frequent. NewExceptionType fires at one not seen for 7 days.",
        "cps",
        (Query(f"topk(10, {rate('ada.exceptions', ('exception.type',))})", legend("exception.type")),),
        width=12,
    ),
    Panel(
        31,
        "Log lines by severity",
        "Per second, from WARN up. CriticalLogLine fires at the first FATAL line (CRITICAL in Python).",
        "cps",
        (
            Query(
                rate("ada.log.records", ("ada.log.severity",), {"ada.log.severity": '=~"WARN|ERROR|FATAL"'}),
                legend("ada.log.severity"),
            ),
        ),
        width=12,
        stacked=True,
    ),
    Panel(
        32,
        "Error groups",
        "Log lines with an exception within the time shown, by its class and the logger.",
        "short",
        (Search(f"_exists_:{_EXCEPTION}", (_EXCEPTION, "scope.name")),),
        shape="groups",
        width=12,
    ),
    Panel(
        33,
        "Exceptions by route",
        "Within the time shown, by route and class.",
        "short",
        (
            Query(
                f"topk(15, {total('ada.exceptions', ('http.route', 'exception.type'))})",
                legend("http.route", "exception.type"),
            ),
        ),
        shape="bars",
        width=12,
    ),
)
_LINES = (
    Panel(
        40,
        "Error logs",
        "Lines of level ERROR and higher. Open one: its trace_id leads to all lines of its trace.",
        "short",
        (Search("severity_number:>=17"),),
        shape="logs",
        width=24,
        height=12,
    ),
    Panel(
        41,
        "Log lines of a trace",
        "All levels. Put a trace id into the field above, or follow one from another panel.",
        "short",
        (Search("trace_id:$trace_id"),),
        shape="logs",
        width=24,
        height=12,
    ),
)

ERRORS = Dashboard(
    "ada-error-analysis",
    "ADA / Error analysis",
    "What fails, where, since when, and the log lines of it.",
    (
        Row(1, "Rate, errors, duration", figures(10)),
        Row(2, "Where it fails", _WHERE),
        Row(3, "What fails", _WHAT),
        Row(4, "Log lines", _LINES),
    ),
    texts=(("trace_id", "Trace id", "*"),),
)
