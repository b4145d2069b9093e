"""Keeps what the long drills have counted, and writes docs/drills.md from it.

``python -m benchmarks.drilled [REPORT]`` takes the rows of the long form out of a report of ``make drills``,
``.drills/report.json`` by default, puts them in the place of earlier ones of that drill, and writes the page.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
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
other work meanwhile; `python -m benchmarks.drilled` wrote this page from their report. *Twice* is what was
found more often than it was sent; a dash is what was not counted.
[What is lost when](platform.md#what-is-lost-when) says why.
[The benchmark page](benchmarks.md#log-search) has the seconds of each question of the log volume.
"""
#: The groups of drills, as the page has them: title, what is in it, how the names of its drills begin.
_GROUPS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    (
        "Between the collector and its back ends",
        "The collector, Elasticsearch, Prometheus and Bugsink are real; Sentry's OTLP is a sink on loopback.",
        ("Elasticsearch", "Prometheus", "Sentry", "Bugsink", "Disk", "Memory limiter", "Poison",
         "Wrong clocks", "Tail sampling"),
    ),
    ("The app while its collector is away or slow", "What the pipeline in the app does.", ("outage",)),
    ("The app at its end", "Exits, signals and kills, with collectors of each kind.", ("exit", "children")),
    ("Servers and workers", "Forks, reloads and kills of workers.",
     ("gunicorn", "uwsgi", "flask", "prefork", "fork", "celery")),
    ("Volume", "Much of it, for long.", ("log volume", "steady memory", "memory", "distinct", "locks")),
)  # fmt: skip
_OTHERS = ("Others", "", ("",))
#: No figures of the drill: its name, what the name tells with it, and what the benchmark page has.
_LEFT_OUT = frozenset({"drill", "long", "outage_s", "query_seconds", "query_again_seconds"})
#: What has a column of its own in the table of what counts the sent and the found.
_COUNTS = {"items": "Of what", "sent": "Sent", "found": "Found", "lost": "Lost", "twice": "Twice"}


def kept() -> list[dict[str, Any]]:
    """Give the rows that are kept."""
    return _read(RESULTS) if RESULTS.exists() else []


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
    """Give the page: a section for each group, in it a table for what counts the sent and the found."""
    parts = [_INTRODUCTION]
    left = list(rows)
    for title, text, beginnings in (*_GROUPS, _OTHERS):
        group = [row for row in left if str(row["drill"]).lower().startswith(_lower(beginnings))]
        left = [row for row in left if row not in group]
        if group:
            parts.append("\n\n".join(filter(None, [f"## {title}", text, *_tables(group)])) + "\n")
    return "\n".join(parts)


def _lower(words: Sequence[str]) -> tuple[str, ...]:
    return tuple(word.lower() for word in words)


def _tables(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    counted = [row for row in rows if "sent" in row and "found" in row]
    if counted:
        columns = {key: name for key, name in _COUNTS.items() if any(key in row for row in counted)}
        besides = any(_besides(row) for row in counted)
        yield _table(
            ["What happened", *columns.values(), *(["Besides"] if besides else [])],
            [
                [_case(row), *(_text(row[key]) if key in row else "-" for key in columns)]
                + ([_besides(row)] if besides else [])
                for row in counted
            ],
        )
    others = [row for row in rows if row not in counted]
    for drill in dict.fromkeys(row["drill"] for row in others):
        same = [row for row in others if row["drill"] == drill]
        keys = list(dict.fromkeys(key for row in same for key in row if _is_figure(row, key)))
        yield _table(
            ["What happened", *(_words(key)[:1].upper() + _words(key)[1:] for key in keys)],
            [[_case(row), *(_text(row[key]) if key in row else "-" for key in keys)] for row in same],
        )


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _is_figure(row: Mapping[str, Any], key: str) -> bool:
    """Whether it was counted; a word was chosen, and tells the cases of a drill apart."""
    return key not in _LEFT_OUT and not isinstance(row[key], str)


def _case(row: Mapping[str, Any]) -> str:
    name = str(row["drill"])
    text = name[:1].upper() + name[1:]
    if "outage_s" in row:
        text += f" for {_text(row['outage_s'])} s"
    chosen = [
        f"{_words(key)} {_text(value)}"
        for key, value in row.items()
        if key not in {*_LEFT_OUT, "items"} and not _is_figure(row, key)
    ]
    return ", ".join([text, *chosen])


def _besides(row: Mapping[str, Any]) -> str:
    """The figures that have no column."""
    return "; ".join(
        f"{_words(key)}: {_text(value)}"
        for key, value in row.items()
        if key not in _COUNTS and _is_figure(row, key)
    )


def _words(key: str) -> str:
    """A key as words; the units at its end are left."""
    return key.replace("_", " ")


def main(arguments: Sequence[str]) -> int:
    """Keep a report and write the page; returns the exit status."""
    report = Path(arguments[0]) if arguments else REPORT
    try:
        rows = keep(_read(report), kept())
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


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_text(item)}" for key, item in value.items()) or "none"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_text, value)) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not isinstance(value, (int, float)):
        return str(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:,.3f}".rstrip("0").rstrip(".")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
