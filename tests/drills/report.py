"""The figures of a drill, appended to the JSON file that ``ADA_DRILL_REPORT`` names."""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path
from typing import Any

#: Whether drills run in their long form.
LONG = os.environ.get("ADA_DRILL_LONG") == "1"
#: How a collector's run ends in a drill, as the report says it.
ENDINGS = {"none": "runs on", "SIGTERM": "stopped (SIGTERM)", "SIGKILL": "killed (SIGKILL)"}


def figures(drill: str, **values: Any) -> None:
    """Append one row: what the drill is called, and what it counted (sent, found, hung, seconds …)."""
    name = os.environ.get("ADA_DRILL_REPORT")
    if not name:
        return
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        text = file.read()
        rows = json.loads(text) if text.strip() else []
        rows.append({"drill": drill, "long": LONG, **values})
        file.truncate(0)
        file.write(json.dumps(rows, indent=1))
