"""Free ports of the loopback interface, for the servers that tests start."""

from __future__ import annotations

import os
import random

from tools.errors import ToolError
from tools.stack.ports import FREE_RANGE, LOOPBACK, is_free

_INDEX = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_COUNT = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))

#: The ports of this process, where tests run in several: no other one chooses them.
OWN_RANGE = FREE_RANGE[_INDEX % _COUNT :: _COUNT]


def free_port() -> int:
    """A port of 127.0.0.1 that nothing listens on just now, and that no outgoing connection takes."""
    for port in random.sample(OWN_RANGE, len(OWN_RANGE)):
        if is_free(port):
            return port
    raise ToolError(f"no free port between {OWN_RANGE.start} and {OWN_RANGE.stop} on {LOOPBACK}")
