"""The two ways to drive: a load at a rate for a time, and every outcome once."""

from __future__ import annotations

import random
import threading
import time
import uuid
from collections.abc import Callable
from functools import partial

from .mix import STEPS
from .report import Report
from .user import UNMATCHED, DrivenUser

#: A load that the app cannot keep up with is broken off this long after its time, in seconds.
GRACE_SECONDS = 60.0

TRANSPORTS = ("polling", "websocket")

#: How many users the app is seeded with; more driven users share their names.
_SEEDED = 50


def run_load(
    url: str,
    report: Report,
    *,
    users: int,
    rate: float,
    seconds: float,
    seed: int,
    mix: dict[str, float],
    timeout: float,
) -> dict[str, int]:
    """Send ``rate`` steps per second for ``seconds``, shared out among ``users``.

    What is sent depends on the arguments alone, not on how fast the app answers. Signing in comes on top.

    Returns:
        ``planned`` steps, and those ``skipped`` because the app was too slow.
    """
    planned = max(1, round(rate * seconds))
    stop = threading.Event()
    skipped = [0] * users

    def act(number: int) -> None:
        user = DrivenUser(url, f"user{number % _SEEDED + 1:02d}", report, TRANSPORTS[number % 2], timeout)
        rng = random.Random(f"{seed}:{number}")
        names, weights = list(mix), list(mix.values())
        slots = range(number, planned, users)
        _guarded(report, "sign-in", user.sign_in)
        try:
            ready.wait()
        except threading.BrokenBarrierError:
            return
        for done, slot in enumerate(slots):
            # Chosen before the wait, so that a skipped step does not change the ones after it.
            name = rng.choices(names, weights)[0]
            step, _ = STEPS[name]
            late = time.monotonic() - started[0]
            if stop.wait(max(0.0, slot / rate - late)) or late > seconds + GRACE_SECONDS:
                skipped[number] = len(slots) - done
                break
            _guarded(report, name, partial(step, user, rng))
        _guarded(report, "close", user.close)

    started = [0.0]
    ready = threading.Barrier(users, action=lambda: started.__setitem__(0, time.monotonic()))
    threads = [threading.Thread(target=act, args=(number,), daemon=True) for number in range(users)]
    for thread in threads:
        thread.start()
    try:
        for thread in threads:
            thread.join()
    except KeyboardInterrupt:
        stop.set()
        ready.abort()
        for thread in threads:
            thread.join(timeout)
    return {"planned": planned, "skipped": sum(skipped)}


def _guarded(report: Report, what: str, act: Callable[[], None]) -> None:
    """An error that nobody foresaw is reported, and the other users go on."""
    try:
        act()
    except Exception as error:
        report.error(what, error)


def run_once(url: str, report: Report, *, timeout: float) -> dict[str, int]:
    """Each route with each of its outcomes, and each event over each transport, in a fixed order.

    The counts are the same in every run against an app with its default limits, Redis and the AI stand-in.
    """
    mark = uuid.uuid4().hex[:12]  # new names, so that a run does not see what the last one left in Redis
    before = time.monotonic()
    anonymous = DrivenUser(url, "nobody", report, "polling", timeout)
    ada = DrivenUser(url, "ada", report, "polling", timeout)
    guest = DrivenUser(url, "guest", report, "polling", timeout)
    _signing_in(anonymous, ada, guest, mark)
    _pages(anonymous)
    _shop(anonymous, ada, guest, mark)
    _chat_and_files(anonymous, ada, guest)
    for transport in TRANSPORTS:
        _socket(
            DrivenUser(url, "nobody", report, transport, timeout),
            DrivenUser(url, "ada", report, transport, timeout),
        )
    ada.request("POST", "/auth/sign-out", expect=204)
    for user in (anonymous, ada, guest):
        user.close()
    return {"took_ms": round((time.monotonic() - before) * 1000)}


def _signing_in(anonymous: DrivenUser, ada: DrivenUser, guest: DrivenUser, mark: str) -> None:
    anonymous.request("GET", "/auth/me", expect=401)
    anonymous.request("POST", "/auth/sign-in", json={"name": "ada"}, expect=400)
    for _ in range(5):
        anonymous.sign_in("wrong", name=f"no-{mark}", expect=401)
    anonymous.sign_in("wrong", name=f"no-{mark}", expect=429)
    anonymous.sign_in(name="disabled", expect=403)
    ada.sign_in(expect=200)
    guest.sign_in(expect=200)
    ada.request("GET", "/auth/me", expect=200)


def _pages(anonymous: DrivenUser) -> None:
    anonymous.request("GET", "/", expect=200)
    anonymous.request("DELETE", UNMATCHED, path="/items", expect=405)
    anonymous.request("GET", UNMATCHED, path="/missing", expect=404)
    anonymous.request("GET", "/slow", expect=200)
    anonymous.request("GET", "/slow", path="/slow?in=database", expect=200)
    anonymous.request("GET", "/stream", path="/stream?lines=5", expect=200)
    for kind in ("report", "chained", "lookup", "database", "critical"):
        anonymous.request("GET", "/boom", path=f"/boom?kind={kind}", expect=500)
    anonymous.request("GET", "/boom", path="/boom?kind=other", expect=400)


def _shop(anonymous: DrivenUser, ada: DrivenUser, guest: DrivenUser, mark: str) -> None:
    for _ in ("a cache miss", "a cache hit"):
        ada.request("GET", "/items", path=f"/items?search={mark}", expect=200)
    ada.request("GET", "/items", path="/items?limit=many", expect=400)
    ada.request("GET", "/items/<int:item_id>", path="/items/3", expect=200)
    ada.request("GET", "/items/<int:item_id>", path="/items/99", expect=404)
    anonymous.request("POST", "/purchases", json={"item_id": 1}, expect=401)
    guest.request("POST", "/purchases", json={"item_id": 1}, expect=403)
    for item, status in ((1, 201), ("one", 400), (99, 404), (12, 409)):
        ada.request("POST", "/purchases", json={"item_id": item, "quantity": 2}, expect=status)


def _chat_and_files(anonymous: DrivenUser, ada: DrivenUser, guest: DrivenUser) -> None:
    anonymous.request("POST", "/chat", json={"text": "hello"}, expect=401)
    guest.request("POST", "/chat", json={"text": "hello"}, expect=403)
    for text, status in (("hello", 200), ("", 400), ("[ai:error]", 502), ("[ai:garbage]", 502)):
        ada.request("POST", "/chat", json={"text": text}, expect=status)
    anonymous.request("POST", "/files", files={"file": ("a.txt", b"a", "text/plain")}, expect=401)
    guest.request("POST", "/files", files={"file": ("a.txt", b"a", "text/plain")}, expect=403)
    ada.request("POST", "/files", files={"file": ("a.txt", b"some text", "text/plain")}, expect=201)
    ada.request("POST", "/files", files={"other": ("a.txt", b"a", "text/plain")}, expect=400)
    ada.request("POST", "/files", files={"file": ("a.txt", bytes(300_000), "text/plain")}, expect=413)
    ada.request("POST", "/files", files={"file": ("a.exe", b"MZ", "application/x-msdownload")}, expect=415)
    ada.request("GET", "/files/<int:file_id>", path="/files/999999999", expect=404)


def _socket(anonymous: DrivenUser, ada: DrivenUser) -> None:
    anonymous.connect(expect="refused")
    anonymous.close()
    ada.sign_in(expect=200)
    ada.connect(expect="ok")
    ada.emit("join", {"room": "once"}, expect="ok")
    ada.emit("message", {"room": "once", "text": "hello"}, expect="ok")
    ada.emit("message", {"room": "once"}, expect="error")
    ada.emit("report", {}, expect="error")
    ada.emit("leave", {"room": "once"}, expect="ok")
    ada.close()
