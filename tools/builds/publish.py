"""Puts a finished build into its place in the cache: whole or not at all, and only one at a time."""

from __future__ import annotations

import fcntl
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path


def build_once(place: Path, make: Callable[[Path], None]) -> Path:
    """Return ``place``; if it is not there yet, make it first.

    A lock keeps a second process from making the same thing at the same time. What a failed ``make`` leaves
    behind is deleted, so that a folder which exists is a folder which is whole.

    Args:
        place: The folder of the result, named by the hash of its inputs.
        make: Fills the empty folder that it is given.
    """
    if place.is_dir():
        return place
    place.parent.mkdir(parents=True, exist_ok=True)
    with (place.parent / f".{place.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if place.is_dir():
            return place
        folder = Path(tempfile.mkdtemp(prefix=f".{place.name}.", dir=place.parent))
        try:
            make(folder)
            folder.chmod(0o755)
            folder.rename(place)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
    return place
