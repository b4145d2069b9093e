"""Runs a build command, keeps its output in a log, and shows the end of it when the command fails."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from tools.errors import ToolError


def run(command: Sequence[str], *, what: str, log: Path, folder: Path, environ: Mapping[str, str]) -> None:
    """Run ``command`` to its end.

    Args:
        command: Program and arguments.
        what: Names the work in the error, as in "building the collector".
        log: Where its output goes.
        folder: Where it runs.
        environ: Its whole environment.

    Raises:
        ToolError: The command is missing or failed; with the last lines of its output.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        try:
            code = subprocess.run(
                command,
                cwd=folder,
                env=dict(environ),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                check=False,
            ).returncode
        except OSError as error:
            raise ToolError(f"{what} failed: {command[0]} cannot be run: {error.strerror}") from None
    if code:
        raise ToolError(f"{what} failed with exit code {code}; the end of {log}:\n{tail(log)}")


def tail(file: Path, lines: int = 20, skip: int = 0) -> str:
    """The last lines of a file, indented; a remark in place of an empty or missing one.

    Args:
        file: The file.
        lines: How many lines at most.
        skip: Bytes at its beginning that are not shown, such as what an earlier run wrote.
    """
    try:
        text = file.read_bytes()[skip:].decode("utf-8", errors="replace").splitlines()[-lines:]
    except OSError:
        text = []
    return "\n".join(f"    {line[:400]}" for line in text) or "    (it wrote nothing)"
