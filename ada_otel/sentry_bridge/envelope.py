"""Envelopes: one event each, as Sentry's protocol demands, and below its size limits."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from typing import Any

#: Sentry refuses an event of more than 1 MiB.
MAX_EVENT_BYTES = 1_000_000
#: What is tried when Sentry says that an event is too large all the same.
SMALL_EVENT_BYTES = 100_000
_FEW_FRAMES = 20
_SHORT_TEXT = 500


def envelope(event: dict[str, Any], limit: int = MAX_EVENT_BYTES) -> bytes:
    """The envelope of one event, compressed with gzip.

    Args:
        event: The event, which is trimmed in place if it is too large.
        limit: The most bytes of the event as JSON.
    """
    body = trimmed(event, limit)
    sent = datetime.now(timezone.utc).isoformat().replace("+00:00", "Z")
    head = json.dumps({"event_id": event["event_id"], "sent_at": sent, "sdk": event.get("sdk")})
    item = json.dumps({"type": "event", "length": len(body), "content_type": "application/json"})
    return gzip.compress(b"\n".join([head.encode(), item.encode(), body, b""]), 6)


def trimmed(event: dict[str, Any], limit: int) -> bytes:
    """An event as JSON of at most ``limit`` bytes: what tells least goes first, type and message never."""
    body = _json(event)
    for trim in _TRIMS:
        if len(body) <= limit:
            break
        trim(event)
        body = _json(event)
    return body


def _json(event: dict[str, Any]) -> bytes:
    return json.dumps(event, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "replace")


def _stacktraces(event: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for value in event.get("exception", {}).get("values", ()):
        if "stacktrace" in value:
            yield value["stacktrace"]


def _without(*keys: str) -> Callable[[dict[str, Any]], None]:
    def trim(event: dict[str, Any]) -> None:
        for key in keys:
            event.pop(key, None)

    return trim


def _no_foreign_source(event: dict[str, Any]) -> None:
    _drop_source(event, kept=lambda frame: bool(frame["in_app"]))


def _no_source(event: dict[str, Any]) -> None:
    _drop_source(event)


def _drop_source(event: dict[str, Any], kept: Callable[[dict[str, Any]], bool] | None = None) -> None:
    for stacktrace in _stacktraces(event):
        for frame in stacktrace["frames"]:
            if kept is None or not kept(frame):
                frame.pop("pre_context", None)
                frame.pop("post_context", None)


def _only_trace_context(event: dict[str, Any]) -> None:
    trace = event.get("contexts", {}).get("trace")
    event["contexts"] = {"trace": trace} if trace else {}


def _few_frames(event: dict[str, Any]) -> None:
    for stacktrace in _stacktraces(event):
        stacktrace["frames"] = stacktrace["frames"][-_FEW_FRAMES:]


def _few_exceptions(event: dict[str, Any]) -> None:
    exception = event.get("exception")
    if exception:
        exception["values"] = exception["values"][-_FEW_FRAMES:]


def _short_texts(event: dict[str, Any]) -> None:
    for value in event.get("exception", {}).get("values", ()):
        value["value"] = value["value"][:_SHORT_TEXT]
    if "logentry" in event:
        event["logentry"]["formatted"] = event["logentry"]["formatted"][:_SHORT_TEXT]


#: From what an event misses least to what it misses most.
_TRIMS: tuple[Callable[[dict[str, Any]], None], ...] = (
    _no_foreign_source,
    _without("breadcrumbs"),
    _without("extra"),
    _no_source,
    _only_trace_context,
    _few_frames,
    _few_exceptions,
    _short_texts,
    _without("request"),
)
