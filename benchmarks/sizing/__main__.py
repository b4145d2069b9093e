"""Bytes in each back end for a million requests, and how far one collector goes.

``python -m benchmarks.sizing`` takes about ten minutes, writes ``benchmarks/results/sizing.json``, and makes
``docs/sizing.md`` of it. ``--short`` is a try of about three minutes, whose figures say less. ``--page``
makes only the page.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from benchmarks.sizing import page, storage, throughput
from tools.errors import ToolError
from tools.paths import REPOSITORY
from tools.progress import say, step
from tools.versions import pinned

RESULTS = REPOSITORY / "benchmarks" / "results" / "sizing.json"
PAGE = REPOSITORY / "docs" / "sizing.md"


def measure(short: bool) -> dict[str, Any]:
    """Take all measures, one after the other.

    Args:
        short: A try that says less.
    """
    load = os.getloadavg()[0]
    rounds = throughput.Rounds(1, 2.0) if short else throughput.Rounds(4, 8.0)
    with tempfile.TemporaryDirectory(prefix="ada-sizing-") as name:
        with step("the collector: items per second"):
            collector = throughput.measure(Path(name) / "collector", rounds)
        with step("the back ends: bytes"):
            stored = storage.measure(Path(name) / "storage", 30 if short else 130, 40)
    return {
        "run": {
            "date": datetime.now(timezone.utc).strftime("%Y-%m-%d"),
            "short": short,
            "machine": platform.machine(),
            "cores": os.cpu_count(),
            "load_average": [round(load, 1), round(os.getloadavg()[0], 1)],
            "rounds": rounds.number,
            "round_seconds": rounds.seconds,
            "versions": {server: pinned(server) for server in ("otelcol", "prometheus", "elasticsearch")},
        },
        "collector": collector,
        "storage": stored,
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.sizing",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--short", action="store_true", help="a try of about three minutes")
    parser.add_argument("--page", action="store_true", help="measure nothing; make the page of what is there")
    options = parser.parse_args(arguments)
    if not options.page:
        try:
            found = measure(options.short)
        except ToolError as error:
            say(str(error))
            return 1
        RESULTS.parent.mkdir(parents=True, exist_ok=True)
        RESULTS.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    PAGE.write_text(page.render(json.loads(RESULTS.read_text(encoding="utf-8"))), encoding="utf-8")
    say(f"wrote {PAGE.relative_to(REPOSITORY)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
