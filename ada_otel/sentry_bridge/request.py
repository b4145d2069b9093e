"""The HTTP request of a log record, from the attributes of the semantic conventions for HTTP."""

from __future__ import annotations

import re
from typing import Any

from ada_otel.sentry_bridge.plain import plain

#: What is read here.
ATTRIBUTES = (
    "http.request.method",
    "http.method",
    "http.route",
    "url.full",
    "http.url",
    "url.scheme",
    "url.path",
    "http.target",
    "url.query",
    "server.address",
    "server.port",
    "user_agent.original",
)
_DEFAULT_PORTS = {"http": 80, "https": 443}


#: How Flask begins the line of an exception that no view caught: the one place where it names the request.
_FLASK = re.compile(r"Exception on (?P<path>/\S*) \[(?P<method>[A-Z]+)\]")


def interface(attributes: dict[str, Any], message: str = "") -> dict[str, Any] | None:
    """Sentry's request interface: method, URL, query, user agent; ``None`` for a line outside a request.

    Args:
        attributes: Of the record.
        message: Its text, which is read where the attributes tell nothing.
    """
    found: dict[str, Any] = {}
    method = _method(attributes)
    if method:
        found["method"] = method
    url = _url(attributes)
    if url:
        found["url"] = plain(url)
    if attributes.get("url.query"):
        found["query_string"] = plain(str(attributes["url.query"]))
    if found and attributes.get("user_agent.original"):
        found["headers"] = {"User-Agent": plain(str(attributes["user_agent.original"]))}
    if not found and (match := _FLASK.match(message)):
        found = {"method": match["method"], "url": plain(match["path"])}
    return found or None


def transaction(attributes: dict[str, Any]) -> str | None:
    """The name of the request's server span, ``GET /items/<int:item_id>``, which links errors to traces."""
    route = attributes.get("http.route")
    if not route:
        return None
    return f"{_method(attributes)} {route}".strip()[:200]


def _method(attributes: dict[str, Any]) -> str:
    return str(attributes.get("http.request.method") or attributes.get("http.method") or "")[:32]


def _url(attributes: dict[str, Any]) -> str:
    full = attributes.get("url.full") or attributes.get("http.url")
    if full:
        return str(full)
    path = str(attributes.get("url.path") or attributes.get("http.target") or "")
    host = attributes.get("server.address")
    if not host or not path:
        return path
    scheme = str(attributes.get("url.scheme") or "http")
    port = attributes.get("server.port")
    shown = f":{port}" if port and port != _DEFAULT_PORTS.get(scheme) else ""
    return f"{scheme}://{host}{shown}{path}"
