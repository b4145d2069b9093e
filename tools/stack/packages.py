"""The servers that come from the system's packages: installed where we may, named where we may not."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

from tools.errors import ToolError
from tools.progress import step


@dataclass(frozen=True)
class Package:
    """What one server is called by the package managers.

    Attributes:
        apt: On Debian and Ubuntu.
        dnf: On Fedora and its relatives.
        brew: On macOS.
    """

    apt: str
    dnf: str
    brew: str


PACKAGES = {
    "redis": Package("redis-server", "redis", "redis"),
    "postgresql": Package("postgresql", "postgresql-server", "postgresql"),
}


def missing_program(title: str, server: str) -> ToolError:
    """The error for a server that is not installed, with the command that installs it."""
    package = PACKAGES[server]
    return ToolError(
        f"{title} is not installed. Install it:\n"
        f"    apt-get install {package.apt}\n"
        f"    (Fedora: dnf install {package.dnf}; macOS: brew install {package.brew})\n"
        "    As root on Debian or Ubuntu, `python -m tools.stack install` does it."
    )


def install(servers: Sequence[str]) -> None:
    """Install the packages of ``servers`` with apt-get.

    Raises:
        ToolError: There is no apt-get, this is not root, or it failed; names the command to give by hand.
    """
    names = [PACKAGES[server].apt for server in servers]
    command = ["apt-get", "install", "--yes", "--no-install-recommends", *names]
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        raise ToolError(f"run this as root, or its like on your system: {' '.join(command)}")
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    with step(f"installing {', '.join(names)}: about a minute"):
        done = _run(command, quiet)
        if done.returncode:
            # A machine that never ran it has no lists of packages, or old ones.
            _run(["apt-get", "update", "--quiet"], quiet)
            done = _run(command, quiet)
    if done.returncode:
        raise ToolError(f"{' '.join(command)} failed:\n{done.stdout[-2000:]}")


def _run(command: Sequence[str], environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
