"""What the app says of itself: AI operations, uploads, features, sessions, users, money, security, alerts.

    from ada_otel import business

    with business.ai_operation(model="ada-small", kind="chat", provider="ada") as op:
        op.tokens(input=12, output=40)
        op.cost(0.0021, "USD")

No call raises, waits for the network, or needs a request around it. Without telemetry each is a no-op. What
cannot be recorded, such as a negative amount, is dropped as a whole, with one warning that says what would
be right.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ada_otel.business._ai import AiOperation, ai_operation
from ada_otel.business._alerts import Severity, alert
from ada_otel.business._engagement import session_active, session_ended, session_started, user_active
from ada_otel.business._money import cost, purchase, purchase_failed, refund, revenue
from ada_otel.business._security import permission_denied, rate_limited, sign_in_failed, suspicious_input
from ada_otel.business._uploads import Upload, upload, uploaded
from ada_otel.business._usage import api_request, feature, feature_used

if TYPE_CHECKING:
    from ada_otel.settings import Settings

__all__ = [
    "AiOperation",
    "Severity",
    "Upload",
    "ai_operation",
    "alert",
    "api_request",
    "cost",
    "feature",
    "feature_used",
    "permission_denied",
    "purchase",
    "purchase_failed",
    "rate_limited",
    "refund",
    "revenue",
    "session_active",
    "session_ended",
    "session_started",
    "sign_in_failed",
    "start",
    "suspicious_input",
    "upload",
    "uploaded",
    "user_active",
]


def start(settings: Settings) -> None:
    """Begin to keep sessions and users, and to watch the uploads of Flask; ada-otel's own setup calls it.

    Args:
        settings: ``business_folder``, ``business_redis_url``, ``session_timeout`` and ``uploads`` are read.
    """
    import importlib.util

    from ada_otel.business import _engagement, _requests

    _engagement.start(settings)
    if settings.uploads and importlib.util.find_spec("flask"):
        _requests.install()
