"""Run a small program in a process of its own, under the launcher or not."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from pathlib import Path

#: Telemetry variables of whoever runs the tests must not reach the programs under test.
_FOREIGN = ("OTEL_", "ADA_", "APP_VERSION", "SENTRY_DSN", "SLACK_WEBHOOK_URL", "PYTHONPATH")

_SCRIPTS = Path(sysconfig.get_path("scripts"))
LAUNCHER = str(_SCRIPTS / "opentelemetry-instrument")
#: The launcher of ours, with its first argument.
OWN_LAUNCHER = (str(_SCRIPTS / "ada-otel"), "run")


def clean_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's environment without telemetry variables, and with ``extra``."""
    kept = {key: text for key, text in os.environ.items() if not key.startswith(_FOREIGN)}
    return {**kept, **(extra or {})}


def run_program(
    source: str,
    folder: Path,
    *,
    launcher: bool | Sequence[str] = False,
    environment: Mapping[str, str] | None = None,
    timeout: float = 60,
) -> subprocess.CompletedProcess[str]:
    """Write ``source`` to ``folder``/program.py and run it there.

    Args:
        source: The program.
        folder: Where it runs.
        launcher: Whether ``opentelemetry-instrument`` starts it, or what else does.
        environment: Variables to add.
        timeout: Seconds until it is ended and the test fails.
    """
    program = folder / "program.py"
    program.write_text(source)
    command = [sys.executable, str(program)]
    if launcher:
        command = [*([LAUNCHER] if launcher is True else launcher), *command]
    return subprocess.run(
        command,
        cwd=folder,
        env=clean_environment(environment),
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
