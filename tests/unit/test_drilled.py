"""The page of what the drills counted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import drilled
from tools.errors import ToolError

ROWS = [
    {"drill": "log volume", "long": True, "lines": 1000000, "query_seconds": {"count": 0.25}},
    {"drill": "exits", "long": False, "sent": 3},
]
KILLED = {
    "drill": "Sentry away", "long": True, "outage_s": 120.0, "collector": "killed (SIGKILL)",
    "items": "spans", "sent": 2000, "found": 2001, "lost": 0, "twice": 1,
}  # fmt: skip
FULL = {
    "drill": "Disk of the queue full", "long": True, "tmpfs": True, "items": "log lines", "sent": 2600,
    "found": 2600, "lost": 0, "refused": 9400,
}  # fmt: skip


def test_rows_of_the_long_form_take_the_place_of_earlier_ones() -> None:
    earlier = [{"drill": "log volume", "long": True, "lines": 7}, {"drill": "forks", "long": True, "hung": 0}]
    assert drilled.keep(ROWS, earlier) == [earlier[1], ROWS[0]]


def test_a_report_without_the_long_form_is_refused() -> None:
    with pytest.raises(ToolError, match="long form"):
        drilled.keep(ROWS[1:], [])


def test_what_counts_what_was_sent_and_found_is_one_table_of_its_group() -> None:
    page = drilled.render([KILLED, FULL])
    assert page.count("\n## ") == 1
    assert page.split("\n## ")[1].splitlines()[4:] == [
        "| What happened | Of what | Sent | Found | Lost | Twice | Besides |",
        "| --- | --- | --- | --- | --- | --- | --- |",
        "| Sentry away for 120 s, collector killed (SIGKILL) | spans | 2,000 | 2,001 | 0 | 1 |  |",
        "| Disk of the queue full | log lines | 2,600 | 2,600 | 0 | - | tmpfs: yes; refused: 9,400 |",
    ]


def test_another_drill_has_a_table_of_its_own_columns() -> None:
    page = drilled.render(
        [
            {"drill": "exit, sick", "long": True, "collector": "drip", "seconds": 2.25, "hung": False},
            {"drill": "log volume", "long": True, "lines": 1000000, "query_seconds": {"count": 0.25}},
        ]
    )
    assert "## The app at its end\n" in page
    assert "| What happened | Seconds | Hung |\n| --- | --- | --- |\n" in page
    assert "\n| Exit, sick, collector drip | 2.25 | no |\n" in page
    # The seconds of its questions are on the benchmark page.
    assert "| What happened | Lines |\n| --- | --- |\n| Log volume | 1,000,000 |" in page


def test_a_drill_of_no_group_is_not_left_out() -> None:
    assert "## Others\n\n| What happened | Sent | Found |\n" in drilled.render(
        [{"drill": "lightning", "long": True, "sent": 1, "found": 1}]
    )


def test_a_report_that_is_not_there_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert drilled.main([str(tmp_path / "none.json")]) == 1
    assert "none.json is not there" in capsys.readouterr().err + capsys.readouterr().out


def test_the_page_in_docs_is_the_results(tmp_path: Path) -> None:
    if not drilled.RESULTS.exists():
        pytest.skip("no long drill was kept yet")
    assert drilled.PAGE.read_text() == drilled.render(json.loads(drilled.RESULTS.read_text()))
