"""How ``pytest -n 2`` shares tests out, with processes that do as xdist's do, and once with real ones."""

from __future__ import annotations

import subprocess
import sys
from collections import deque
from itertools import cycle
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.parallel import ALONE, SERVERS, Shares, uses_stack
from tests.support.process import clean_environment
from tools.paths import REPOSITORY


class Process:
    """Runs what it is given in order, but the last only when more has come or when it is to end."""

    def __init__(self, name: str, tests: list[str]) -> None:
        self.gateway = SimpleNamespace(id=name)
        self.shutting_down = False
        self.tests = tests
        self.waiting: deque[int] = deque()

    def send_runtest_some(self, indices: list[int]) -> None:
        assert not self.shutting_down
        self.waiting.extend(indices)

    def shutdown(self) -> None:
        self.shutting_down = True

    def can_run(self) -> bool:
        return len(self.waiting) > 1 or (self.shutting_down and bool(self.waiting))


def kind(test: str) -> str:
    if any(test.startswith(f"{file}::{name}") for file, name, _ in ALONE):
        return "alone"
    return "servers" if test.startswith(SERVERS) else "rest"


def run(tests: list[str], count: int, choose: Any) -> list[tuple[str, Process, list[Process]]]:
    """Run ``tests`` in ``count`` processes; ``choose`` says whose test ends next.

    Returns:
        Each test that ended, with its process, and the other processes that still had some.
    """
    specs = [f"{count}*popen"]
    shares = Shares(SimpleNamespace(getvalue=lambda _: specs, option=SimpleNamespace(loadscopereorder=True)))
    active = [Process(f"gw{number}", tests) for number in range(count)]
    for process in active:
        shares.add_node(process)
    for process in active:
        shares.add_node_collection(process, tests)
    shares.schedule()
    ended = []
    while active:
        for process in [process for process in active if process.shutting_down and not process.waiting]:
            active.remove(process)
            if process in shares.nodes:
                assert shares.remove_node(process) is None
        able = [process for process in active if process.can_run()]
        if not able:
            assert not [process for process in active if not process.shutting_down], "all wait for each other"
            continue
        process = choose(able)
        others = [other for other in active if other is not process and other.waiting]
        index = process.waiting.popleft()
        ended.append((tests[index], process, others))
        shares.mark_test_complete(process, index)
    return ended


_WHOLE = list(dict.fromkeys(file for file, name, _ in ALONE if not name))
_STACK = [
    "tests/drills/test_prefork.py",
    "tests/drills/test_log_volume.py",
    "tests/integration/test_stack.py",
]
_OTHER = [f"{folder}test_{number}.py" for folder in (*SERVERS, "tests/unit/") for number in range(3)]
_FILES = st.dictionaries(st.sampled_from([*_WHOLE, *_STACK, *_OTHER]), st.integers(1, 5), min_size=1)


@settings(deadline=None, max_examples=60)
@given(
    st.dictionaries(st.sampled_from([*_WHOLE, *_STACK, *_OTHER]), st.integers(1, 5), min_size=1),
    st.integers(1, 3),
    st.data(),
)
def test_every_test_runs_once_and_some_of_them_alone(files: dict[str, int], count: int, data: Any) -> None:
    tests = [f"{file}::test_{number}" for file, each in files.items() for number in range(each)]
    ended = run(tests, count, lambda able: data.draw(st.sampled_from(able)))
    assert sorted(test for test, _, _ in ended) == sorted(tests)
    for test, _, others in ended:
        assert kind(test) != "alone" or not others, test
    places = [file for file in files if len({p for test, p, _ in ended if test.startswith(f"{file}::")}) > 1]
    assert not places, "tests of one file ran in several processes"
    assert len({process for test, process, _ in ended if test.startswith(tuple(_STACK))}) < 2


def test_servers_are_started_once_and_the_rest_runs_beside_them() -> None:
    own = ["tests/drills/test_a.py", "tests/integration/test_b.py"]
    rest = ["tests/unit/test_c.py", "tests/unit/test_d.py"]
    assert all(map(uses_stack, _STACK))
    assert not any(map(uses_stack, [*own, *rest]))
    turns = cycle(range(3))
    tests = [f"{file}::test_{number}" for file in (*_STACK, *own, *rest) for number in range(5)]
    ended = run(tests, 3, lambda able: able[next(turns) % len(able)])
    ran = [
        {process for test, process, _ in ended if test.startswith(tuple(files))}
        for files in (_STACK, own, rest)
    ]
    assert [len(processes) for processes in ran] == [1, 1, 1]
    assert len(set.union(*ran)) == 3


def test_real_processes(tmp_path: Path) -> None:
    files = {
        "tests/drills/test_a.py": 3,
        "tests/unit/test_b.py": 3,
        _WHOLE[-1]: 3,
        "tests/unit/test_bad.py": 1,
    }
    for file, count in files.items():
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text(
            "import pytest\n"
            f"@pytest.mark.parametrize('number', range({count}))\n"
            f"def test_it(number): assert {'bad' not in file}\n",
            encoding="utf-8",
        )
    hook = "def pytest_xdist_make_scheduler(config, log): return Shares(config, log)\n"
    (tmp_path / "conftest.py").write_text(
        f"from tests.support.parallel import Shares\n{hook}", encoding="utf-8"
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--import-mode=importlib", "-n", "2", "--rootdir", str(tmp_path)],
        cwd=tmp_path,
        env=clean_environment({"PYTHONPATH": str(REPOSITORY)}),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1, done.stdout
    assert "1 failed, 9 passed" in done.stdout


def test_what_is_listed_is_there() -> None:
    for file, name, reason in ALONE:
        assert f"def {name or 'test_'}" in (REPOSITORY / file).read_text(encoding="utf-8"), file
        assert reason
    for folder in SERVERS:
        assert list((REPOSITORY / folder).glob("test_*.py"))


def test_a_test_whose_process_died_is_not_tried_again() -> None:
    with pytest.raises(RuntimeError, match=r"died in tests/unit/test_a\.py::test_a"):
        Shares.__new__(Shares).mark_test_pending("tests/unit/test_a.py::test_a")
