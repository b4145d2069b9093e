"""Imports the SDK's resources without psutil, for both launchers."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from typing import Any

from ada_otel._diagnostics import contained


class _LazyPsutil:
    """Takes psutil's place in the SDK, and imports it when it is first used."""

    def __getattr__(self, name: str) -> Any:
        import psutil

        return getattr(psutil, name)


def import_resources() -> None:
    """Import the SDK's resources without psutil, which only the process's detector uses: 15 ms.

    Done here and not in ``setup``, because no other thread may look for psutil meanwhile; under the launcher
    the app has not begun.
    """
    if "psutil" in sys.modules or "opentelemetry.sdk.resources" in sys.modules:
        return
    with contained("Importing the SDK's resources"):
        if find_spec("psutil") is None:
            return
        sys.modules["psutil"] = None  # type: ignore[assignment]  # documented: an import then fails
        try:
            from opentelemetry.sdk import resources
        finally:
            del sys.modules["psutil"]
        resources.psutil = _LazyPsutil()  # type: ignore[assignment]  # answers as the module does
