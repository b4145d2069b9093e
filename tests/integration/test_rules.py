"""Prometheus' configuration, its rules and their tests (collector/prometheus/tests), as promtool sees them.

ADA_DRILL_LONG=1 runs those as they are shipped, which takes over a minute of CPU.
"""

from __future__ import annotations

import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.drills.report import LONG
from tests.support.rule_tests import TESTS, write_each_with_its_rules
from tests.support.servers import or_skip
from tools.paths import COLLECTOR
from tools.stack.servers.prometheus import promtool

pytestmark = pytest.mark.integration


@pytest.mark.parametrize(
    "arguments",
    [
        ("check", "config", "prometheus.yml"),
        ("check", "rules", "--lint=all", "--lint-fatal", "rules/*.yml"),
    ],
    ids=["config", "lint"],
)
def test_prometheus_takes_its_configuration_and_the_rules(arguments: tuple[str, ...]) -> None:
    folder = COLLECTOR / "prometheus"
    files = [str(path) for argument in arguments for path in sorted(folder.glob(argument)) if "." in argument]
    command = [str(or_skip(promtool)), *(word for word in arguments if "." not in word), *files]
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "SUCCESS" in result.stdout


def test_the_rules_do_what_their_tests_say(tmp_path: Path) -> None:
    """As shipped, with each file's rules evaluated at every step, in the long form alone."""
    shipped = sorted(TESTS.glob("*.yml"))
    if LONG:
        runs = [[path] for path in shipped]
    else:
        written = [write_each_with_its_rules(path, tmp_path / path.stem) for path in shipped]
        # In halves, so that the slowest file does not run on one core alone.
        runs = [half for paths in written for half in (paths[::2], paths[1::2]) if half]
    program = str(or_skip(promtool))

    def run(files: list[Path]) -> str:
        command = [program, "test", "rules", *map(str, files)]
        # Otherwise a third of its time goes into collecting garbage.
        environment = {**os.environ, "GOGC": "400"}
        result = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=300, check=False
        )
        assert result.returncode == 0, result.stdout + result.stderr
        return result.stdout

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        said = "".join(pool.map(run, runs))
    assert said.count("SUCCESS") == sum(map(len, runs)) >= len(shipped)
