"""What modules of this folder share, beside the servers."""

from __future__ import annotations

import pytest

from tests.support.driven import Driven, drive
from tools.stack import Stack


@pytest.fixture(scope="session")
def driven(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Driven:
    """A load of the example app that has arrived in the back ends."""
    return drive(stack, tmp_path_factory.mktemp("ada"))
