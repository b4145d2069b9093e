"""Draw dashboards from real back ends: ``python -m tools.dashboard_render --prometheus URL … --out DIR``."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tools.dashboard_render.picture import draw
from tools.dashboard_render.queries import Source, Span
from tools.paths import REPOSITORY

_FOLDER = REPOSITORY / "collector" / "grafana" / "dashboards"


def main(arguments: Sequence[str] | None = None) -> int:
    """Draw, and return the exit status."""
    parser = argparse.ArgumentParser(
        prog="dashboard_render", description="Draw the dashboards, without Grafana."
    )
    parser.add_argument("--prometheus", default="http://127.0.0.1:9090", help="base URL")
    parser.add_argument("--elasticsearch", default="http://127.0.0.1:9200", help="base URL")
    parser.add_argument("--service", default="ada", help="value of the variable service")
    parser.add_argument("--slow", default="0.2", help="value of the variable slow, in seconds")
    parser.add_argument("--seconds", type=float, default=300.0, help="how far back")
    parser.add_argument(
        "--rows", type=int, nargs="*", default=[], help="ids of the rows to draw; all by default"
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for the pictures")
    parser.add_argument("files", type=Path, nargs="*", help="dashboards; the committed ones by default")
    options = parser.parse_args(arguments)
    source = Source(
        options.prometheus, options.elasticsearch, {"service": options.service, "slow": options.slow}
    )
    now = time.time()
    span = Span(now - options.seconds, now, max(1.0, options.seconds / 120), 60)
    options.out.mkdir(parents=True, exist_ok=True)
    for file in options.files or sorted(_FOLDER.glob("*.json")):
        target = options.out / f"dashboard-{file.stem}.png"
        draw(json.loads(file.read_text(encoding="utf-8")), source, span, target, options.rows)
        sys.stdout.write(f"{target}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
