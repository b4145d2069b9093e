"""Drives the app in process, through its WSGI callable or Socket.IO events, as told by JSON lines on stdin.

Each answer is one JSON line on what was standard output at start. The first one is given when the app is
ready, with what the start has used.
"""

from __future__ import annotations

import cProfile
import gc
import io
import json
import os
import pstats
import resource
import sys
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

# Before the app is imported, so that nothing that it or an SDK prints comes between the answers.
_answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
os.dup2(2, 1)

import app as bench  # type: ignore[import-not-found]  # noqa: E402 - beside this file when it runs
import peers  # type: ignore[import-not-found]  # noqa: E402 - likewise

_Drive = Callable[[int], None]


def _ignore(_data: bytes) -> None:
    """Take the place of ``write`` of PEP 3333, which Flask does not call."""


def _start_response(_status: str, _headers: list[tuple[str, str]], _error: Any = None) -> Any:
    return _ignore


def _environ(route: str) -> dict[str, Any]:
    """Give what a WSGI server hands over for a browser's request."""
    return {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": f"/{route}/1",
        "QUERY_STRING": "page=1",
        "RAW_URI": f"/{route}/1?page=1",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "8000",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "REMOTE_PORT": "55555",
        "HTTP_HOST": "localhost:8000",
        "HTTP_USER_AGENT": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36",
        "HTTP_ACCEPT": "*/*",
        "HTTP_ACCEPT_ENCODING": "gzip",
        "HTTP_COOKIE": "session=abc",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }


def _driver(route: str) -> _Drive:
    """What makes the app serve a number of requests, or of events."""
    if route == "event":
        import events  # type: ignore[import-not-found]  # beside this file; only those who measure it pay for it

        drive: _Drive = events.drive
        return drive
    environ = _environ(route)

    def requests(number: int) -> None:
        wsgi = bench.app
        for _ in range(number):
            body = wsgi(dict(environ), _start_response)
            for _part in body:
                pass
            body.close()

    return requests


class _Block:
    """What a block of requests takes, all their telemetry sent. It begins when it is made."""

    def __init__(self) -> None:
        gc.collect()
        self._served, self._thread = 0, 0.0
        self._cpu = time.process_time()

    def serve(self, drive: _Drive, requests: int) -> None:
        """Serve a part of it."""
        on_thread = time.thread_time()
        drive(requests)
        self._thread += time.thread_time() - on_thread
        self._served += requests

    def end(self) -> dict[str, float]:
        """Send its telemetry; gives CPU in µs per request, of the process and of the thread that serves."""
        peers.flush()
        used = time.process_time() - self._cpu
        return {"cpu_us": used / self._served * 1e6, "thread_us": self._thread / self._served * 1e6}


_blocks: list[_Block] = []


def _allocations(drive: _Drive, requests: int) -> dict[str, float]:
    """Give the memory of one request: its peak, and what telemetry holds until it is sent and after."""
    # Twice, because the first pass fills caches.
    for _ in range(2):
        peers.flush()
        gc.collect()
        before = sys.getallocatedblocks()
        drive(requests)
        gc.collect()
        waiting = sys.getallocatedblocks() - before
        peers.flush()
        gc.collect()
        kept = sys.getallocatedblocks() - before
    tracemalloc.start()
    drive(20)
    peaks = []
    for _ in range(50):
        start, _peak = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        drive(1)
        peaks.append(tracemalloc.get_traced_memory()[1] - start)
    tracemalloc.stop()
    return {
        "peak_bytes": sorted(peaks)[len(peaks) // 2],
        "blocks_until_sent": waiting / requests,
        "blocks_after": kept / requests,
    }


def _profile(drive: _Drive, requests: int, rows: int) -> str:
    """Profile the thread that serves requests, by own time."""
    profiler = cProfile.Profile()
    profiler.enable()
    drive(requests)
    profiler.disable()
    text = io.StringIO()
    pstats.Stats(profiler, stream=text).sort_stats("tottime").print_stats(rows)
    return text.getvalue()


def _answer(command: dict[str, Any]) -> Any:
    drive = _driver(command["route"])
    if command["do"] == "begin":
        _blocks[:] = [_Block()]
        return None
    if command["do"] == "serve":
        return _blocks[0].serve(drive, command["requests"])
    if command["do"] == "end":
        return _blocks[0].end()
    if command["do"] == "allocations":
        return _allocations(drive, command["requests"])
    if command["do"] == "profile":
        return _profile(drive, command["requests"], command["rows"])
    return {"rss_kib": bench.resident_kib()}


def _say(answer: Any) -> None:
    _answers.write(json.dumps(answer) + "\n")
    _answers.flush()


def _main() -> None:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    _say(
        {
            "cpu_s": time.process_time() + children.ru_utime + children.ru_stime,
            "rss_kib": bench.resident_kib(),
        }
    )
    for line in sys.stdin:
        _say(_answer(json.loads(line)))
    # Exit work is not measured here, and a stock SDK may take seconds for it.
    os._exit(0)


if __name__ == "__main__":
    _main()
