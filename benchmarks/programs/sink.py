"""Takes telemetry of any kind, answers 200 at once, and counts what came, by port.

``sink.py NUMBER`` listens on that many free loopback ports and writes them, as a JSON list, to its output.
``GET /_counts`` on any of them gives what came to it. It ends when its standard input does.
"""

from __future__ import annotations

import asyncio
import collections
import gzip
import json
import sys
from collections.abc import Iterator

_COUNTED = {"/v1/traces": "spans", "/v1/logs": "log_records", "/v1/metrics": "metrics"}
Counts = collections.Counter[str]


def _fields(message: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the length-delimited fields of a protobuf message, passing over the others."""
    at, end = 0, len(message)
    while at < end:
        key, at = _varint(message, at)
        kind = key & 7
        if kind == 2:
            size, at = _varint(message, at)
            yield key >> 3, message[at : at + size]
            at += size
        elif kind == 0:
            _, at = _varint(message, at)
        else:
            at += 8 if kind == 1 else 4


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7


def otlp_items(message: bytes) -> int:
    """Count the spans, log records or metrics of an OTLP request: resources (1), scopes (2), items (2)."""
    return sum(
        field == 2
        for top, resource in _fields(message)
        if top == 1
        for middle, scope in _fields(resource)
        if middle == 2
        for field, _ in _fields(scope)
    )


def sentry_items(envelope: bytes) -> Counts:
    """Count the spans and log records of a Sentry envelope."""
    counts: Counts = collections.Counter()
    at = envelope.index(b"\n") + 1
    while at < len(envelope):
        end = envelope.index(b"\n", at)
        header = json.loads(envelope[at:end])
        stop = end + 1 + header["length"] if "length" in header else (envelope + b"\n").index(b"\n", end + 1)
        if header["type"] == "transaction":
            counts["spans"] += 1 + len(json.loads(envelope[end + 1 : stop]).get("spans", ()))
        elif header["type"] == "log":
            counts["log_records"] += header["item_count"]
        at = stop + 1
    return counts


def _count(path: str, headers: dict[str, str], body: bytes, counts: Counts) -> None:
    counts["requests"] += 1
    counts["bytes"] += len(body)
    if headers.get("content-encoding") == "gzip":
        body = gzip.decompress(body)
    if path in _COUNTED:
        counts[_COUNTED[path]] += otlp_items(body)
    elif path.endswith("/envelope/"):
        counts.update(sentry_items(body))
    elif "x-datadog-trace-count" in headers:
        counts["traces"] += int(headers["x-datadog-trace-count"])


async def _body(reader: asyncio.StreamReader, headers: dict[str, str]) -> bytes:
    if headers.get("transfer-encoding") != "chunked":
        return await reader.readexactly(int(headers.get("content-length", "0")))
    parts = []
    while size := int((await reader.readline()).split(b";")[0], 16):
        parts.append(await reader.readexactly(size))
        await reader.readline()
    await reader.readline()
    return b"".join(parts)


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, counts: Counts) -> None:
    while True:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()
            return
        path = head[0].split(" ")[1]
        headers = {
            name.strip().lower(): text.strip() for name, _, text in (row.partition(":") for row in head[1:])
        }
        body = await _body(reader, headers)
        answer, kind = b"", "application/x-protobuf"
        if path == "/_counts":
            answer, kind = json.dumps(counts).encode(), "application/json"
        elif path not in _COUNTED:
            answer, kind = b"{}", "application/json"
        writer.write(
            f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {len(answer)}\r\n\r\n".encode()
            + answer
        )
        if path != "/_counts":
            _count(path, headers, body, counts)


async def _main() -> None:
    ports = []
    servers = []
    for _ in range(int(sys.argv[1])):
        counts: Counts = collections.Counter()

        async def serve(
            reader: asyncio.StreamReader, writer: asyncio.StreamWriter, counts: Counts = counts
        ) -> None:
            await _serve(reader, writer, counts)

        server = await asyncio.start_server(serve, "127.0.0.1", 0, limit=1 << 20)
        servers.append(server)
        ports.append(server.sockets[0].getsockname()[1])
    print(json.dumps(ports), flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(_main())
