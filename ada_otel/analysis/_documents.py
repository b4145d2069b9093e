"""Log lines out of Elasticsearch's documents and out of local JSON lines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ada_otel.analysis.levels import level_name, level_of_number
from ada_otel.analysis.model import LogEntry
from ada_otel.analysis.times import EPOCH, parse_timestamp

_TIME_KEYS = ("timestamp", "@timestamp", "time", "ts")
_LEVEL_KEYS = ("level", "levelname", "severity", "severity_text")
_MESSAGE_KEYS = ("message", "msg", "event", "body")
_LOGGER_KEYS = ("logger", "logger_name", "name")
_SERVICE_KEYS = ("service", "service.name")
#: The names that local files have for what documents call otherwise.
_RENAMED = {
    "function": "code.function.name",
    "line": "code.line.number",
    "exception.traceback": "exception.stacktrace",
    "user.id": "user_id",
}


def from_hit(hit: Mapping[str, Any]) -> LogEntry:
    """The log line of a hit, as the collector's Elasticsearch exporter writes it in its ``otel`` mode."""
    source = hit["_source"]
    resource = dict(_flat(source.get("resource", {}).get("attributes", {})))
    number = source.get("severity_number")
    text = source.get("severity_text")
    level = level_name(str(text)) if text else level_of_number(int(number or 0)) or ""
    attributes = dict(_flat(source.get("attributes", {})))
    if source.get("event_name"):
        attributes["event_name"] = source["event_name"]
    body = source.get("body", {})
    message = body.get("text", body.get("structured", "")) if isinstance(body, Mapping) else body
    if "body" not in source:
        # An event of a span, in the index of spans, has its name alone.
        message = source.get("event_name", "")
    service = resource.get("service.name")
    return LogEntry(
        timestamp=parse_timestamp(source.get("@timestamp")) or EPOCH,
        level=level,
        message=str(message),
        logger=source.get("scope", {}).get("name"),
        service=None if service is None else str(service),
        trace_id=source.get("trace_id"),
        span_id=source.get("span_id"),
        attributes=attributes,
        resource=resource,
        id=f"{hit['_index']}/{hit['_id']}",
    )


def from_line(line: Mapping[str, Any], place: str) -> LogEntry | None:
    """The log line of one parsed line of a local file; ``None`` if it has no time.

    Args:
        line: The JSON object.
        place: File and position, to tell equal lines apart.
    """
    rest = dict(line)
    timestamp = parse_timestamp(_take(rest, _TIME_KEYS))
    if timestamp is None:
        return None
    message, service, logger = (
        _take(rest, _MESSAGE_KEYS),
        _take(rest, _SERVICE_KEYS),
        _take(rest, _LOGGER_KEYS),
    )
    trace, span = rest.pop("trace_id", None), rest.pop("span_id", None)
    level = level_name(str(_take(rest, _LEVEL_KEYS) or ""))
    if isinstance(rest.get("exception"), str):
        rest["exception"] = {"traceback": rest["exception"]}
    if isinstance(rest.get("attributes"), Mapping):
        rest.update(rest.pop("attributes"))
    attributes = {_RENAMED.get(name, name): value for name, value in _flat(rest) if value is not None}
    return LogEntry(
        timestamp=timestamp,
        level=level,
        message="" if message is None else str(message),
        logger=None if logger is None else str(logger),
        service=None if service is None else str(service),
        trace_id=str(trace) if trace else None,
        span_id=str(span) if span else None,
        attributes=attributes,
        id=place,
    )


def _take(line: dict[str, Any], keys: tuple[str, ...]) -> Any:
    """The value of the first key that is there; the others stay and become attributes."""
    for key in keys:
        if key in line:
            return line.pop(key)
    return None


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    # A stack, for a hostile line may be nested more deeply than functions can call each other.
    stack: list[tuple[str, Any]] = [(prefix, values)]
    while stack:
        path, value = stack.pop()
        if isinstance(value, Mapping):
            before = f"{path}." if path else ""
            stack.extend((f"{before}{name}", part) for name, part in reversed(list(value.items())))
        else:
            yield path, value
