"""OTLP of exact content, sent as JSON over HTTP: each test says itself what is in a span or a log record."""

from __future__ import annotations

import json
import secrets
import ssl
import time
import urllib.request
from collections.abc import Iterable, Mapping
from typing import Any

Attributes = Mapping[str, "str | int | float | bool"]


def trace_id() -> str:
    """A new trace id, in hex."""
    return secrets.token_hex(16)


def _value(value: Any) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": value}
    if isinstance(value, Mapping):
        return {"kvlistValue": {"values": attributes(value)}}
    return {"stringValue": str(value)}


def attributes(values: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Attributes as OTLP has them."""
    return [{"key": key, "value": _value(value)} for key, value in values.items()]


def span(
    trace: str,
    name: str,
    *,
    seconds: float = 0.01,
    error: bool = False,
    parent: str = "",
    values: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """A server span that ended just now."""
    end = time.time_ns()
    return {
        "traceId": trace,
        "spanId": secrets.token_hex(8),
        "parentSpanId": parent,
        "name": name,
        "kind": 2,
        "startTimeUnixNano": str(end - int(seconds * 1e9)),
        "endTimeUnixNano": str(end),
        "attributes": attributes(values or {}),
        "status": {"code": 2} if error else {},
    }


def record(body: Any, *, at: int | None = None, values: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """A log record at INFO of now, or of ``at`` (Unix time, nanoseconds); ``body`` may be a mapping."""
    return {
        "timeUnixNano": str(time.time_ns() if at is None else at),
        "observedTimeUnixNano": str(time.time_ns()),
        "severityNumber": 9,
        "severityText": "INFO",
        "body": _value(body),
        "attributes": attributes(values or {}),
    }


def counter(
    name: str, value: int, values: Mapping[str, Any] | None = None, *, at: int | None = None
) -> dict[str, Any]:
    """A cumulative counter with one point, of now or of another time in nanoseconds."""
    when = at if at is not None else time.time_ns()
    point = {
        "timeUnixNano": str(when),
        "startTimeUnixNano": str(max(0, when - 10**9)),
        "asInt": str(value),
        "attributes": attributes(values or {}),
    }
    return {
        "name": name,
        "unit": "1",
        "sum": {"dataPoints": [point], "aggregationTemporality": 2, "isMonotonic": True},
    }


_SHAPES = {
    "traces": ("resourceSpans", "scopeSpans", "spans"),
    "logs": ("resourceLogs", "scopeLogs", "logRecords"),
    "metrics": ("resourceMetrics", "scopeMetrics", "metrics"),
}


def post(
    address: str,
    signal: str,
    items: Iterable[Mapping[str, Any]],
    resource: Mapping[str, Any],
    *,
    token: str = "",
    tls: ssl.SSLContext | None = None,
    timeout: float = 30,
) -> None:
    """Send ``items`` (spans, records or metrics) of one resource to ``address`` (host:port).

    Raises:
        urllib.error.HTTPError: It was refused.
        OSError: Nobody is there, or TLS failed.
    """
    outer, scope, inner = _SHAPES[signal]
    body = {
        outer: [
            {
                "resource": {"attributes": attributes(resource)},
                scope: [{"scope": {"name": "test"}, inner: list(items)}],
            }
        ]
    }
    headers = {"Content-Type": "application/json"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    scheme = "http" if tls is None else "https"
    request = urllib.request.Request(
        f"{scheme}://{address}/v1/{signal}", data=json.dumps(body).encode(), headers=headers
    )
    with urllib.request.urlopen(request, timeout=timeout, context=tls) as answer:
        answer.read()
