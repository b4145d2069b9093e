"""What the app says of itself: AI operations, uploads, features, sessions, money, security, alerts."""

from __future__ import annotations

from ada_otel.catalogue._common import BYTES, CURRENCY, ERROR_TYPE, LONG_SECONDS, OUTCOME, SESSION_SECONDS
from ada_otel.catalogue._model import Attribute, Metric

_MODEL = Attribute(
    "gen_ai.request.model",
    "The model that was asked.",
    bound="models that the app names; capped by the cardinality limit",
)
_OPERATION = Attribute(
    "gen_ai.operation.name",
    "chat, embeddings, generate_content or a name of the app.",
    bound="kinds that the app names",
)
_PROVIDER = Attribute(
    "gen_ai.provider.name", "Who runs the model.", bound="providers that the app names", optional=True
)
_FEATURE = Attribute(
    "ada.feature.name", "The feature.", bound="features that the app names; capped by the cardinality limit"
)
_FILE_TYPE = Attribute(
    "ada.upload.type",
    "Media type without parameters.",
    bound="the 30 most usual; others are by their top level, application/other; unknown",
)

BUSINESS: tuple[Metric, ...] = (
    Metric(
        "ada.ai.operations",
        "counter",
        "{operation}",
        "AI operations that ended.",
        "business",
        (
            _OPERATION,
            _MODEL,
            _PROVIDER,
            OUTCOME,
            ERROR_TYPE,
        ),
    ),
    Metric(
        "gen_ai.client.operation.duration",
        "histogram",
        "s",
        "Duration of AI operations.",
        "business",
        (
            _OPERATION,
            _MODEL,
            _PROVIDER,
            ERROR_TYPE,
        ),
        buckets=LONG_SECONDS,
    ),
    Metric(
        "gen_ai.client.token.usage",
        "histogram",
        "{token}",
        "Tokens per AI operation.",
        "business",
        (
            _OPERATION,
            _MODEL,
            _PROVIDER,
            Attribute("gen_ai.token.type", "Which.", values=("input", "output")),
        ),
        buckets=(
            1.0,
            4.0,
            16.0,
            64.0,
            256.0,
            1024.0,
            4096.0,
            16384.0,
            65536.0,
            262144.0,
            1048576.0,
            4194304.0,
            16777216.0,
            67108864.0,
        ),
    ),
    Metric(
        "ada.cost",
        "counter",
        "{money}",
        "What was spent.",
        "business",
        (
            CURRENCY,
            Attribute(
                "ada.cost.kind", "What for: ai, or a name of the app.", bound="kinds that the app names"
            ),
        ),
    ),
    Metric(
        "ada.revenue",
        "counter",
        "{money}",
        "What was earned.",
        "business",
        (
            CURRENCY,
            Attribute(
                "ada.revenue.kind",
                "What for: purchase, subscription, or a name of the app.",
                bound="kinds that the app names",
            ),
        ),
    ),
    Metric(
        "ada.refunds",
        "counter",
        "{money}",
        "What was paid back.",
        "business",
        (CURRENCY,),
        on_request="calls of `business.refund`",
    ),
    Metric(
        "ada.purchases",
        "counter",
        "{purchase}",
        "Purchases.",
        "business",
        (
            OUTCOME,
            ERROR_TYPE,
        ),
    ),
    Metric(
        "ada.uploads",
        "counter",
        "{file}",
        "Files that were uploaded.",
        "business",
        (
            _FILE_TYPE,
            OUTCOME,
            ERROR_TYPE,
        ),
    ),
    Metric(
        "ada.upload.size",
        "histogram",
        "By",
        "Size of uploaded files.",
        "business",
        (_FILE_TYPE,),
        buckets=BYTES,
    ),
    Metric(
        "ada.upload.duration",
        "histogram",
        "s",
        "Time that an upload took.",
        "business",
        (
            _FILE_TYPE,
            OUTCOME,
        ),
        buckets=LONG_SECONDS,
    ),
    Metric("ada.feature.uses", "counter", "{use}", "Uses of a feature.", "business", (_FEATURE,)),
    Metric("ada.session.starts", "counter", "{session}", "User sessions that began.", "business", ()),
    Metric(
        "ada.session.ends",
        "counter",
        "{session}",
        "User sessions that ended.",
        "business",
        (Attribute("ada.session.end_reason", "Why.", values=("sign_out", "expired", "replaced", "other")),),
    ),
    Metric(
        "ada.sessions.active",
        "observable_gauge",
        "{session}",
        "User sessions that are open, on this host or, with Redis, on all hosts. One worker of a host "
        "reports it for all: aggregate by max, never by sum.",
        "business",
        (),
    ),
    Metric(
        "ada.session.duration",
        "histogram",
        "s",
        "Length of user sessions that ended.",
        "business",
        (),
        buckets=SESSION_SECONDS,
    ),
    Metric(
        "ada.users.active",
        "observable_gauge",
        "{user}",
        "Distinct users within the window, estimated with a standard error of 1.6 %, on this host or, with "
        "Redis, on all hosts (0.8 %). One worker of a host reports it for all: "
        "aggregate by max, never by sum.",
        "business",
        (Attribute("ada.window", "The window.", values=("5m", "1h", "1d")),),
    ),
    Metric(
        "ada.api.requests",
        "counter",
        "{request}",
        "Requests by API client.",
        "business",
        (
            Attribute(
                "ada.client.name",
                "The client.",
                bound="clients that the app names; capped by the cardinality limit",
            ),
            Attribute("ada.outcome", "How it ended.", values=("success", "failure")),
        ),
        on_request="calls of `business.api_request`",
    ),
    Metric(
        "ada.security.events",
        "counter",
        "{event}",
        "Security events.",
        "business",
        (
            Attribute(
                "ada.security.event",
                "What happened.",
                values=("sign_in_failed", "permission_denied", "rate_limited", "suspicious_input"),
            ),
        ),
    ),
    Metric(
        "ada.alerts",
        "counter",
        "{alert}",
        "Alerts that the app raised itself.",
        "business",
        (Attribute("ada.alert.severity", "Severity.", values=("critical", "high", "medium", "low")),),
        on_request="calls of `ada_otel.alert`",
    ),
)
