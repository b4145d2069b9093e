"""The documented examples are typed: mypy in strict mode takes them, and refuses what is wrong."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

PAGE = Path(__file__).resolve().parents[3] / "docs" / "business.md"

WRONG = """
from ada_otel import alert, business

alert("fatal", "x")
business.revenue("1", "EUR")
business.session_ended("s", "bored")
with business.ai_operation(model="m") as op:
    op.tokens(input="5")


@business.ai_operation(model="m")
def double(n: int) -> int:
    return 2 * n


double("2")
"""


def test_examples_of_the_page_are_typed_and_mistakes_are_found(tmp_path: Path) -> None:
    (code,) = re.findall(
        r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
    (tmp_path / "right.py").write_text(code)
    (tmp_path / "wrong.py").write_text(WRONG)
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", "right.py", "wrong.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    errors = [line.partition(": ")[0] for line in done.stdout.splitlines() if ": error:" in line]
    assert errors == [f"wrong.py:{number}" for number in (4, 5, 6, 8, 16)], done.stdout + done.stderr
