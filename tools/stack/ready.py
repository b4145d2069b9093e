"""Waits until a server answers, or says why it will not."""

from __future__ import annotations

import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable

from tools.stack.ports import LOOPBACK

_POLL_SECONDS = 0.1

#: Loopback is never asked for through a proxy.
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def http(
    url: str, *, method: str = "GET", body: bytes | None = None, timeout: float = 5.0
) -> tuple[int, bytes]:
    """One HTTP request to a server of the stack.

    Args:
        url: Where.
        method: The method.
        body: JSON to send, if any.
        timeout: Seconds for connecting and for each read.

    Returns:
        The status and the body, whatever the status is.

    Raises:
        OSError: Nothing answered.
    """
    request = urllib.request.Request(url, data=body, method=method)
    if body is not None:
        request.add_header("content-type", "application/json")
    try:
        with _opener.open(request, timeout=timeout) as answer:
            return int(answer.status), bytes(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def answers_ok(url: str) -> bool:
    """Whether a GET of ``url`` is answered with 200 now."""
    try:
        return http(url)[0] == 200
    except OSError:
        return False


def tcp_says(port: int, question: bytes, answer: bytes) -> bool:
    """Whether a server answers ``question`` with something that begins with ``answer`` now."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=2) as connection:
            connection.sendall(question)
            return connection.recv(len(answer)) == answer
    except OSError:
        return False


def wait_until(ready: Callable[[], bool], runs: Callable[[], bool], seconds: float) -> str | None:
    """Wait until a server is ready.

    Args:
        ready: Whether it is.
        runs: Whether its process still runs.
        seconds: How long to wait at most.

    Returns:
        ``None`` when it is ready, else what went wrong.
    """
    deadline = time.monotonic() + seconds
    while True:
        # In this order: a process that has ended cannot be the one that answered.
        answered = ready()
        if not runs():
            return "ended while it started"
        if answered:
            return None
        if time.monotonic() > deadline:
            return f"was not ready within {seconds:.0f} s"
        time.sleep(_POLL_SECONDS)
