"""The command line ``ada-otel``.

Each sub-command is a module with two functions: ``add_parser(subparsers)`` adds its parser, under the name
that :data:`COMMANDS` has it by, and ``run(args)`` returns the exit code. Only the module of the command that
was asked for is imported, so that one command's packages are no burden to another. ``run`` is the launcher:
what follows it is another program's and no parser's, and it imports nothing that it does not need.
"""

from __future__ import annotations

import sys

from ada_otel._version import __version__
from ada_otel.launcher import run

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

#: The module of each sub-command.
COMMANDS: dict[str, str] = {
    "dashboards": "ada_otel.dashboards.command",
    "logs": "ada_otel.analysis.command",
    "performance": "ada_otel.performance.command",
    "probe": "ada_otel.probe.command",
    "sentry-bridge": "ada_otel.sentry_bridge.command",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: Its words; those of the process by default.

    Returns:
        The exit code: that of the sub-command, or 2 if it cannot be run here.

    Raises:
        SystemExit: By argparse, for ``--help``, ``--version``, and words that it does not know.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words[:1] == ["run"]:
        return run(words[1:])
    return _command(words)


def _command(words: list[str]) -> int:
    import argparse
    import importlib

    parser = argparse.ArgumentParser(
        prog="ada-otel", description="Tools of the OpenTelemetry distribution for ADA."
    )
    parser.add_argument("--version", action="version", version=f"ada-otel {__version__}")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    subparsers.add_parser("run", help="start a program under telemetry")
    asked = words[0] if words and words[0] in COMMANDS else None
    modules: dict[str, ModuleType] = {}
    for name in [asked] if asked else COMMANDS:
        try:
            module = importlib.import_module(COMMANDS[name])
        except ImportError as error:
            if asked:
                sys.stderr.write(f"ada-otel {name}: {_missing(error)}\n")
                return 2
            subparsers.add_parser(name, help=f"not available: {_missing(error)}")
            continue
        module.add_parser(subparsers)
        modules[name] = module
    options = parser.parse_args(words)
    return int(modules[options.command].run(options))


def _missing(error: ImportError) -> str:
    return f"the package {error.name} is needed and not installed" if error.name else str(error)


if __name__ == "__main__":
    sys.exit(main())
