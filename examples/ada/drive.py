"""Drive ADA as several users, over HTTP and Socket.IO, and report exactly what was sent.

    python -m examples.ada.drive --url http://127.0.0.1:8000 --users 10 --rate 50 --seconds 30 --seed 1
    python -m examples.ada.drive --plan once --report once.json

Exit status: 0 when it ran, whatever the app answered; 1 when no app could be reached; 2 for bad arguments.
"""

from __future__ import annotations

import argparse
import ipaddress
import json
import math
import socket
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from .driver.mix import parse_mix
from .driver.plans import run_load, run_once
from .driver.report import Report, summary


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the driver, and return its exit status."""
    options = _parser().parse_args(arguments)
    host, port = options.url.hostname, options.url.port or 80
    try:
        socket.create_connection((host, port), timeout=options.timeout).close()
    except OSError as error:
        print(f"drive: no app answers at {options.url.geturl()}: {error}", file=sys.stderr)
        return 1
    result = _drive(options)
    print(summary(result))
    if options.report:
        options.report.write_text(json.dumps(result, indent=2) + "\n")
    if not result["requests_total"]:
        print(f"drive: nothing at {options.url.geturl()} answered a request", file=sys.stderr)
        return 1
    return 0


def _drive(options: argparse.Namespace) -> dict[str, Any]:
    report = Report()
    url = f"http://{options.url.netloc}"
    header: dict[str, Any] = {"url": url, "plan": options.plan, "started": time.time()}
    if options.plan == "once":
        header.update(run_once(url, report, timeout=options.timeout))
    else:
        load = {name: getattr(options, name) for name in ("users", "rate", "seconds", "seed", "mix")}
        header.update(load, **run_load(url, report, timeout=options.timeout, **load))
    return {**header, "ended": time.time(), **report.as_dict()}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="drive", description="Drive ADA, and report what was sent.")
    add = parser.add_argument
    add("--url", type=_loopback_url, default="http://127.0.0.1:8000", help="where ADA is; loopback only")
    add("--plan", choices=("load", "once"), default="load", help="once: every outcome once, in a fixed order")
    add("--users", type=_whole, default=5, help="how many users act at the same time")
    add("--rate", type=_positive, default=10.0, help="requests and events per second, of all users together")
    add("--seconds", type=_positive, default=10.0, help="for how long")
    add("--seed", type=int, default=0, help="the same seed sends the same")
    add("--mix", type=_mix, default="", metavar="NAME=WEIGHT,…", help="only these steps, by weight")
    add("--timeout", type=_positive, default=15.0, help="seconds that one answer may take")
    add("--report", type=Path, metavar="FILE", help="write the report there, as JSON")
    return parser


def _loopback_url(text: str) -> Any:
    try:
        url = urlsplit(text)
        port = url.port
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no URL: {error}") from None
    if url.scheme != "http" or not url.hostname or port == 0 or url.path not in {"", "/"}:
        raise argparse.ArgumentTypeError(f"{text!r} is not like http://127.0.0.1:8000")
    if not _is_loopback(url.hostname):
        raise argparse.ArgumentTypeError(f"{url.hostname!r} is not this machine; drive loads loopback only")
    return url


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _whole(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 1000:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 1 to 1000")
    return int(text)


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is no number above 0")
    return value


def _mix(text: str) -> dict[str, float]:
    try:
        return parse_mix(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


if __name__ == "__main__":
    sys.exit(main())
