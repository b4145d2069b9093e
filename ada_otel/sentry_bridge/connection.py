"""One HTTP connection to Sentry, kept open over the events of a request, through a proxy where one is set."""

from __future__ import annotations

import base64
import http.client
import ssl
import urllib.request
from dataclasses import dataclass
from types import TracebackType
from urllib.parse import SplitResult, unquote, urlsplit

from typing_extensions import Self

#: More of an answer is not read: Sentry's are small.
_MAX_ANSWER = 65_536


@dataclass(frozen=True)
class Answer:
    """An answer of Sentry's.

    Attributes:
        status: The HTTP status.
        headers: Its headers.
        text: The beginning of its body.
    """

    status: int
    headers: http.client.HTTPMessage
    text: str


class Connection:
    """Posts to one address.

    Args:
        url: The address.
        timeout: Seconds for connecting, and for each read.
    """

    def __init__(self, url: str, timeout: float) -> None:
        self._parts = urlsplit(url)
        self._url = url
        self._timeout = timeout
        self._open: http.client.HTTPConnection | None = None
        self._used = False
        self._proxy_headers: dict[str, str] = {}
        self._target = self._parts.path

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def post(self, body: bytes, headers: dict[str, str]) -> Answer:
        """POST ``body``.

        Raises:
            OSError: There was no answer.
            http.client.HTTPException: What came was no answer.
        """
        reused = self._used
        try:
            return self._post(body, headers)
        except (http.client.RemoteDisconnected, ConnectionError):
            self.close()
            if not reused:
                raise
            # The other side may end an idle connection at any time. A repeat does no harm: an id counts once.
            return self._post(body, headers)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End the connection; the next post opens another one."""
        if self._open is not None:
            self._open.close()
        self._open, self._used = None, False

    def _post(self, body: bytes, headers: dict[str, str]) -> Answer:
        if self._open is None:
            self._open = self._connect()
        self._open.request("POST", self._target, body, {**headers, **self._proxy_headers})
        self._used = True
        answer = self._open.getresponse()
        text = answer.read(_MAX_ANSWER).decode("utf-8", "replace")
        if not answer.isclosed():
            self.close()
        return Answer(answer.status, answer.headers, text)

    def _connect(self) -> http.client.HTTPConnection:
        host = self._parts.hostname or ""
        proxy = _proxy(self._parts.scheme, host)
        if self._parts.scheme == "https":
            context = ssl.create_default_context()
            if proxy is None:
                return http.client.HTTPSConnection(
                    host, self._parts.port, timeout=self._timeout, context=context
                )
            tunnel = http.client.HTTPSConnection(
                proxy.hostname or "", proxy.port, timeout=self._timeout, context=context
            )
            tunnel.set_tunnel(host, self._parts.port, headers=_authorization(proxy))
            return tunnel
        if proxy is None:
            return http.client.HTTPConnection(host, self._parts.port, timeout=self._timeout)
        self._target = self._url
        self._proxy_headers = _authorization(proxy)
        return http.client.HTTPConnection(proxy.hostname or "", proxy.port, timeout=self._timeout)


def _proxy(scheme: str, host: str) -> SplitResult | None:
    """The proxy of ``HTTPS_PROXY`` or ``HTTP_PROXY``, unless ``NO_PROXY`` names the host."""
    found = urllib.request.getproxies().get(scheme)
    if not found or urllib.request.proxy_bypass(host):
        return None
    return urlsplit(found if "://" in found else f"http://{found}")


def _authorization(proxy: SplitResult) -> dict[str, str]:
    if proxy.username is None:
        return {}
    pair = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
    return {"Proxy-Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}
