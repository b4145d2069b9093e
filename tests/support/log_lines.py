"""Log lines and spans with known content, as documents of the collector and as lines of a local file."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

HOUR = timedelta(hours=1)
_SEVERITY = {
    "DEBUG": ("DEBUG", 5),
    "INFO": ("INFO", 9),
    "WARNING": ("WARN", 13),
    "ERROR": ("ERROR", 17),
    "CRITICAL": ("FATAL", 21),
}


def known_lines(end: datetime) -> list[dict[str, Any]]:
    """Lines of the 48 hours before ``end``, in the order of time.

    In the last 24 hours there are, of errors: 24 ValueErrors (one an hour), 12 OperationalErrors (one every
    other hour), 6 KeyErrors (in the last hour) and 24 CRITICAL lines without an exception; in the 24 hours
    before: 12, 24, 0 and 24.
    """
    lines: list[dict[str, Any]] = []

    def add(at: datetime, level: str, logger: str, message: str, **rest: Any) -> None:
        lines.append({"at": at, "level": level, "logger": logger, "message": message, **rest})

    for hour in range(48):
        begin, recent = end - (48 - hour) * HOUR, hour >= 24
        add(begin, "INFO", "ada.shop", "on the border of the hour", extra={"paid": hour % 2 == 0})
        if recent or hour % 2:
            add(
                begin + timedelta(minutes=5, microseconds=123456),
                "ERROR",
                "ada.shop",
                f"payment refused for order {1000 + hour}",
                type="ValueError",
                text="no cover",
                user_id=hour % 10,
                request_id=f"req-{hour}",
            )
        if not recent or hour % 2:
            add(
                begin + timedelta(minutes=9),
                "ERROR",
                "ada.shop",
                "database error",
                type="sqlalchemy.exc.OperationalError",
                text="(psycopg) server closed the connection",
            )
        add(begin + timedelta(minutes=20), "CRITICAL", "ada.ops", f"slow answer of 127.0.0.1:{8000 + hour}")
        add(begin + timedelta(minutes=30), "WARNING", "ada.chat", "slow chat", user_id=7)
        add(begin + timedelta(minutes=31), "DEBUG", "ada.chat", "Überweisung 支払 done", user_id=hour % 10)
        add(
            begin + timedelta(minutes=32),
            "INFO",
            "ada.requests",
            "Request completed",
            extra={
                "http.request.method": "POST",
                "http.route": "/chat",
                "http.response.status_code": 200,
                "duration_ms": (hour - 24) * 10 if recent else 5000,
            },
        )
        if hour == 47:
            for number in range(6):
                add(
                    begin + timedelta(minutes=40 + number),
                    "ERROR",
                    "ada.chat",
                    "could not answer",
                    type="KeyError",
                    text="'model'",
                    user_id=7,
                    request_id=f"chat-{number}",
                )
    lines.sort(key=lambda line: line["at"])
    for number, line in enumerate(lines):
        line["number"] = number
        if number % 3 != 2:
            line["trace_id"], line["span_id"] = f"{number // 3 + 1:032x}", f"{number + 1:016x}"
    for number, line in enumerate(line for line in lines if line.get("type") == "KeyError"):
        line["trace_id"], line["span_id"] = f"{number + 1:032x}"[::-1], f"{number + 1:016x}"[::-1]
    return lines


def document(line: dict[str, Any]) -> dict[str, Any]:
    """The line as the collector's Elasticsearch exporter writes it in its ``otel`` mode."""
    text, number = _SEVERITY[line["level"]]
    module = line["logger"].rsplit(".", 1)[-1]
    attributes = {
        "code.file.path": f"/app/ada/{module}.py",
        "code.function.name": "work",
        "code.line.number": 12,
        "number": line["number"],
        **line.get("extra", {}),
        **{name: line[name] for name in ("user_id", "request_id") if name in line},
    }
    if "type" in line:
        attributes |= {
            "exception.type": line["type"],
            "exception.message": line["text"],
            "exception.stacktrace": _traceback(line, module),
        }
    at = line["at"]
    return {
        "@timestamp": f"{int(at.timestamp()) * 1000 + at.microsecond // 1000}.{at.microsecond % 1000 * 1000}",
        "severity_text": text,
        "severity_number": number,
        "body": {"text": line["message"]},
        "scope": {"name": line["logger"]},
        "attributes": attributes,
        "resource": {"attributes": {"service.name": "ada", "service.instance.id": "w1"}},
        **{name: line[name] for name in ("trace_id", "span_id") if name in line},
    }


def file_line(line: dict[str, Any]) -> dict[str, Any]:
    """The line as the app's own log file has it."""
    module = line["logger"].rsplit(".", 1)[-1]
    found = {
        "timestamp": line["at"].isoformat().replace("+00:00", "Z"),
        "level": line["level"],
        "logger": line["logger"],
        "message": line["message"],
        "module": module,
        "function": "work",
        "line": 12,
        "service": "ada",
        "number": line["number"],
        **line.get("extra", {}),
        **{name: line[name] for name in ("user_id", "request_id", "trace_id", "span_id") if name in line},
    }
    if "type" in line:
        found["exception"] = {
            "type": line["type"],
            "message": line["text"],
            "traceback": _traceback(line, module),
        }
    return found


def _traceback(line: dict[str, Any], module: str) -> str:
    return (
        f'Traceback (most recent call last):\n  File "{module}.py", line 12\n{line["type"]}: {line["text"]}\n'
    )


def request_spans(end: datetime) -> list[dict[str, Any]]:
    """Server spans: 100 of ``POST /buy`` from 10 ms to 1 s, each tenth failed; 100 quick, 10 unmatched."""
    spans: list[dict[str, Any]] = []

    def add(
        number: int, milliseconds: int, method: str, status: int, route: str | None, kind: str = "Server"
    ) -> None:
        attributes: dict[str, Any] = {"http.request.method": method, "http.response.status_code": status}
        spans.append(
            {
                "@timestamp": f"{int((end.timestamp() - 60) * 1000)}.0",
                "trace_id": f"{number:032x}",
                "span_id": f"{number:016x}",
                "name": f"{method} {route}",
                "kind": kind,
                "duration": milliseconds * 1_000_000,
                "attributes": {**attributes, **({"http.route": route} if route else {})},
                "resource": {"attributes": {"service.name": "ada"}},
            }
        )

    for number in range(1, 101):
        add(number, 10 * number, "POST", 500 if number % 10 == 0 else 200, "/buy")
        add(1000 + number, 20, "GET", 200, "/items/<int:id>")
        add(2000 + number, 9000, "GET", 200, None, "Client")
    for number in range(10):
        add(3000 + number, 1, "GET", 404, None)
    return spans
