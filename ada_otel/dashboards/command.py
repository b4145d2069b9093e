"""The command ``ada-otel dashboards``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from ada_otel.dashboards import DASHBOARDS, Dashboard
from ada_otel.dashboards._custom import FileError, read
from ada_otel.dashboards._render import render

NAME = "dashboards"


def add_parser(subparsers: Any) -> None:
    """Add the command's parser."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        NAME,
        help="write Grafana dashboards",
        description="Writes Grafana dashboards as JSON, one file each, into the folder of --out DIR.",
    )
    actions = parser.add_subparsers(dest="action", metavar="build|add", required=True)
    build = actions.add_parser("build", help="the five dashboards of ada-otel")
    add = actions.add_parser("add", help="a dashboard of your own metrics, from a YAML or Python file")
    add.add_argument("file", type=Path, metavar="FILE", help="the metrics; see docs/dashboards.md")
    for action in (build, add):
        action.add_argument("--out", type=Path, required=True, metavar="DIR", help="where the files go")


def run(args: argparse.Namespace) -> int:
    """Write the files, and print their names.

    Returns:
        0; 2 when the user's file has a mistake, or the folder cannot be written.
    """
    try:
        chosen = DASHBOARDS if args.action == "build" else (read(args.file),)
        for path in write(chosen, args.out):
            sys.stdout.write(f"{path}\n")
    except (FileError, OSError) as error:
        sys.stderr.write(f"ada-otel {NAME}: {error}\n")
        return 2
    return 0


def write(dashboards: tuple[Dashboard, ...], folder: Path) -> list[Path]:
    """Write each dashboard to ``<uid>.json``; a file that is the same already is left alone.

    Raises:
        OSError: The folder cannot be made, or a file cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for dashboard in dashboards:
        path, text = folder / f"{dashboard.uid}.json", render(dashboard)
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
        paths.append(path)
    return paths
