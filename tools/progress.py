"""Progress lines on standard error, so that nobody waits before a silent terminal."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

_lock = threading.Lock()


def say(text: str) -> None:
    """Write one line, whole, whichever thread it comes from."""
    with _lock:
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()


@contextmanager
def step(text: str, every: float = 30.0) -> Iterator[None]:
    """Say what begins, then every so often that it still goes on, and how long it took when it is done.

    Args:
        text: What is done, as in "building the collector".
        every: Seconds between two signs of life.
    """
    say(f"== {text}")
    began = time.monotonic()
    done = threading.Event()

    def remind() -> None:
        while not done.wait(every):
            say(f"   still {text.split(':', maxsplit=1)[0]} ({time.monotonic() - began:.0f} s)")

    thread = threading.Thread(target=remind, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
    say(f"   done in {time.monotonic() - began:.1f} s")
