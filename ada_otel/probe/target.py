"""One address that is asked, and what came of it."""

from __future__ import annotations

import http.client
import ssl
import time
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit


@dataclass(frozen=True)
class Target:
    """A name and an address.

    Attributes:
        name: For the attribute ``ada.probe.name``.
        url: ``http`` or ``https``, with a host.
    """

    name: str
    url: SplitResult

    @classmethod
    def parse(cls, text: str) -> Target:
        """Read ``NAME=URL``.

        Raises:
            ValueError: It is not that; the message says what would be right.
        """
        name, sign, address = text.partition("=")
        url = urlsplit(address.strip())
        if not sign or not name.strip() or url.scheme not in {"http", "https"} or not url.hostname:
            raise ValueError(f"{text!r} is no NAME=URL, such as front=https://ada.example.com/health/ready")
        return cls(name.strip(), url)


@dataclass(frozen=True)
class Answer:
    """What came of one request.

    Attributes:
        good: Whether the status was 2xx or 3xx, in time.
        seconds: How long it took, with the name lookup and the connection.
        problem: A status code or the kind of the error; empty when it was good.
    """

    good: bool
    seconds: float
    problem: str = ""


def ask(target: Target, timeout: float) -> Answer:
    """Send one GET request on a new connection, so that name, port and certificate are tried as well.

    Args:
        target: What to ask.
        timeout: Seconds for each step: connection, answer.
    """
    started = time.perf_counter()
    url = target.url
    connection: http.client.HTTPConnection
    if url.scheme == "https":
        context = ssl.create_default_context()
        connection = http.client.HTTPSConnection(
            url.hostname or "", url.port, timeout=timeout, context=context
        )
    else:
        connection = http.client.HTTPConnection(url.hostname or "", url.port, timeout=timeout)
    try:
        path = (url.path or "/") + (f"?{url.query}" if url.query else "")
        connection.request("GET", path, headers={"User-Agent": "ada-otel-probe", "Connection": "close"})
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        return Answer(False, time.perf_counter() - started, type(error).__name__)
    finally:
        connection.close()
    good = 200 <= status < 400
    return Answer(good, time.perf_counter() - started, "" if good else str(status))
