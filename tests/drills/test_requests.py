"""What a request has to do with an export: no lock in common, and no memory that stays."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.drills.faults import Request, answer, collector
from tests.drills.programs import ASSEMBLED, Program
from tests.drills.report import LONG, figures
from tests.drills.test_exit import sick

pytestmark = pytest.mark.drill

#: Comes before everything else: from here on each lock knows where it was made and who has it, and each
#: network call notes which locks its thread has.
WATCH = """
import json, socket, sys, threading, time
held, asked, networked, sites = {}, {}, set(), []
watched_thread = 0

class Watched:
    def __init__(self, lock):
        frame = sys._getframe(2)
        while frame.f_code.co_filename == threading.__file__:
            frame = frame.f_back
        self.lock, self.owner, self.key = lock, 0, len(sites)
        sites.append(f"{frame.f_globals.get('__name__')}:{frame.f_lineno}")
    def acquire(self, blocking=True, timeout=-1):
        me, begun = threading.get_ident(), time.perf_counter()
        got = self.lock.acquire(blocking, timeout)
        if me == watched_thread:
            asked[self.key] = max(asked.get(self.key, 0.0), time.perf_counter() - begun)
        if got:
            self.owner = me
            held.setdefault(me, []).append(self.key)
        return got
    def release(self):
        owner = self.owner
        self.lock.release()
        if self.key in held.get(owner, ()):
            held[owner].remove(self.key)
    def __enter__(self): return self.acquire()
    def __exit__(self, *_): self.release()
    def __getattr__(self, name): return getattr(self.lock, name)

class Maker:  # no function: as an attribute of a class it would become a method
    def __init__(self, make): self.make = make
    def __call__(self): return Watched(self.make())

threading.Lock, threading.RLock = Maker(threading.Lock), Maker(threading.RLock)

def noting(name):
    call = getattr(socket.socket, name)
    def noted(self, *arguments):
        networked.update(held.get(threading.get_ident(), ()))
        return call(self, *arguments)
    setattr(socket.socket, name, noted)
for name in ("connect", "send", "sendall", "recv_into"): noting(name)
"""

APP = """
from flask import Flask
app = Flask("drill")
@app.get("/<int:number>")
def one(number):
    with tracer.start_as_current_span("work"):
        lines.info("a line", extra={"number": number})
        counter.add(1, {"kind": "drill"})
    return "ok"
from werkzeug.test import EnvironBuilder
environ = EnvironBuilder(path="/1").get_environ()
def request():
    body = app(dict(environ), lambda *_: None)
    assert b"".join(body) == b"ok"
    body.close()
"""

REQUESTING = """
for _ in range(50): request()
time.sleep(1)  # the exporters are at it
watched_thread = threading.get_ident()
longest = 0.0
for _ in range(TOTAL):
    begun = time.perf_counter()
    request()
    longest = max(longest, time.perf_counter() - begun)
watched_thread = 0
print("RESULT", json.dumps({
    "asked": sorted({sites[key] for key in asked}),
    "exporting": sorted({sites[key] for key in networked}),
    "both": sorted({sites[key] for key in networked & set(asked)}),
    "longest_wait_ms": max(asked.values(), default=0.0) * 1e3,
    "longest_request_ms": longest * 1e3,
}), flush=True)
"""


@pytest.mark.parametrize("kind", ["black_hole", "drip"] if LONG else ["black_hole"])
def test_no_request_takes_a_lock_that_an_export_holds(kind: Any, tmp_path: Path) -> None:
    with sick(kind) as endpoint:
        program = Program(
            ASSEMBLED + APP + REQUESTING.replace("TOTAL", "20000" if LONG else "1000"),
            tmp_path,
            endpoint,
            setup=WATCH,
            ADA_OTEL_EXIT_TIMEOUT="0.2",
            OTEL_METRIC_EXPORT_INTERVAL="200",
            OTEL_BSP_SCHEDULE_DELAY="50",
            OTEL_BLRP_SCHEDULE_DELAY="50",
        )
        out, err = program.process.communicate(timeout=300)
    assert "RESULT" in out, err
    found = json.loads(out.split("RESULT")[1])
    figures("locks of a request", collector=kind, **found)
    assert any("sender" in site for site in found["exporting"])  # exports were under way: the watch works
    assert found["both"] == []
    assert found["longest_wait_ms"] < 1000  # an attempt lasts ten seconds


MEMORY = """
import gc
def resident():
    gc.collect()
    with open("/proc/self/statm") as file: return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")
def drive(count):
    for number in range(count):
        request()
        if not number % 100: time.sleep(0.001)
drive(WARM)
before = resident()
drive(TOTAL)
print("RESULT", resident() - before, before, flush=True)
"""


@pytest.mark.parametrize("kind", ["healthy", "503"] if LONG else ["503"])
def test_memory_is_flat(kind: Any, tmp_path: Path) -> None:
    """By resident memory, after the queues have had time to fill."""
    total, warm = (1_000_000, 20_000) if LONG else (10_000, 3_000)

    def forget(_request: Request) -> bytes:
        server.requests.clear()
        server.accepted.clear()
        return answer(200 if kind == "healthy" else 503)

    with collector() as server:
        server.mode = forget
        program = Program(
            APP + MEMORY.replace("WARM", str(warm)).replace("TOTAL", str(total)),
            tmp_path,
            server.endpoint,
            setup=ASSEMBLED,
            ADA_OTEL_EXIT_TIMEOUT="0.2",
            OTEL_BSP_SCHEDULE_DELAY="50",
            OTEL_BLRP_SCHEDULE_DELAY="50",
        )
        out, err = program.process.communicate(timeout=7200 if LONG else 300)
    assert "RESULT" in out, err
    growth, before = map(int, out.split("RESULT")[1].split())
    figures("memory", collector=kind, requests=total, growth_bytes_per_request=round(growth / total, 2),
            resident_mib=round(before / 2**20, 1))  # fmt: skip
    assert growth < 6 * 2**20
