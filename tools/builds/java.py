"""Finds a JDK that is new enough for Elasticsearch."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tools.errors import ToolError
from tools.versions import at_least, pinned

#: Where Linux distributions and macOS put JDKs.
_USUAL_FOLDERS = ("/usr/lib/jvm", "/usr/java", "/opt/java", "/Library/Java/JavaVirtualMachines")


@dataclass(frozen=True)
class Jdk:
    """A JDK.

    Attributes:
        version: Such as ``25.0.1``.
        home: Its folder, with ``bin/java`` and ``bin/javac``.
    """

    version: str
    home: Path


def find_jdk(environ: Mapping[str, str] | None = None, folders: Iterable[str] = _USUAL_FOLDERS) -> Jdk:
    """The first JDK that is new enough, of ES_JAVA_HOME, JAVA_HOME, PATH and the usual folders.

    Args:
        environ: This process's environment by default.
        folders: Folders that hold JDKs, searched last.

    Raises:
        ToolError: Lists what was found and was too old, and says how to get a JDK.
    """
    env = os.environ if environ is None else environ
    minimum = pinned("jdk", "minimum")
    seen: dict[Path, str] = {}
    for home in _candidates(env, folders):
        if home in seen or not (home / "bin" / "javac").is_file():
            continue
        seen[home] = _version_of(home)
        if at_least(seen[home], minimum):
            return Jdk(seen[home], home)
    found = "".join(
        f"\n    found, too old: {version or 'of unknown version'} in {home}" for home, version in seen.items()
    )
    raise ToolError(
        f"Elasticsearch needs a JDK {minimum} or newer (with javac), and there is none.{found}\n"
        f"    Install one (Debian 13, Ubuntu: apt-get install openjdk-{minimum}-jdk-headless; anywhere: https://adoptium.net)\n"
        "    and, if it is not found, set ES_JAVA_HOME to its folder."
    )


def _candidates(environ: Mapping[str, str], folders: Iterable[str]) -> Iterator[Path]:
    for name in ("ES_JAVA_HOME", "JAVA_HOME"):
        if environ.get(name):
            yield Path(environ[name]).resolve()
    for folder in environ.get("PATH", "").split(os.pathsep):
        compiler = Path(folder or ".") / "javac"
        if compiler.is_file():
            yield compiler.resolve().parent.parent
    for folder in folders:
        parent = Path(folder)
        if parent.is_dir():
            for home in sorted(parent.iterdir(), reverse=True):
                inner = home / "Contents" / "Home"
                yield (inner if inner.is_dir() else home).resolve()


def _version_of(home: Path) -> str:
    """The version by the JDK's ``release`` file, else by its ``javac``; empty if neither can be read."""
    release = home / "release"
    if release.is_file():
        for line in release.read_text(encoding="utf-8", errors="replace").splitlines():
            name, _, value = line.partition("=")
            if name == "JAVA_VERSION":
                return value.strip('"')
    try:
        answer = subprocess.run(
            [str(home / "bin" / "javac"), "-version"], capture_output=True, text=True, timeout=30, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return (answer.stdout or answer.stderr).strip().removeprefix("javac ")
