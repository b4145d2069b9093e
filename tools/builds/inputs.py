"""The hash that names a build: the same inputs give the same folder, and any change gives a new one."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path


def input_hash(root: Path, files: Iterable[Path], settings: Iterable[str]) -> str:
    """Hash the content and relative names of files, and settings such as versions and flags.

    Args:
        root: What file names are taken relative to, so that a moved work tree finds its builds again.
        files: The sources, in any order.
        settings: Whatever else decides the result, in a fixed order.

    Returns:
        16 hexadecimal digits.
    """
    digest = hashlib.sha256()
    for setting in settings:
        _add(digest, setting.encode())
    for file in sorted(files):
        _add(digest, file.relative_to(root).as_posix().encode())
        _add(digest, file.read_bytes())
    return digest.hexdigest()[:16]


def _add(digest: hashlib._Hash, part: bytes) -> None:
    """Add one part with its length, so that no two lists of parts run together into the same bytes."""
    digest.update(len(part).to_bytes(8, "big"))
    digest.update(part)
