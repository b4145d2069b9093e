"""Who may see a page that tells about the inside: a bearer token, a network, or this machine itself."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Any

from ada_otel.web._pages import Answer

Network = IPv4Network | IPv6Network

#: Headers by which proxies say that they hand on somebody else's request.
_FORWARDING = (
    "HTTP_FORWARDED",
    "HTTP_VIA",
    "HTTP_X_FORWARDED_FOR",
    "HTTP_X_FORWARDED_HOST",
    "HTTP_X_FORWARDED_PROTO",
    "HTTP_X_REAL_IP",
)

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
        self._token = token.encode()
        self._networks = tuple(networks)

    def allows(self, environ: dict[str, Any]) -> bool:
        """Whether the request of this WSGI environment may see the page."""
        if self._token and self._has_token(environ.get("HTTP_AUTHORIZATION", "")):
            return True
        if (self._token and not self._networks) or any(name in environ for name in _FORWARDING):
            return False
        try:
            address = ip_address(environ.get("REMOTE_ADDR", "").partition("%")[0])
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
        return scheme.lower() == "bearer" and hmac.compare_digest(
            given.strip().encode("utf-8", "surrogateescape"), self._token
        )
