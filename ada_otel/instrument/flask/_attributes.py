"""What a request says of itself, as attributes of the stable HTTP conventions.

The stock code collects these twice per request, through 27 calls: 7.8 µs each time. What depends only on a
header that repeats (method, user agent, protocol) is worked out once per value, in bounded caches.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from opentelemetry.util.http import detect_synthetic_user_agent, normalize_user_agent, sanitize_method

from ada_otel.pipeline.grouped import Group, GroupedAttributes

_CACHED_VALUES = 512
_CLIENTS = 2048


@lru_cache(_CACHED_VALUES)
def method_of(raw: str) -> tuple[str, str | None]:
    """The method, or ``_OTHER``; and the original where it differs (semantic conventions, HTTP spans)."""
    original = raw.strip()
    known = sanitize_method(raw).strip()
    return known, original if original and original != known else None


@lru_cache(_CACHED_VALUES)
def protocol_version(protocol: str) -> str:
    """``1.1`` of ``HTTP/1.1``."""
    return protocol[5:] if protocol.upper().startswith("HTTP/") else protocol


def request_attributes(environ: dict[str, Any]) -> GroupedAttributes:
    """The span attributes of a request; values are str and int only.

    Args:
        environ: The WSGI environment (PEP 3333).
    """
    get = environ.get
    server = _server(
        get("REQUEST_METHOD", ""),
        get("wsgi.url_scheme"),
        get("HTTP_HOST"),
        get("SERVER_PORT"),
        get("SERVER_PROTOCOL", ""),
    )
    address, remote_host = get("REMOTE_ADDR"), get("REMOTE_HOST")
    if remote_host and remote_host != address:
        address = remote_host
    found: dict[str, Any] = {}
    target = get("RAW_URI")
    if target if target is not None else get("REQUEST_URI"):
        if path := get("PATH_INFO"):
            found["url.path"] = path
        if query := get("QUERY_STRING"):
            found["url.query"] = query
    if port := get("REMOTE_PORT"):
        _put_port(found, "client.port", port)
    return GroupedAttributes((server, _client(address, get("HTTP_USER_AGENT"))), found)


@lru_cache(_CACHED_VALUES)
def _server(raw_method: str, scheme: str | None, host: str | None, port: Any, protocol: str) -> Group:
    """What recurs in requests to one server."""
    method, original = method_of(raw_method)
    found: dict[str, Any] = {
        "http.request.method": method,
        "http.request.method_original": original,
        "url.scheme": scheme,
        "server.address": host,
        "network.protocol.version": protocol_version(protocol),
    }
    _put_port(found, "server.port", port)
    return Group(tuple(without_empty(found).items()))


@lru_cache(_CLIENTS)
def _client(address: str | None, user_agent: Any) -> Group:
    """What recurs in requests of one client; most servers see their proxy's address."""
    agent = normalize_user_agent(user_agent)
    found = {"client.address": address, "user_agent.original": agent}
    if agent and (kind := detect_synthetic_user_agent(agent)):
        found["user_agent.synthetic.type"] = kind
    return Group(tuple(without_empty(found).items()))


def _put_port(found: dict[str, Any], key: str, text: Any) -> None:
    if text:
        try:
            found[key] = int(text)
        except (TypeError, ValueError):
            return


def without_empty(attributes: dict[str, Any]) -> dict[str, Any]:
    """Leave out what a request does not say."""
    return {key: value for key, value in attributes.items() if value not in {None, ""}}
