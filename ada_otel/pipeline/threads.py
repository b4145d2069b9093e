"""Starts the threads of this package: daemons, which no signal of uWSGI's reaches."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

#: What uWSGI stops a worker with. Its handlers call ``exit()`` in whatever thread the kernel picks; in any
#: but the main one, Python's end then waits for the main one, for ever.
_STOPS = {getattr(signal, name) for name in ("SIGHUP", "SIGINT", "SIGTERM") if hasattr(signal, name)}


def start(target: Callable[..., object], name: str, *args: object) -> threading.Thread:
    """Run ``target(*args)`` in a daemon thread.

    Raises:
        RuntimeError: There is no thread to be had, or the interpreter is ending.
    """
    thread = threading.Thread(target=target, name=name, args=args, daemon=True)
    with away_from_signals():
        thread.start()
    return thread


@contextmanager
def away_from_signals() -> Iterator[None]:
    """Let threads that are started in the block leave uWSGI's signals to the main thread, as its own do.

    Elsewhere nothing is blocked: CPython's handlers may run in any thread, and a mask is inherited by the
    processes that a thread starts.
    """
    if "uwsgi" not in sys.modules:
        yield
        return
    earlier = signal.pthread_sigmask(signal.SIG_BLOCK, _STOPS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, earlier)
