"""Reads ``versions.yaml``, the one place that pins the version of every server and tool chain."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

VERSIONS_FILE = Path(__file__).with_name("versions.yaml")


@lru_cache(maxsize=1)
def _table() -> dict[str, Any]:
    loaded = yaml.safe_load(VERSIONS_FILE.read_text(encoding="utf-8"))
    assert isinstance(loaded, dict)
    return loaded


def pinned(name: str, part: str | None = None) -> str:
    """The pinned version of ``name``.

    Args:
        name: A key of ``versions.yaml``, such as ``elasticsearch``.
        part: A key below it, where there is more than one: ``minimum`` of ``go``.

    Raises:
        KeyError: There is no such entry.
    """
    entry = _table()[name]
    return str(entry[part] if part is not None else entry)


def as_tuple(version: str) -> tuple[int, ...]:
    """A version's first numbers, to compare by: ``go1.26.8`` and ``v1.26.8-rc.1`` → ``(1, 26, 8)``."""
    found = re.search(r"\d+(?:\.\d+)*", version)
    return tuple(int(number) for number in found.group().split(".")) if found else ()


def at_least(version: str, minimum: str) -> bool:
    """Whether ``version`` is ``minimum`` or newer, by its numbers."""
    return as_tuple(version) >= as_tuple(minimum)
