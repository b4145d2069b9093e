"""Business metrics: money, AI operations, uploads."""

from __future__ import annotations

from ada_otel.dashboards._bounds import ALERTS, from_alerts
from ada_otel.dashboards._expr import legend, quantile, rate, ratio, recorded, total
from ada_otel.dashboards._model import Bound, Dashboard, Panel, Query, Row
from ada_otel.dashboards._red import figures

_SUCCESS = {"ada.outcome": '="success"'}
_FAILURE = {"ada.outcome": '="failure"'}
_FOR_AI = {"ada.cost.kind": '="ai"'}
_MODEL = ("gen_ai.request.model",)
_AI_SECONDS = "gen_ai.client.operation.duration"
_AI_BOUND = (Bound(ALERTS["AiSuccessRateLow"], "green"),)

_MONEY = (
    Panel(
        20,
        "Revenue within the time shown",
        "By currency. What was paid back is not taken off; it stands beside.",
        "short",
        (
            Query(total("ada.revenue", ("ada.currency",)), f"earned {legend('ada.currency')}"),
            Query(total("ada.refunds", ("ada.currency",)), f"paid back {legend('ada.currency')}"),
        ),
        shape="stat",
    ),
    Panel(
        21,
        "Revenue per hour",
        "The last hour's, by currency. RevenueDrop fires below half of the day's average.",
        "short",
        (Query(recorded("service:ada_revenue:increase1h"), f"{{{{job}}}} {legend('ada.currency')}"),),
    ),
    Panel(
        22,
        "Cost per hour",
        "The last hour's, by currency. CostBurnHigh fires above twice the day's average.",
        "short",
        (Query(recorded("service:ada_cost:increase1h"), f"{{{{job}}}} {legend('ada.currency')}"),),
    ),
    Panel(
        23,
        "Cost by kind within the time shown",
        "What the money was spent on.",
        "short",
        (
            Query(
                total("ada.cost", ("ada.cost.kind", "ada.currency")), legend("ada.cost.kind", "ada.currency")
            ),
        ),
        shape="bars",
    ),
    Panel(
        24,
        "Purchases",
        "Per second, by outcome.",
        "cps",
        (Query(rate("ada.purchases", ("ada.outcome",)), legend("ada.outcome")),),
        stacked=True,
    ),
    Panel(
        25,
        "Revenue by kind within the time shown",
        "What the money came from.",
        "short",
        (
            Query(
                total("ada.revenue", ("ada.revenue.kind", "ada.currency")),
                legend("ada.revenue.kind", "ada.currency"),
            ),
        ),
        shape="bars",
    ),
)
_AI = (
    Panel(
        30,
        "AI operations",
        "Per second, by model and outcome.",
        "ops",
        (Query(rate("ada.ai.operations", (*_MODEL, "ada.outcome")), legend(*_MODEL, "ada.outcome")),),
        stacked=True,
    ),
    Panel(
        31,
        "AI operations that succeed",
        "Share by model. AiSuccessRateLow wakes somebody up below 90 %.",
        "percentunit",
        (
            Query(
                ratio(rate("ada.ai.operations", _MODEL, _SUCCESS), rate("ada.ai.operations", _MODEL)),
                legend(*_MODEL),
            ),
        ),
        bounds=_AI_BOUND,
        base="red",
        top=1,
    ),
    Panel(
        32,
        "AI operations, duration",
        "By model: half are faster, and all but 5 % are. A dot is one operation; it leads to its trace.",
        "s",
        tuple(
            Query(quantile(q, _AI_SECONDS, _MODEL), f"p{q * 100:g} {legend(*_MODEL)}", exemplar=True)
            for q in (0.5, 0.95)
        ),
    ),
    Panel(
        33,
        "Tokens",
        "Per second, by model and direction.",
        "cps",
        (
            Query(
                rate("gen_ai.client.token.usage", (*_MODEL, "gen_ai.token.type"), part="sum"),
                legend(*_MODEL, "gen_ai.token.type"),
            ),
        ),
        stacked=True,
    ),
    Panel(
        34,
        "Cost per AI operation",
        "What the kind ai cost within the time shown, for each operation that ended; by currency.",
        "short",
        (
            Query(
                f"{total('ada.cost', ('ada.currency',), _FOR_AI)} / on () group_left () "
                f"({total('ada.ai.operations')} > 0)",
                legend("ada.currency"),
            ),
        ),
        shape="stat",
    ),
    Panel(
        35,
        "Failed AI operations by reason",
        "Within the time shown, by model and class of error.",
        "short",
        (
            Query(
                total("ada.ai.operations", (*_MODEL, "error.type"), _FAILURE), legend(*_MODEL, "error.type")
            ),
        ),
        shape="bars",
    ),
)
_UPLOADS = (
    Panel(
        40,
        "Uploads",
        "Files per second, by type and outcome.",
        "cps",
        (
            Query(
                rate("ada.uploads", ("ada.upload.type", "ada.outcome")),
                legend("ada.upload.type", "ada.outcome"),
            ),
        ),
        stacked=True,
        width=12,
    ),
    Panel(
        41,
        "Uploads that fail",
        "Share of files. UploadFailuresHigh fires at 10 %.",
        "percentunit",
        (Query(ratio(rate("ada.uploads", where=_FAILURE), rate("ada.uploads")), "failed"),),
        bounds=from_alerts(high="UploadFailuresHigh"),
        top=1,
        width=12,
    ),
    Panel(
        42,
        "Size of uploads, 95th percentile",
        "By type.",
        "bytes",
        (Query(quantile(0.95, "ada.upload.size", ("ada.upload.type",)), legend("ada.upload.type")),),
        width=12,
    ),
    Panel(
        43,
        "Time per upload, 95th percentile",
        "By type.",
        "s",
        (
            Query(
                quantile(0.95, "ada.upload.duration", ("ada.upload.type",)),
                legend("ada.upload.type"),
                exemplar=True,
            ),
        ),
        width=12,
    ),
)

BUSINESS = Dashboard(
    "ada-business-metrics",
    "ADA / Business metrics",
    "Money, AI operations and uploads, as the app says of itself.",
    (
        Row(1, "Rate, errors, duration", figures(10)),
        Row(2, "Money", _MONEY),
        Row(3, "AI operations", _AI),
        Row(4, "Uploads", _UPLOADS),
    ),
)
