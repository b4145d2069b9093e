"""Who may see a page that tells about the inside: a bearer token, a network, or this machine itself."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Any

from ada_otel.web._pages import Answer

Network = IPv4Network | IPv6Network

#: Headers by which proxies say that they hand on somebody else's request, besides those of ``_FORWARDED``.
_FORWARDING = (
    "HTTP_CF_CONNECTING_IP",
    "HTTP_FASTLY_CLIENT_IP",
    "HTTP_FORWARDED",
    "HTTP_TRUE_CLIENT_IP",
    "HTTP_VIA",
    "HTTP_X_CLIENT_IP",
    "HTTP_X_CLUSTER_CLIENT_IP",
    "HTTP_X_ENVOY_EXTERNAL_ADDRESS",
    "HTTP_X_ORIGINAL_FORWARDED_FOR",
    "HTTP_X_REAL_IP",
)
_FORWARDED = "HTTP_X_FORWARDED"

REFUSED = Answer(
    b'{"error": "not allowed"}\n',
    status="401 Unauthorized",
    headers=(("WWW-Authenticate", "Bearer"),),
)


class Access:
    """The rule of one page.

    With a token, who has it; with networks, who comes from one of them without a proxy between; with both,
    either; with neither, this machine itself without a proxy between.
    """

    def __init__(self, token: str = "", networks: Sequence[Network] = ()) -> None:
        self._token = token.encode("utf-8", "surrogateescape")
        self._networks = tuple(networks)

    def allows(self, environ: dict[str, Any]) -> bool:
        """Whether the request of this WSGI environment may see the page."""
        if self._token and self._has_token(environ.get("HTTP_AUTHORIZATION", "")):
            return True
        if (self._token and not self._networks) or _was_handed_on(environ):
            return False
        try:
            # Behind a socket that is a file, servers give none, or None.
            address = ip_address(str(environ.get("REMOTE_ADDR") or "").partition("%")[0])
        except ValueError:
            return False
        mapped = getattr(address, "ipv4_mapped", None)
        address = mapped or address
        if not self._networks:
            return address.is_loopback
        return any(address in network for network in self._networks)

    def _has_token(self, header: str) -> bool:
        scheme, _, given = header.partition(" ")
        # In constant time: how long a wrong token takes tells nothing about the right one.
        return scheme.lower() == "bearer" and hmac.compare_digest(_as_sent(given.strip()), self._token)


def _was_handed_on(environ: dict[str, Any]) -> bool:
    return any(name in _FORWARDING or name.startswith(_FORWARDED) for name in environ)


def _as_sent(text: str) -> bytes:
    """The bytes of a header: a WSGI server gives each as one character (PEP 3333)."""
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:  # no server did
        return text.encode("utf-8", "surrogateescape")
