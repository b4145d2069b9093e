"""Where the tools read and write: the work tree, the cache that outlives it, and the state of one stack."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

#: The root of the work tree.
REPOSITORY = Path(__file__).resolve().parents[1]

#: All that the platform team owns: the configuration that the servers are started with.
COLLECTOR = REPOSITORY / "collector"


def cache_folder(environ: Mapping[str, str] | None = None) -> Path:
    """The folder for what is slow to make and safe to delete: built servers, jars.

    It is ``$ADA_OTEL_CACHE``, else ``$XDG_CACHE_HOME/ada-otel``, else ``~/.cache/ada-otel``.
    """
    env = os.environ if environ is None else environ
    if chosen := env.get("ADA_OTEL_CACHE"):
        return Path(chosen).expanduser().absolute()
    if xdg := env.get("XDG_CACHE_HOME"):
        return Path(xdg).expanduser().absolute() / "ada-otel"
    return Path.home() / ".cache" / "ada-otel"


def state_folder(environ: Mapping[str, str] | None = None) -> Path:
    """The folder of the command line's stack: ``$ADA_OTEL_STATE``, else ``.stack`` in the work tree."""
    env = os.environ if environ is None else environ
    if chosen := env.get("ADA_OTEL_STATE"):
        return Path(chosen).expanduser().absolute()
    return REPOSITORY / ".stack"
