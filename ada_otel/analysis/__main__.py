"""``python -m ada_otel.analysis`` is ``ada-otel``, with the ``logs`` command alone."""

from __future__ import annotations

import argparse
import sys

from ada_otel.analysis import command


def main() -> int:
    """Parse the command line and run the command; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m ada_otel.analysis")
    command.add_parser(parser.add_subparsers(dest="command", required=True))
    return command.run(parser.parse_args())


if __name__ == "__main__":
    sys.exit(main())
