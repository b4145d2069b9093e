"""Makes Sentry events of log records.

An event is made of each record that carries ``exception.*``, whatever its severity, and of each record of
severity FATAL without one. All other records become breadcrumbs of the events of their trace.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ada_otel.sentry_bridge import request
from ada_otel.sentry_bridge.destination import CLIENT
from ada_otel.sentry_bridge.exceptions import exception_values
from ada_otel.sentry_bridge.plain import plain, tag_key, tag_value, token
from ada_otel.sentry_bridge.records import Record

#: Severity number of FATAL in OpenTelemetry's log data model.
_FATAL = 21
_MAX_MESSAGE = 8192
_MAX_BREADCRUMB = 1024
_MAX_BREADCRUMBS = 100

_PLATFORMS = {
    "python": "python",
    "java": "java",
    "go": "go",
    "ruby": "ruby",
    "php": "php",
    "dotnet": "csharp",
    "nodejs": "node",
    "webjs": "javascript",
}
#: Record or resource attributes that become tags of the same name: what errors are searched and grouped by.
_TAGS = (
    "service.name",
    "service.namespace",
    "service.instance.id",
    "http.route",
    "http.request.method",
    "http.response.status_code",
    "request.id",
    "request_id",
    "session.id",
    "session_id",
    "error.type",
    "code.function.name",
)
_USER_IDS = ("user.id", "user_id", "enduser.id")
#: What has a place of its own in the event, and is not repeated among the additional data.
_PLACED = frozenset(
    (
        *_TAGS,
        *_USER_IDS,
        *request.ATTRIBUTES,
        "exception.type",
        "exception.message",
        "exception.stacktrace",
        "exception.escaped",
        "log.record.uid",
    )
)


@dataclass(frozen=True)
class EventSettings:
    """How events are made.

    Attributes:
        in_app: Modules that are the app's own although they are installed as packages.
        source: Whether lines of source are read from files on this machine.
        level: The lowest severity number of a record with an exception that becomes an event; one without a
            severity always does.
    """

    in_app: tuple[str, ...] = ()
    source: bool = True
    level: int = 0


def events_of(records: Sequence[Record], settings: EventSettings) -> list[dict[str, Any]]:
    """The events of one request, in its order, each with the lines before it in its trace as breadcrumbs."""
    traces: dict[str, list[Record]] = {}
    for record in records:
        if record.trace_id:
            traces.setdefault(record.trace_id, []).append(record)
    ordered: dict[str, list[Record]] = {}
    events: list[dict[str, Any]] = []
    for record in records:
        if not makes_event(record, settings.level):
            continue
        trace = record.trace_id
        if trace and trace not in ordered:
            ordered[trace] = sorted(traces[trace], key=lambda other: other.time)
        events.append(_event(record, _before(record, ordered.get(trace, ())), settings))
    return events


def makes_event(record: Record, level: int = 0) -> bool:
    """Whether a record becomes an event."""
    attributes = record.attributes
    if any(attributes.get(f"exception.{part}") for part in ("type", "message", "stacktrace")):
        return not 0 < record.severity < level
    return record.severity >= _FATAL


def level_of(severity: int) -> str:
    """Sentry's level for a severity number; ``error`` where there is none."""
    if severity <= 0:
        return "error"
    return ("debug", "debug", "info", "warning", "error", "fatal")[min((severity - 1) // 4, 5)]


def _event(record: Record, before: Sequence[Record], settings: EventSettings) -> dict[str, Any]:
    attributes, resource = record.attributes, record.resource
    platform = _PLATFORMS.get(str(resource.get("telemetry.sdk.language", "python")), "other")
    event: dict[str, Any] = {
        "event_id": record.event_id,
        "timestamp": record.time / 1e9,
        "platform": platform,
        "level": level_of(record.severity),
        "logger": record.logger[:64],
        "sdk": {"name": CLIENT.partition("/")[0], "version": CLIENT.partition("/")[2]},
        "server_name": plain(resource.get("host.name") or resource.get("service.instance.id")),
        "release": _release(resource),
        "environment": token(
            resource.get("deployment.environment.name") or resource.get("deployment.environment"), 64
        ),
        "transaction": request.transaction(attributes),
        "request": request.interface(attributes, record.message),
        "user": _user(attributes),
        "tags": _tags(record),
        "contexts": _contexts(record),
        "breadcrumbs": {"values": [_breadcrumb(other) for other in before]} if before else None,
        "extra": {key: plain(value) for key, value in attributes.items() if key not in _PLACED},
    }
    message = record.message[:_MAX_MESSAGE]
    if message:
        event["logentry"] = {"formatted": message}
    values = exception_values(record, settings, parse=platform == "python")
    if values:
        event["exception"] = {"values": values}
        stacktrace = attributes.get("exception.stacktrace")
        if platform != "python" and stacktrace:
            event["extra"]["exception.stacktrace"] = plain(stacktrace)
    return {key: value for key, value in event.items() if value not in (None, "", {})}


def _release(resource: dict[str, Any]) -> str | None:
    name, version = resource.get("service.name"), resource.get("service.version")
    return token(f"{name or 'unknown'}@{version}", 200) if version else None


def _user(attributes: dict[str, Any]) -> dict[str, str] | None:
    found = next((attributes[key] for key in _USER_IDS if attributes.get(key) not in (None, "")), None)
    return None if found is None else {"id": str(found)[:128]}


def _tags(record: Record) -> dict[str, str]:
    found = {key: record.attributes.get(key, record.resource.get(key)) for key in _TAGS}
    tags = {tag_key(key): tag_value(value) for key, value in found.items() if value not in (None, "")}
    return {key: value for key, value in tags.items() if value}


def _contexts(record: Record) -> dict[str, Any]:
    resource = record.resource
    contexts: dict[str, Any] = {
        "otel": {"type": "otel", "resource": {key: plain(value) for key, value in resource.items()}}
    }
    if record.trace_id and record.span_id:
        contexts["trace"] = {"type": "trace", "trace_id": record.trace_id, "span_id": record.span_id}
    runtime = resource.get("process.runtime.name")
    if runtime:
        version = resource.get("process.runtime.version")
        contexts["runtime"] = {"type": "runtime", "name": plain(runtime), "version": plain(version)}
    if resource.get("os.type"):
        contexts["os"] = {
            "type": "os",
            "name": plain(resource.get("os.name") or resource["os.type"]),
            "version": plain(resource.get("os.version")),
        }
    return contexts


def _before(record: Record, trace: Iterable[Record]) -> list[Record]:
    """The lines of a trace that come before a record."""
    found: list[Record] = []
    for other in trace:
        if other is record:
            break
        if other.time <= record.time:
            found.append(other)
    return found[-_MAX_BREADCRUMBS:]


def _breadcrumb(record: Record) -> dict[str, Any]:
    message = record.message
    kind, text = record.attributes.get("exception.type"), record.attributes.get("exception.message")
    if kind:
        message = f"{message} [{kind}: {text}]" if message else f"{kind}: {text}"
    level = level_of(record.severity) if record.severity else "info"
    return {
        "timestamp": record.time / 1e9,
        "type": "error" if level in ("error", "fatal") else "default",
        "level": level,
        "category": record.logger[:64] or "log",
        "message": message[:_MAX_BREADCRUMB],
    }
