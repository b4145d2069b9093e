"""Security events: a counter each, and an event on the current span that says more."""

from __future__ import annotations

from ada_otel.business import _check, _redacted
from ada_otel.business._telemetry import count, event


@_check.safely
def sign_in_failed(reason: str | None = None) -> None:
    """Count a sign-in that failed.

    Args:
        reason: In short, such as ``"wrong_password"``. Goes to the span only. Never the name or password.
    """
    _happened("sign_in_failed", "reason", reason)


@_check.safely
def permission_denied(permission: str | None = None) -> None:
    """Count a request that was denied.

    Args:
        permission: The one that was lacking. Goes to the span only.
    """
    _happened("permission_denied", "permission", permission)


@_check.safely
def rate_limited(limit: str | None = None) -> None:
    """Count a request that was turned away because there were too many.

    Args:
        limit: The name of the limit. Goes to the span only.
    """
    _happened("rate_limited", "limit", limit)


@_check.safely
def suspicious_input(what: str | None = None) -> None:
    """Count input that no honest client sends.

    Args:
        what: What was seen, such as ``"path_traversal"``; not the input itself. Goes to the span only.
    """
    _happened("suspicious_input", "what", what)


def _happened(name: str, argument: str, detail: object) -> None:
    attributes = {}
    if detail is not None:
        found = _check.label(name, argument, detail, then="It is left out; the event is counted.")
        if found is not None:
            attributes[f"ada.security.{argument}"] = found
    count("ada.security.events", {"ada.security.event": name})
    if attributes:
        attributes = {key: _redacted.text(value) for key, value in attributes.items()}
    event(f"ada.security.{name}", attributes)
