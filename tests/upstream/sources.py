"""Brings the upstream test suites in: source distributions and ``opentelemetry-test-utils``, kept in a cache.

They come through pip, from the index that is configured, in the versions that are installed. Nothing of them
is in this repository.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import venv
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

SUITES = ("flask", "redis", "sqlalchemy")
# What the suites import beside what the tests of this repository need.
_HELPERS = ("fakeredis", "sortedcontainers", "pytest-asyncio")
_TIMEOUT_SECONDS = 300


class SourcesMissingError(RuntimeError):
    """The suites could not be downloaded; the message holds what pip said."""


@dataclass(frozen=True)
class Sources:
    """Where the suites are.

    Attributes:
        folder: Holds one folder per suite, with ``tests`` in it.
        packages: Goes on the import path: ``opentelemetry.test`` and what else the suites import.
    """

    folder: Path
    packages: Path


def fetch() -> Sources:
    """Give the suites, from the cache or, once per version, from the package index.

    The cache is ``$ADA_OTEL_CACHE`` or ``~/.cache/ada-otel``.

    Raises:
        SourcesMissingError: pip could not download them.
    """
    cache = Path(os.environ.get("ADA_OTEL_CACHE") or Path.home() / ".cache" / "ada-otel").expanduser()
    release = version("opentelemetry-instrumentation-flask")
    home = cache / "upstream" / release
    sources = Sources(home / "suites", home / "packages")
    if not (home / "complete").exists():
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir(parents=True)
        _download(home, release)
        _unpack(home, sources)
        (home / "complete").touch()
    return sources


def _download(home: Path, release: str) -> None:
    # A venv of its own: the one that runs the tests may have no pip, and must not get a build backend.
    venv.create(home / "pip", with_pip=True)
    pip = [str(home / "pip" / "bin" / "python"), "-m", "pip", "--quiet", "--disable-pip-version-check"]
    _run([*pip, "install", "hatchling"])
    names = [f"opentelemetry-instrumentation-{suite}=={release}" for suite in SUITES]
    downloads = str(home / "downloads")
    _run(
        [
            *pip,
            "download",
            "--no-deps",
            "--no-binary",
            ":all:",
            "--no-build-isolation",
            "--dest",
            downloads,
            *names,
        ]
    )
    packages = str(home / "packages")
    helpers = [f"opentelemetry-test-utils=={release}", *_HELPERS]
    _run([*pip, "install", "--no-deps", "--target", packages, *helpers])


def _unpack(home: Path, sources: Sources) -> None:
    for suite in SUITES:
        (archive,) = (home / "downloads").glob(f"opentelemetry_instrumentation_{suite}-*.tar.gz")
        with tarfile.open(archive) as opened:
            for member in opened.getmembers():
                inside = Path(*Path(member.name).parts[1:])
                if inside.parts[:1] == ("tests",) and member.isfile() and ".." not in inside.parts:
                    content = opened.extractfile(member)
                    assert content is not None
                    target = sources.folder / suite / inside
                    target.parent.mkdir(parents=True, exist_ok=True)
                    target.write_bytes(content.read())


def _run(command: list[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise SourcesMissingError(f"pip took over {_TIMEOUT_SECONDS} s: {' '.join(command[3:])}") from error
    if done.returncode:
        raise SourcesMissingError(f"{' '.join(command[1:])}\n{done.stderr[-2000:]}")


if __name__ == "__main__":
    sys.stdout.write(f"{fetch()}\n")
