"""Runs a bridge in a thread."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from ada_otel.sentry_bridge import Bridge


@contextmanager
def serving(bridge: Bridge) -> Iterator[Bridge]:
    """The bridge, until the end of the block."""
    thread = threading.Thread(target=bridge.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield bridge
    finally:
        bridge.shutdown()
        bridge.server_close()
        thread.join()
