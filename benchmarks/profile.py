"""Where the CPU of a request goes: cProfile of the serving thread, by own time.

Run ``python -m benchmarks.profile plain|full|sampled|event [--variant ada] [--requests N] [--rows N]``.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks import environments, processes
from benchmarks.variants import CASES, EVENT, OURS, VARIANTS
from tools.errors import ToolError
from tools.progress import say

_CASES = {**CASES, EVENT.name: EVENT}


def profile(case: str, variant: str, requests: int, rows: int) -> str:
    """Give cProfile's table for ``requests`` requests, after a warm-up."""
    environments.prepare([VARIANTS[variant]])
    with (
        tempfile.TemporaryDirectory(prefix="ada-bench-") as folder,
        processes.surroundings([variant], Path(folder)) as around,
    ):
        worker = processes.Worker(VARIANTS[variant], _CASES[case], around)
        try:
            worker.serve(requests)
            measured = worker.serve(requests)
            table: str = worker.ask("profile", requests=requests, rows=rows)
        finally:
            worker.close()
    head = (
        f"{VARIANTS[variant].title}, {_CASES[case].title}: {requests} requests. Without the profiler "
        f"{measured['cpu_us']:.1f} µs CPU per request, "
        f"{measured['thread_us']:.1f} of it on the serving thread."
    )
    short = re.sub(r"/\S*/site-packages/", "", table)
    return f"{head}\n{short}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a profile; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.profile", description=__doc__)
    parser.add_argument("case", choices=_CASES)
    parser.add_argument("--variant", choices=VARIANTS, default=OURS)
    parser.add_argument("--requests", type=int, default=5000)
    parser.add_argument("--rows", type=int, default=50)
    chosen = parser.parse_args(arguments)
    try:
        print(profile(chosen.case, chosen.variant, chosen.requests, chosen.rows))
    except ToolError as error:
        say(f"error: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
