"""Application performance: how fast the service answers, and what holds it up."""

from __future__ import annotations

from ada_otel.dashboards._bounds import from_alerts
from ada_otel.dashboards._expr import legend, now, quantile, rate, select
from ada_otel.dashboards._model import Dashboard, Panel, Query, Row, Search
from ada_otel.dashboards._red import REQUESTS, error_ratio, figures, objectives

_ROUTE = ("http.request.method", "http.route")
_DATABASE = "db.client.operation.duration"
_DURATION = f"rate({select(REQUESTS, part='bucket')}[$__rate_interval])"

_RED = (
    *figures(10),
    Panel(
        14,
        "Requests by route",
        "Requests per second. Without a route: no rule of the app matched.",
        "reqps",
        (Query(rate(REQUESTS, _ROUTE, part="count"), legend(*_ROUTE)),),
        stacked=True,
    ),
    Panel(
        15,
        "Failed requests by route",
        "Share of requests that ended in a server error; routes with none are left out.",
        "percentunit",
        (Query(f"{error_ratio(_ROUTE)} > 0", legend(*_ROUTE)),),
        bounds=from_alerts(critical="ErrorRateHigh"),
        top=1,
        link="ada-error-analysis",
    ),
    Panel(
        16,
        "Response time",
        "Half, 95 % and 99 % of the requests are faster. A dot is one request; it leads to its trace.",
        "s",
        tuple(Query(quantile(q, REQUESTS), f"p{q * 100:g}", exemplar=True) for q in (0.5, 0.95, 0.99)),
        bounds=from_alerts(high="ResponseTimeHigh"),
    ),
    Panel(
        17,
        "Response times, spread",
        "How many requests took how long; each row is one bucket of the histogram.",
        "s",
        (Query(f"sum by (le) ({_DURATION})", "{{le}}", exemplar=True),),
        shape="heatmap",
        width=12,
    ),
    Panel(
        18,
        "Response time by route, 95th percentile",
        "The ten slowest routes.",
        "s",
        (Query(f"topk(10, {quantile(0.95, REQUESTS, _ROUTE)})", legend(*_ROUTE), exemplar=True),),
        bounds=from_alerts(high="ResponseTimeHigh"),
        width=12,
    ),
)
_SATURATION = (
    Panel(
        40,
        "Requests in work",
        "Requests that are being answered, over all chosen workers.",
        "short",
        (Query(now("http.server.active_requests", "sum", ("job",)), "{{job}}"),),
    ),
    Panel(
        41,
        "Waiting for a turn",
        "Longest time that a thread which was due had to wait. RuntimeLagHigh fires at 0.5 s.",
        "s",
        (Query(now("ada.runtime.lag", "max", ("job", "instance")), legend("instance")),),
        bounds=from_alerts(high="RuntimeLagHigh"),
    ),
    Panel(
        42,
        "CPU of the workers",
        "Share of the CPUs that each worker may use.",
        "percentunit",
        (Query(now("process.cpu.utilization", "max", ("instance",)), legend("instance")),),
        top=1,
    ),
    Panel(
        43,
        "Memory of the workers",
        "Resident memory. A line that only rises is a leak.",
        "bytes",
        (Query(now("process.memory.usage", "max", ("instance",)), legend("instance")),),
    ),
    Panel(
        44,
        "File descriptors in use",
        "Share of those that a worker may open. FileDescriptorsNearLimit fires at 80 %.",
        "percentunit",
        (
            Query(
                f"{now('process.unix.file_descriptor.count', 'max', ('instance',))} / "
                f"{now('ada.process.file_descriptor.limit', 'max', ('instance',))}",
                legend("instance"),
            ),
        ),
        bounds=from_alerts(high="FileDescriptorsNearLimit"),
        top=1,
    ),
    Panel(
        45,
        "Threads and garbage collections",
        "Threads of all chosen workers, and collections of the oldest generation per second.",
        "short",
        (
            Query(now("process.thread.count", "sum"), "threads"),
            Query(
                rate("cpython.gc.collections", where={"cpython.gc.generation": '="2"'}),
                "collections/s, oldest",
            ),
        ),
    ),
)
_BELOW = (
    Panel(
        50,
        "Database and Redis operations",
        "Operations per second, by product and first word.",
        "ops",
        (
            Query(
                rate(_DATABASE, ("db.system.name", "db.operation.name"), part="count"),
                legend("db.system.name", "db.operation.name"),
            ),
        ),
        stacked=True,
    ),
    Panel(
        51,
        "Database and Redis, 95th percentile",
        "One operation in 20 takes longer. DatabaseSlow fires at 0.5 s.",
        "s",
        (Query(quantile(0.95, _DATABASE, ("db.system.name",)), legend("db.system.name"), exemplar=True),),
        bounds=from_alerts(high="DatabaseSlow"),
    ),
    Panel(
        52,
        "Sizes, 95th percentile",
        "Bodies of requests and of responses.",
        "bytes",
        (
            Query(quantile(0.95, "http.server.request.body.size"), "request"),
            Query(quantile(0.95, "http.server.response.body.size"), "response"),
        ),
    ),
)
_CALLS = (
    Panel(
        53,
        "Calls to other services, 95th percentile",
        "HTTP calls that the app makes, by host, where it uses an instrumented client.",
        "s",
        (
            Query(
                quantile(0.95, "http.client.request.duration", ("server.address",)),
                legend("server.address"),
                exemplar=True,
            ),
        ),
        width=12,
    ),
    Panel(
        54,
        "Slow requests",
        "From the request log, above the chosen seconds. The trace_id of a line leads to its trace.",
        "short",
        (Search('body.text:"Request completed" AND attributes.duration_seconds:>=$slow'),),
        shape="logs",
        width=12,
    ),
)

PERFORMANCE = Dashboard(
    "ada-application-performance",
    "ADA / Application performance",
    "How fast the service answers, by route, and what holds it up.",
    (
        Row(1, "Rate, errors, duration", _RED),
        Row(2, "Objectives", objectives(30)),
        Row(3, "Saturation", _SATURATION),
        Row(4, "Below the app", (*_BELOW, *_CALLS)),
    ),
    texts=(("slow", "Slow is, in seconds", "1"),),
)
