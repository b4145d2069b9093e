"""Advisory locks (``flock``) on files that the workers of a host share, waited for a moment and no longer.

Whoever takes one opens and closes the file within :func:`~ada_otel.pipeline.fork.no_fork`: a child that was
forked meanwhile would have the descriptor, and with it the lock, for as long as it lives.
"""

from __future__ import annotations

import contextlib
import time

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

#: Whether there are such locks here.
AVAILABLE = fcntl is not None
_PAUSE = 0.002


def take(descriptor: int, patience: float) -> bool:
    """Take the lock of an open file; False where another process does not let go of it.

    Args:
        descriptor: Of the file.
        patience: The most seconds to wait.
    """
    end = time.monotonic() + patience
    while True:
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        if time.monotonic() >= end:
            return False
        time.sleep(_PAUSE)
