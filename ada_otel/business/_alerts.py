"""Alerts that the app raises itself: a log record that is an event, a counter, and an event on the span."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from time import time_ns
from typing import Any, Literal

from opentelemetry._logs import LogRecord, SeverityNumber

from ada_otel.business import _check, _redacted
from ada_otel.business._telemetry import count, event, telemetry

Severity = Literal["critical", "high", "medium", "low"]

#: The severities of the app, and what the log record carries.
SEVERITIES: dict[str, tuple[SeverityNumber, str]] = {
    "critical": (SeverityNumber.FATAL, "FATAL"),
    "high": (SeverityNumber.ERROR, "ERROR"),
    "medium": (SeverityNumber.WARN, "WARN"),
    "low": (SeverityNumber.INFO, "INFO"),
}

_DETAILS = "a mapping of names to text, numbers, True, False or None, at most 32"


@_check.safely
def alert(severity: Severity, message: str, details: Mapping[str, Any] | None = None) -> None:
    """Raise an alert: a rule of Prometheus fires on it, and the log has the message and the details.

    Args:
        severity: ``critical`` (log severity FATAL), ``high`` (ERROR), ``medium`` (WARN) or ``low`` (INFO).
        message: One sentence for whoever is on call. Secrets in it are redacted; cut at 2,000 characters.
        details: What else helps: names with text, numbers or truth values, redacted likewise, at most 32.
    """
    level = _check.word("alert", "severity", severity, tuple(SEVERITIES))
    if level is None:
        return
    given_message: object = message
    if not isinstance(given_message, str) or not str.__str__(given_message).strip():
        _check.wrong("alert", "message", message, "non-empty text")
        return
    number, name = SEVERITIES[level]
    attributes: dict[str, Any] = {"ada.alert.severity": level}
    left_out = details is not None
    if isinstance(details, Mapping):
        given: list[tuple[Any, Any]] | None
        try:
            given = [(key, value) for key, value in islice(details.items(), 1000)]
        except Exception:  # a mapping of the app's own that does not work
            given = None
        if given is not None:
            found, left_out = _redacted.details(given)
            attributes.update((f"ada.alert.details.{key}", value) for key, value in found.items())
    if left_out:
        _check.wrong(
            "alert", "details", details, _DETAILS, then="The others are left out; the alert goes out."
        )
    text = _redacted.text(message)
    now = time_ns()
    telemetry.logger.emit(
        LogRecord(
            timestamp=now,
            observed_timestamp=now,
            severity_number=number,
            severity_text=name,
            body=text,
            attributes=attributes,
            event_name="ada.alert",
        )
    )
    count("ada.alerts", {"ada.alert.severity": level})
    event("ada.alert", {"ada.alert.severity": level, "ada.alert.message": text})
