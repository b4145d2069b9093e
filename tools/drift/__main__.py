"""``python -m tools.drift``: fails with the list of places where a name is used that does not exist.

Exit status: 0 when all is right, 1 when not.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from tools.drift.check import check
from tools.drift.sources import read
from tools.paths import REPOSITORY
from tools.progress import say


def main(arguments: Sequence[str] | None = None) -> int:
    """Check the work tree; returns the exit status."""
    argparse.ArgumentParser(prog="python -m tools.drift", description=__doc__).parse_args(arguments)
    findings = check(read(REPOSITORY))
    for problem in findings.problems:
        say(str(problem))
    for name in findings.unused:
        say(f"ada_otel/catalogue: nothing uses {name}; use it, or give a reason in tools/drift/unused.py")
    for name in findings.used_after_all:
        say(f"tools/drift/unused.py: {name} is used after all; take it out of the list")
    wrong = len(findings.problems) + len(findings.unused) + len(findings.used_after_all)
    say(f"{findings.checked} expressions and fields checked, {wrong} problems")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
