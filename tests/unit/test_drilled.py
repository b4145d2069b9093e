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


def test_rows_of_the_long_form_take_the_place_of_earlier_ones() -> None:
    earlier = [{"drill": "log volume", "long": True, "lines": 7}, {"drill": "forks", "long": True, "hung": 0}]
    assert drilled.keep(ROWS, earlier) == [earlier[1], ROWS[0]]


def test_a_report_without_the_long_form_is_refused() -> None:
    with pytest.raises(ToolError, match="long form"):
        drilled.keep(ROWS[1:], [])


def test_the_page_has_a_section_for_each_drill() -> None:
    page = drilled.render(drilled.keep(ROWS, [{"drill": "forks", "long": True, "hung": 0, "signals": []}]))
    assert "## Forks\n\n- hung: 0; signals: none\n" in page
    assert "## Log volume\n\n- lines: 1,000,000; query seconds: count 0.25\n" in page


def test_a_report_that_is_not_there_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert drilled.main([str(tmp_path / "none.json")]) == 1
    assert "none.json is not there" in capsys.readouterr().err + capsys.readouterr().out


def test_the_page_in_docs_is_the_results(tmp_path: Path) -> None:
    if not drilled.RESULTS.exists():
        pytest.skip("no long drill was kept yet")
    assert drilled.PAGE.read_text() == drilled.render(json.loads(drilled.RESULTS.read_text()))
