"""Keeps what the long drills have counted, and writes docs/drills.md from it.

``python -m benchmarks.drilled [REPORT]`` takes the rows of the long form out of a report of ``make drills``,
``.drills/report.json`` by default, puts them in the place of earlier ones of that drill, and writes the page.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tools.errors import ToolError
from tools.paths import REPOSITORY
from tools.progress import say

REPORT = REPOSITORY / ".drills" / "report.json"
RESULTS = REPOSITORY / "benchmarks" / "results" / "drills.json"
PAGE = REPOSITORY / "docs" / "drills.md"
_INTRODUCTION = """# What the drills counted

Each drill makes a fault happen and counts what was lost; [how they are run](contributing.md#tests). These are
the figures of the long form, of the drills that were run in it so far, on a machine with two cores that did
other work meanwhile; `python -m benchmarks.drilled` wrote this page from their report.
"""


def keep(rows: Sequence[Mapping[str, Any]], earlier: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Give the rows of the long form, in the place of earlier ones of the same drill.

    Raises:
        ToolError: None of ``rows`` is of the long form.
    """
    found = [row for row in rows if row.get("long")]
    if not found:
        raise ToolError("the report has no drill in its long form; `make drills` makes one")
    names = {row["drill"] for row in found}
    return sorted(
        [*(row for row in earlier if row["drill"] not in names), *found], key=lambda row: row["drill"]
    )


def render(rows: Sequence[Mapping[str, Any]]) -> str:
    """Give the page: a section for each drill, a line for each of its runs."""
    parts = [_INTRODUCTION]
    for name in dict.fromkeys(row["drill"] for row in rows):
        lines = [_line(row) for row in rows if row["drill"] == name]
        parts.append("\n".join([f"## {str(name)[:1].upper()}{str(name)[1:]}", "", *lines, ""]))
    return "\n".join(parts)


def main(arguments: Sequence[str]) -> int:
    """Keep a report and write the page; returns the exit status."""
    report = Path(arguments[0]) if arguments else REPORT
    try:
        rows = keep(
            _read(report), json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else []
        )
    except ToolError as error:
        say(f"error: {error}")
        return 1
    RESULTS.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    PAGE.write_text(render(rows), encoding="utf-8")
    say(f"   wrote {RESULTS} and {PAGE}")
    return 0


def _read(report: Path) -> list[dict[str, Any]]:
    if not report.exists():
        raise ToolError(f"{report} is not there; `make drills` writes it")
    rows: list[dict[str, Any]] = json.loads(report.read_text(encoding="utf-8"))
    return rows


def _line(row: Mapping[str, Any]) -> str:
    figures = [
        f"{key.replace('_', ' ')}: {_text(value)}"
        for key, value in row.items()
        if key not in {"drill", "long"}
    ]
    return f"- {'; '.join(figures)}"


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_text(item)}" for key, item in value.items()) or "none"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_text, value)) or "none"
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return str(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:,.3f}".rstrip("0").rstrip(".")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
