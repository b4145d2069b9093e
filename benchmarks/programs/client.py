"""Loads a server over HTTP/1.1 with one connection that is kept open, one request after the other.

``client.py PORT PATH REQUESTS`` writes the time of each request in µs, as a JSON list, to standard output.
"""

from __future__ import annotations

import json
import socket
import sys
import time

_REQUEST = (
    "GET {path}?page=1 HTTP/1.1\r\nHost: localhost:{port}\r\nAccept: */*\r\nAccept-Encoding: gzip\r\n"
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36\r\nCookie: session=abc\r\n\r\n"
)


def _main(port: int, path: str, requests: int) -> None:
    request = _REQUEST.format(path=path, port=port).encode()
    times = []
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(requests):
            began = time.perf_counter()
            connection.sendall(request)
            answer = b""
            # The body is "ok", so the answer ends with it; gunicorn may send head and body apart.
            while not answer.endswith(b"\r\n\r\nok"):
                part = connection.recv(65536)
                if not part:
                    raise ConnectionError(f"the server closed the connection after {answer!r}")
                answer += part
            if not answer.startswith(b"HTTP/1.1 200"):
                raise ValueError(f"the server answered {answer!r}")
            times.append((time.perf_counter() - began) * 1e6)
    print(json.dumps(times))


if __name__ == "__main__":
    _main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
