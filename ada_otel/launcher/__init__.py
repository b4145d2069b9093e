"""``ada-otel run COMMAND …``: starts a program under telemetry, with no line in it.

Does what ``opentelemetry-instrument`` does where this distribution is the one in force, and starts sooner: no
other one is looked for, and OpenTelemetry is imported in the program alone, and not here too. A process that
only becomes another one imports this module, so it imports next to nothing itself.
"""

from __future__ import annotations

import os
import sys

__all__ = ["run"]

#: Put on ``PYTHONPATH``: its ``sitecustomize`` is what Python imports first.
SITE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "site")  # noqa: PTH118, PTH120, PTH100  # lean

_USAGE = """\
usage: ada-otel run COMMAND [ARGUMENT ...]

Starts COMMAND under telemetry, as opentelemetry-instrument does. What is sent, and where, is said by
environment variables, such as OTEL_SERVICE_NAME and OTEL_EXPORTER_OTLP_ENDPOINT.
"""


def run(words: list[str]) -> int:
    """Become the program.

    Args:
        words: The command, found on ``PATH``, and its arguments.

    Returns:
        The exit code where there is nothing to become: 0 after ``--help``, 2 without a command, 127 for one
        that is not found and 126 for one that cannot be run, as a shell has them.
    """
    if words[:1] == ["--"]:
        words = words[1:]
    if words[:1] in (["-h"], ["--help"]):
        sys.stdout.write(_USAGE)
        return 0
    if not words or words[0].startswith("-"):
        wrong = f"ada-otel run: {words[0]} comes before a command; it takes no options\n" if words else ""
        sys.stderr.write(wrong + _USAGE)
        return 2
    # The folder that the program is started in counts as well, as under opentelemetry-instrument.
    others = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path and path != SITE]
    here = os.getcwd()  # noqa: PTH109  # lean
    os.environ["PYTHONPATH"] = os.pathsep.join([SITE, *([] if here in others else [here]), *others])
    try:
        os.execvp(words[0], words)  # noqa: S606  # what the user asked for, and without a shell
    except OSError as error:
        sys.stderr.write(f"ada-otel run: {words[0]}: {error.strerror}\n")
        return 127 if isinstance(error, FileNotFoundError) else 126
