"""The same work through stock and through ours: the same telemetry, but for the listed differences."""

from __future__ import annotations

import difflib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.parity import differences
from tests.parity.cases import CASES
from tests.parity.flask_cases import describe
from tests.parity.kit import VARIANTS, Case, Record
from tools.errors import ToolError
from tools.stack import Stack, free_ports

_ROOT = Path(__file__).parents[2]
_TIMEOUT_SECONDS = 120

Records = dict[str, dict[str, Record]]


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The addresses of a Redis and a PostgreSQL; without them, the cases that need them are skipped."""
    folder = tmp_path_factory.mktemp("parity-stack")
    stack = Stack(state_dir=folder, ports=free_ports(), servers=["redis", "postgresql"])
    try:
        stack.up()
    except ToolError:
        if os.environ.get("CI", "").lower() == "true":
            raise
        yield {}
        return
    try:
        database = stack.url("postgresql").replace("postgresql://", "postgresql+psycopg://")
        yield {"PARITY_REDIS_URL": stack.url("redis"), "PARITY_DATABASE_URL": database}
    finally:
        stack.down(purge=True)


@pytest.fixture(scope="module")
def records(servers: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Records:
    """What each variant recorded, by case; one process per variant."""
    folder = tmp_path_factory.mktemp("parity")

    def run(variant: str) -> dict[str, Record]:
        target = folder / f"{variant}.json"
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "ADA_"))}
        done = subprocess.run(
            [sys.executable, "-m", "tests.parity.child", variant, str(target)],
            cwd=_ROOT,
            env={**kept, **servers},
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_SECONDS,
            check=False,
        )
        assert done.returncode == 0, f"{variant}:\n{done.stderr[-4000:]}"
        found: dict[str, Record] = json.loads(target.read_text(encoding="utf-8"))
        return found

    # One at a time: they use the same keys and tables.
    with ThreadPoolExecutor(1) as pool:
        return dict(zip(VARIANTS, pool.map(run, VARIANTS), strict=True))


def _compare(expected: Record, found: Record) -> None:
    lines = difflib.unified_diff(
        describe(expected).splitlines(), describe(found).splitlines(), "expected", "found", lineterm="", n=4
    )
    difference = "\n".join(lines)
    assert not difference, difference


@pytest.mark.parametrize("variant", ["ours", "live"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_ours_is_stock_but_for_the_listed_differences(records: Records, case: Case, variant: str) -> None:
    if case.name not in records["stock"]:
        pytest.skip(f"no server for {case.needs}")
    stock, found = records["stock"][case.name], differences.ordered(records[variant][case.name])
    found = differences.without_additions(found)
    if case.differs:
        assert stock != found, f"{case.differs}: listed, but there is no difference"
    _compare(differences.expected(stock, found, case.differs), found)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_without_the_fast_path_it_is_stock(records: Records, case: Case) -> None:
    if case.name not in records["stock"]:
        pytest.skip(f"no server for {case.needs}")
    found = differences.ordered(records["fallback"][case.name])
    # The one difference that holds without the fast path too.
    holds = tuple(key for key in case.differs if key == "every-engine")
    _compare(differences.expected(records["stock"][case.name], found, holds), found)


def test_cases_are_not_empty(records: Records) -> None:
    """Nothing would differ between two empty records."""
    quiet = {
        "flask: excluded by the environment",
        "flask: excluded by argument",
        "sql: suppressed",
        "redis: suppressed and uninstrumented",
    }
    silent_samplers = {"sampler: always_off", "sampler: ratio 0"}
    for name, record in records["ours"].items():
        if name in quiet:
            assert record["spans"] == []
        elif name in silent_samplers or "not sampled" in name:
            assert record["metrics"] or name.startswith("redis"), name
        else:
            assert record["spans"], name


def test_every_difference_is_shown() -> None:
    shown = {key for case in CASES for key in case.differs}
    for difference in differences.DIFFERENCES:
        assert (difference.key in shown) == (difference.adjust is not None), difference.key
        assert (difference.adjust is None) == bool(difference.shown_by), difference.key


def test_the_page_is_the_table() -> None:
    assert differences.PAGE.read_text(encoding="utf-8") == differences.page(), (
        "run python -m tests.parity.differences"
    )
