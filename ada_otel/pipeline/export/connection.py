"""One kept-alive HTTP/1.1 connection on which every exchange ends by a deadline, whatever the server does.

The usual clients bound each ``recv``: a server that drips a byte a second holds them for ever. Here the time
left is set on the socket before every read and write, so that the sum is bounded. The standard library's
``http.client`` parses the answer: importing it takes 26 ms of CPU and 7 MB, urllib3 121 ms and 13 MB,
requests 224 ms and 19 MB (one cold import each, Python 3.11), and one connection needs no pool.

Name resolution is the one part which Python cannot bound; it runs in the exporting thread, never in a
request.
"""

from __future__ import annotations

import base64
import http.client
import io
import os
import select
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, unquote, urlsplit

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

    from ada_otel.pipeline.export.target import Target

_LARGEST_ANSWER = 64 * 1024
_CHUNK = 256 * 1024

#: A server that closed an idle connection shows as one of these on the next exchange.
_STALE = (ConnectionResetError, BrokenPipeError, ConnectionAbortedError, http.client.RemoteDisconnected)


@dataclass(frozen=True)
class Answer:
    """What the server said.

    Attributes:
        status: The HTTP status code.
        headers: Names in lower case.
        body: At most 64 KiB of it.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes


class _DeadlineReader(io.RawIOBase):
    """The reading side of a socket; each read may last as long as is left until the deadline."""

    def __init__(self, sock: socket.socket, deadline: float) -> None:
        self._sock = sock
        self._deadline = deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        self._sock.settimeout(_left(self._deadline))
        return self._sock.recv_into(buffer)


class _AnswerSource:
    """Hands ``http.client`` a bounded reader where it expects a socket."""

    def __init__(self, sock: socket.socket, deadline: float) -> None:
        self._sock = sock
        self._deadline = deadline

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(_DeadlineReader(self._sock, self._deadline))


class Connection:
    """A connection to one target. Used by one thread at a time; never shared with a forked child."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._parts = urlsplit(target.url)
        self._proxy: SplitResult | None = urlsplit(target.proxy) if target.proxy else None
        self._tls = self._parts.scheme == "https"
        self._context: Any = None
        self._sock: socket.socket | None = None
        self._pid = os.getpid()
        self._head = self._request_head()

    def post(self, body: bytes, encoding: str | None, deadline: float) -> Answer:
        """Send ``body`` and read the answer.

        Args:
            body: The request body, compressed already.
            encoding: Its ``Content-Encoding``, if any.
            deadline: On ``time.monotonic()``; the whole exchange, connecting included, ends by then.

        Raises:
            TimeoutError: The deadline has passed.
            OSError: The connection failed, TLS included.
            http.client.HTTPException: The answer is not HTTP.
        """
        head = self._head + f"Content-Length: {len(body)}\r\n"
        if encoding:
            head += f"Content-Encoding: {encoding}\r\n"
        request = (head + "\r\n").encode("latin-1") + body
        reused = self._alive()
        try:
            return self._exchange(request, deadline)
        except _STALE:
            if not reused:
                raise
            return self._exchange(request, deadline)

    def close(self) -> None:
        """Drop the connection; the next request makes a new one. In a forked child the parent's stays up."""
        sock, self._sock = self._sock, None
        if sock is not None:
            sock.close()

    def _exchange(self, request: bytes, deadline: float) -> Answer:
        try:
            sock = self._sock or self._connect(deadline)
            self._sock = sock
            view = memoryview(request)
            while view:
                sock.settimeout(_left(deadline))
                view = view[sock.send(view[:_CHUNK]) :]
            answer, keep = _read_answer(sock, deadline)
        except BaseException:
            self.close()
            raise
        if not keep:
            self.close()
        return answer

    def _alive(self) -> bool:
        """Whether the kept connection can be used; one that the server has closed is readable."""
        if self._sock is None:
            return False
        if self._pid != os.getpid():
            self.close()
            self._pid = os.getpid()
            return False
        if _readable(self._sock):
            self.close()
            return False
        return True

    def _connect(self, deadline: float) -> socket.socket:
        via = self._proxy or self._parts
        port = via.port or (443 if via.scheme == "https" else 80)
        sock = _dial(via.hostname or "", port, deadline)
        try:
            if self._proxy is not None and self._tls:
                self._tunnel(sock, deadline)
            if self._tls:
                sock.settimeout(_left(deadline))
                sock = self._tls_context().wrap_socket(sock, server_hostname=self._parts.hostname)
        except BaseException:
            sock.close()
            raise
        self._pid = os.getpid()
        return sock

    def _tunnel(self, sock: socket.socket, deadline: float) -> None:
        where = f"{_bracketed(self._parts.hostname or '')}:{self._parts.port or 443}"
        head = f"CONNECT {where} HTTP/1.1\r\nHost: {where}\r\n{self._proxy_credentials()}\r\n"
        sock.settimeout(_left(deadline))
        sock.sendall(head.encode("latin-1"))
        answer = http.client.HTTPResponse(_AnswerSource(sock, deadline), method="CONNECT")  # type: ignore[arg-type]
        answer.begin()
        if answer.status != 200:
            raise ConnectionError(f"the proxy answered CONNECT with {answer.status}")

    def _tls_context(self) -> Any:
        if self._context is None:
            import ssl

            context = ssl.create_default_context(cafile=self._target.certificate)
            if self._target.client_certificate:
                context.load_cert_chain(self._target.client_certificate, self._target.client_key)
            self._context = context
        return self._context

    def _request_head(self) -> str:
        """The request line and the headers that never change, made once."""
        parts = self._parts
        path = parts.path or "/"
        if parts.query:
            path += f"?{parts.query}"
        host = _bracketed(parts.hostname or "") + (f":{parts.port}" if parts.port else "")
        proxied = ""
        if self._proxy is not None and not self._tls:
            path = f"{parts.scheme}://{host}{path}"
            proxied = self._proxy_credentials()
        headers = dict(self._target.headers)
        if parts.username and "authorization" not in headers:
            headers["authorization"] = _basic(parts)
        lines = "".join(f"{name}: {_one_line(text)}\r\n" for name, text in headers.items())
        return f"POST {path} HTTP/1.1\r\nHost: {host}\r\nAccept-Encoding: identity\r\n{proxied}{lines}"

    def _proxy_credentials(self) -> str:
        if self._proxy is None or not self._proxy.username:
            return ""
        return f"Proxy-Authorization: {_basic(self._proxy)}\r\n"


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("the time for this request is over")
    return left


def _dial(host: str, port: int, deadline: float) -> socket.socket:
    """Connect to the first address that answers; the time left is shared by all of them."""
    failure: OSError = OSError(f"{host} has no address")
    for family, kind, protocol, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        try:
            sock = socket.socket(family, kind, protocol)
        except OSError as error:
            failure = error
            continue
        try:
            sock.settimeout(_left(deadline))
            sock.connect(address)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as error:
            sock.close()
            failure = error
        else:
            return sock
    raise failure


def _read_answer(sock: socket.socket, deadline: float) -> tuple[Answer, bool]:
    """The answer, and whether the connection can be kept."""
    response = http.client.HTTPResponse(_AnswerSource(sock, deadline), method="POST")  # type: ignore[arg-type]
    response.begin()
    body = response.read(_LARGEST_ANSWER)
    keep = not response.will_close and (response.isclosed() or not response.read(1))
    headers = {name.lower(): text for name, text in response.getheaders()}
    return Answer(response.status, headers, body), keep


def _readable(sock: socket.socket) -> bool:
    if hasattr(select, "poll"):
        poller = select.poll()
        poller.register(sock, select.POLLIN)
        return bool(poller.poll(0))
    return bool(select.select([sock], [], [], 0)[0])


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _basic(parts: SplitResult) -> str:
    pair = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}"
    return "Basic " + base64.b64encode(pair.encode()).decode()


def _one_line(text: str) -> str:
    """A header's value without line ends, which would start another header."""
    return text.replace("\r", " ").replace("\n", " ")
