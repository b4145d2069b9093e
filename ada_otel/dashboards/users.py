"""User activity: who is there, what they do, and who should not be."""

from __future__ import annotations

from ada_otel.dashboards._bounds import from_alerts
from ada_otel.dashboards._expr import legend, now, quantile, rate, recorded, total
from ada_otel.dashboards._model import Dashboard, Panel, Query, Row
from ada_otel.dashboards._red import figures

_EVENTS = "socketio.server.event.duration"

_PRESENT = (
    Panel(
        20,
        "Active users",
        "Distinct users, estimated within 1.6 %. EngagementDrop watches the hour.",
        "short",
        (Query(now("ada.users.active", "max", ("ada.window",)), legend("ada.window")),),
    ),
    Panel(
        21,
        "Open sessions",
        "User sessions that are open: the highest report, as each host reports for all its workers.",
        "short",
        (Query(now("ada.sessions.active", "max", ("job",)), "{{job}}"),),
    ),
    Panel(
        22,
        "Sessions begun and ended",
        "Per second, ends by reason. SessionAnomaly compares the beginnings with the last day.",
        "cps",
        (
            Query(rate("ada.session.starts"), "begun"),
            Query(
                rate("ada.session.ends", ("ada.session.end_reason",)),
                f"ended: {legend('ada.session.end_reason')}",
            ),
        ),
    ),
    Panel(
        23,
        "Length of sessions",
        "Of those that ended: half are shorter, and all but 5 % are.",
        "s",
        tuple(Query(quantile(q, "ada.session.duration"), f"p{q * 100:g}") for q in (0.5, 0.95)),
    ),
    Panel(
        24,
        "Features by use",
        "Uses within the time that is shown; the ten most used.",
        "short",
        (Query(f"topk(10, {total('ada.feature.uses', ('ada.feature.name',))})", legend("ada.feature.name")),),
        shape="bars",
    ),
    Panel(
        25,
        "Requests by API client",
        "Per second, the ten busiest clients.",
        "reqps",
        (Query(f"topk(10, {rate('ada.api.requests', ('ada.client.name',))})", legend("ada.client.name")),),
    ),
)
_SOCKETIO = (
    Panel(
        30,
        "Open connections",
        "Socket.IO connections, by transport. SocketioConnectionsDrop fires when half of them are gone.",
        "short",
        (
            Query(
                now("socketio.server.active_connections", "sum", ("socketio.transport",)),
                legend("socketio.transport"),
            ),
        ),
        stacked=True,
    ),
    Panel(
        31,
        "Connections and disconnects",
        "Per second: what was asked for, by outcome, and what ended, by reason.",
        "cps",
        (
            Query(
                rate("socketio.server.connections", ("ada.outcome",)), f"asked for: {legend('ada.outcome')}"
            ),
            Query(
                rate("socketio.server.disconnects", ("socketio.disconnect.reason",)),
                f"ended: {legend('socketio.disconnect.reason')}",
            ),
        ),
    ),
    Panel(
        32,
        "Messages",
        "Events and acknowledgements per second, in and out.",
        "cps",
        (
            Query(
                rate("socketio.server.messages", ("network.io.direction", "socketio.event")),
                legend("network.io.direction", "socketio.event"),
            ),
        ),
        stacked=True,
    ),
    Panel(
        33,
        "Event handlers, 95th percentile",
        "One call in 20 takes longer.",
        "s",
        (Query(quantile(0.95, _EVENTS, ("socketio.event",)), legend("socketio.event"), exemplar=True),),
    ),
    Panel(
        34,
        "Failed events",
        "Share of event handlers that ended in an error, over 5 minutes. SocketioErrors fires at 5 %.",
        "percentunit",
        (Query(recorded("service:socketio_server_event_errors:ratio5m"), "{{job}}"),),
        bounds=from_alerts(high="SocketioErrors"),
        link="ada-error-analysis",
    ),
    Panel(
        35,
        "Traffic",
        "Bytes of Socket.IO packets per second.",
        "Bps",
        (Query(rate("socketio.server.io", ("network.io.direction",)), legend("network.io.direction")),),
    ),
)
_SECURITY = (
    Panel(
        40,
        "Security events",
        "Within 5 minutes. Alerts: 30 failed sign-ins, 20 denials, 5 suspicious inputs, 100 rate limits.",
        "short",
        (
            Query(
                recorded("service:ada_security_events:increase5m"),
                "{{job}} " + legend("ada.security.event"),
            ),
        ),
        bounds=from_alerts("PermissionDenials", "SignInFailures"),
        width=12,
    ),
    Panel(
        41,
        "Security events within the time shown",
        "By kind. The log lines of the events say more.",
        "short",
        (
            Query(
                total("ada.security.events", ("ada.security.event",)),
                legend("ada.security.event"),
            ),
        ),
        shape="bars",
        width=12,
    ),
)

USERS = Dashboard(
    "ada-user-activity",
    "ADA / User activity",
    "Who is there, what they do, and who should not be.",
    (
        Row(1, "Rate, errors, duration", figures(10)),
        Row(2, "Users and sessions", _PRESENT),
        Row(3, "Socket.IO", _SOCKETIO),
        Row(4, "Security", _SECURITY),
    ),
)
