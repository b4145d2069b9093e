"""Real servers for tests: there, or the test says why not."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TypeVar

import pytest

from tools.errors import ToolError

Started = TypeVar("Started")


def or_skip(start: Callable[[], Started]) -> Started:
    """What ``start`` gives; without what it needs the test is skipped with the reason, and fails in CI."""
    try:
        return start()
    except ToolError as error:
        if os.environ.get("CI", "").lower() == "true":
            raise
        pytest.skip(str(error))
