"""One stack of real servers for the integration tests of a run; skipped, with the reason, without them."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tools.errors import ToolError
from tools.stack import Stack, free_ports


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """All servers of ``make stack``, on free ports. With CI=true a server that is missing is a failure."""
    servers = Stack(state_dir=tmp_path_factory.mktemp("stack"), ports=free_ports())
    try:
        servers.up()
    except ToolError as error:
        if os.environ.get("CI", "").lower() == "true":
            raise
        pytest.skip(f"the servers could not be started: {error}")
    yield servers
    servers.down(purge=True)
