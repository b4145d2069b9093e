"""Asks a running app for its history and shows it: a table with a line of blocks for each figure, or JSON."""

from __future__ import annotations

import argparse
import http.client
import json
import math
import os
import sys
import urllib.error
import urllib.request
from typing import Any

from ada_otel.performance.shown import plain, rows

_TIMEOUT = 10.0


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the sub-command ``performance``."""
    parser = subparsers.add_parser(
        "performance",
        help="CPU, memory, disk, requests and errors of a running app over the last 24 hours",
        description="Shows what an app says at /health/history: one point a minute, over all its workers.",
    )
    parser.add_argument(
        "--url", default="http://127.0.0.1:5000", help="where the app answers (default: %(default)s)"
    )
    parser.add_argument(
        "--prefix",
        default=os.environ.get("ADA_OTEL_HEALTH_PREFIX") or "/health",
        help="the path of its health pages (default: ADA_OTEL_HEALTH_PREFIX, or /health)",
    )
    parser.add_argument(
        "--token",
        default=os.environ.get("ADA_OTEL_HEALTH_TOKEN", ""),
        help="the bearer token (default: ADA_OTEL_HEALTH_TOKEN)",
    )
    parser.add_argument(
        "--hours", type=_hours, default=24.0, help="how far to look back (default: %(default)s)"
    )
    parser.add_argument("--json", action="store_true", help="the answer as it is, for other programs")


def _hours(text: str) -> float:
    value = float(text)
    if not 0 <= value < math.inf:
        raise ValueError("no length of time")
    return value


def run(options: argparse.Namespace) -> int:
    """Ask and show.

    Returns:
        0, or 1 when the app does not answer, or not with a history.
    """
    address = options.url.rstrip("/") + "/" + options.prefix.strip("/") + "/history"
    try:
        found = _ask(address, options.token)
    except urllib.error.HTTPError as error:
        hint = "; give --token or set ADA_OTEL_HEALTH_TOKEN" if error.code == 401 else ""
        return _failed(f"{address} answers {error.code}{hint}")
    except (OSError, ValueError, http.client.HTTPException) as error:
        return _failed(f"{address} does not answer with a history: {error}")
    _keep_last(found, options.hours)
    if options.json:
        sys.stdout.write(json.dumps(found, indent=2) + "\n")
    else:
        _show(found)
    return 0


def _ask(address: str, token: str) -> dict[str, Any]:
    if not address.startswith(("http://", "https://")):
        raise ValueError("the address has to begin with http:// or https://")
    request = urllib.request.Request(address)  # noqa: S310  # checked above
    if token:
        # As the bytes that the app has in its environment; http.client sends a character as one byte.
        sent = token.encode("utf-8", "surrogateescape").decode("latin-1")
        request.add_header("Authorization", f"Bearer {sent}")
    with urllib.request.urlopen(request, timeout=_TIMEOUT) as answer:  # noqa: S310
        found: dict[str, Any] = json.load(answer)
    if not _is_history(found):
        raise ValueError("it has no columns of numbers")
    return found


def _is_history(found: Any) -> bool:
    if not isinstance(found, dict) or not isinstance(found.get("interval_s"), (int, float)):
        return False
    columns = found.get("columns")
    if not isinstance(columns, dict) or not all(isinstance(values, list) for values in columns.values()):
        return False
    values = [value for column in columns.values() for value in column if value is not None]
    return (
        "time" in columns
        and None not in columns["time"]
        and all(isinstance(value, (int, float)) for value in values)
    )


def _keep_last(found: dict[str, Any], hours: float) -> None:
    times = found["columns"].get("time") or []
    since = times[-1] - hours * 3600 if times else 0
    first = next((place for place, time in enumerate(times) if time >= since), 0)
    found["columns"] = {name: values[first:] for name, values in found["columns"].items()}


def _show(found: dict[str, Any]) -> None:
    try:
        from rich.console import Console
        from rich.table import Table
    except ImportError:
        sys.stdout.write(plain(found))
        return
    minutes = len(found["columns"]["time"]) * found["interval_s"] / 60
    processes = (found["columns"].get("processes") or [None])[-1]
    table = Table(title=f"{minutes:.0f} minutes; {processes or 0:.0f} processes in the last")
    for name in ("figure", "now", "mean", "least", "most"):
        table.add_column(name, justify="left" if name == "figure" else "right", no_wrap=True)
    table.add_column("over time", no_wrap=True)
    for row in rows(found):
        table.add_row(*row)
    Console().print(table)


def _failed(text: str) -> int:
    sys.stderr.write(f"ada-otel performance: {text}\n")
    return 1
