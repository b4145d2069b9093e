"""Where a signal is sent, and how: the ``OTEL_EXPORTER_OTLP_*`` variables.

Read as the OTLP exporter specification says, and as the stock Python exporters read them: the variable of the
signal wins over the general one, and only the general endpoint gets the signal's path appended.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from opentelemetry.util.re import parse_env_headers

from ada_otel._diagnostics import report
from ada_otel._version import __version__

Signal = Literal["traces", "metrics", "logs"]

_PREFIX = "OTEL_EXPORTER_OTLP_"
_DEFAULT_ENDPOINT = "http://localhost:4318"
_DEFAULT_TIMEOUT = 10.0
_COMPRESSIONS = ("none", "gzip", "deflate")


@dataclass(frozen=True)
class Target:
    """One OTLP/HTTP address, with all that a request to it needs.

    Attributes:
        url: The full address, path included.
        headers: Header names in lower case.
        timeout: Seconds for one attempt, from name resolution to the last byte of the answer.
        compression: ``none``, ``gzip`` or ``deflate``.
        certificate: A file of CA certificates to trust in place of the system's.
        client_key: The key file for mutual TLS.
        client_certificate: The certificate file for mutual TLS.
        proxy: An HTTP proxy's address, or nothing.
    """

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    timeout: float = _DEFAULT_TIMEOUT
    compression: str = "none"
    certificate: str | None = None
    client_key: str | None = None
    client_certificate: str | None = None
    proxy: str | None = None


def from_environment(
    signal: Signal,
    *,
    endpoint: str | None = None,
    headers: Mapping[str, str] | None = None,
    timeout: float | None = None,
    compression: str | None = None,
    certificate_file: str | None = None,
    client_key_file: str | None = None,
    client_certificate_file: str | None = None,
) -> Target:
    """Read the target of ``signal``; each argument that is given wins over its variable.

    Args:
        signal: ``traces``, ``metrics`` or ``logs``.
        endpoint: The full address, path included.
        headers: Added to those of the variables.
        timeout: Seconds.
        compression: ``none``, ``gzip`` or ``deflate``.
        certificate_file: See :class:`Target`.
        client_key_file: See :class:`Target`.
        client_certificate_file: See :class:`Target`.
    """
    url = endpoint or _endpoint(signal)
    return Target(
        url=url,
        headers=_headers(signal, headers),
        timeout=timeout if timeout is not None else _timeout(signal),
        compression=_compression(signal, compression),
        certificate=certificate_file or _variable(signal, "CERTIFICATE"),
        client_key=client_key_file or _variable(signal, "CLIENT_KEY"),
        client_certificate=client_certificate_file or _variable(signal, "CLIENT_CERTIFICATE"),
        proxy=_proxy(url),
    )


def _variable(signal: Signal, name: str) -> str | None:
    return os.environ.get(f"{_PREFIX}{signal.upper()}_{name}") or os.environ.get(_PREFIX + name) or None


def _endpoint(signal: Signal) -> str:
    own = os.environ.get(f"{_PREFIX}{signal.upper()}_ENDPOINT")
    if own:
        return own
    base = os.environ.get(_PREFIX + "ENDPOINT") or _DEFAULT_ENDPOINT
    return f"{base.removesuffix('/')}/v1/{signal}"


def _headers(signal: Signal, extra: Mapping[str, str] | None) -> dict[str, str]:
    found = {"content-type": "application/x-protobuf", "user-agent": f"ada-otel/{__version__}"}
    found.update(parse_env_headers(_variable(signal, "HEADERS") or "", liberal=True))
    found.update({name.lower(): text for name, text in (extra or {}).items()})
    return found


def _timeout(signal: Signal) -> float:
    text = _variable(signal, "TIMEOUT")
    if text is None:
        return _DEFAULT_TIMEOUT
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        report(
            f"setting:{_PREFIX}TIMEOUT:{signal}",
            f"{_PREFIX}TIMEOUT for {signal} is {text!r}, which is not a number of seconds above 0; "
            f"{_DEFAULT_TIMEOUT:g} is used.",
        )
        return _DEFAULT_TIMEOUT
    return value


def _compression(signal: Signal, given: str | None) -> str:
    text = (given or _variable(signal, "COMPRESSION") or "none").strip().lower()
    if text in _COMPRESSIONS:
        return text
    report(
        f"setting:{_PREFIX}COMPRESSION:{signal}",
        f"{_PREFIX}COMPRESSION for {signal} is {text!r}, which is not one of {', '.join(_COMPRESSIONS)}; "
        "'none' is used.",
    )
    return "none"


def _proxy(url: str) -> str | None:
    """The proxy for ``url`` by ``HTTPS_PROXY``, ``NO_PROXY`` and so on, as requests reads them."""
    if not any(name.lower().endswith("_proxy") for name in os.environ):
        return None  # spares 20 ms: urllib.request is not imported
    from urllib.parse import urlsplit
    from urllib.request import getproxies_environment, proxy_bypass

    parts = urlsplit(url)
    proxies = getproxies_environment()
    found = proxies.get(parts.scheme) or proxies.get("all")
    if not found or proxy_bypass(parts.netloc):
        return None
    return found if "://" in found else f"http://{found}"
