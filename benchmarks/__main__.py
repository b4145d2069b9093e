"""Runs the benchmark: ``python -m benchmarks [--quick] [--variants a,b] [--cases …] [--rounds N]``.

``--page-only`` measures nothing, and writes the page of what is kept in ``benchmarks/results/``. ``--again``
measures some cases anew, each of which is a comparison of its own, and keeps the others of the last run.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import platform
import signal
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import drilled, environments, measure, report
from benchmarks.figures import judge
from benchmarks.processes import surroundings
from benchmarks.variants import BASE, CASES, COMPARED, EVENT, OURS, STOCK, VARIANTS
from tools.errors import ToolError
from tools.paths import REPOSITORY
from tools.progress import say, step

RESULTS = REPOSITORY / "benchmarks" / "results" / "overhead.json"
PAGE = REPOSITORY / "docs" / "benchmarks.md"
PLOT = REPOSITORY / "docs" / "images" / "overhead.png"
_SOCKETIO, _START, _HTTP, _MEMORY = "socketio", "start", "http", "memory"
#: Of one case; keeps a run below an hour.
_CASE_SECONDS = 600.0
ALL_CASES = (*CASES, _SOCKETIO, _START, _HTTP, _MEMORY)


def run(
    names: Sequence[str], cases: Sequence[str], *, rounds: int, further: int, block: int, memory_requests: int
) -> dict[str, Any]:
    """Take the measures.

    Args:
        names: The variants.
        cases: Of :data:`ALL_CASES`.
        rounds: How often each variant has its turn in each case.
        further: How often those that the goals compare have theirs after that, where CPU is measured.
        block: Requests in one turn.
        memory_requests: Requests over which memory is watched.

    Returns:
        All that ``overhead.json`` holds.

    Raises:
        ToolError: An environment could not be made, or a process failed.
    """
    results: dict[str, Any] = {"run": _machine(), "variants": {}, "cpu": {}, "http": {}}
    results["run"] |= {"rounds": rounds, "further_rounds": further, "requests_per_round": block}
    with step("preparing the environments"):
        environments.prepare([VARIANTS[name] for name in names])
    for name in names:
        versions = environments.versions(VARIANTS[name])
        results["variants"][name] = {
            "title": VARIANTS[name].title,
            "note": VARIANTS[name].note,
            "versions": versions,
        }
    _check_versions(results["variants"])
    running = [name for name in names if not VARIANTS[name].start_only]
    whole = measure.Rounds(rounds, further, block, _CASE_SECONDS)
    events = measure.Rounds(rounds + further, 0, block, _CASE_SECONDS)
    over_http = measure.Rounds(max(rounds, measure.LEAST_ROUNDS), 0, max(block // 2, 2), _CASE_SECONDS)
    with (
        tempfile.TemporaryDirectory(prefix="ada-bench-") as folder,
        surroundings(list(names), Path(folder)) as around,
    ):
        for name in (case for case in CASES if case in cases):
            with step(f"CPU per request: {CASES[name].title}"):
                results["cpu"][name] = measure.cpu(CASES[name], running, around, whole)
        if _SOCKETIO in cases and {BASE, STOCK, OURS} <= set(names):
            with step(f"CPU per event: {EVENT.title}"):
                results["socketio"] = measure.socketio(around, events)
        if _START in cases:
            with step("start"):
                results["start"] = measure.start(names, around, whole)
        if _HTTP in cases:
            for name in ("plain", "full"):
                with step(f"over HTTP: {CASES[name].title}"):
                    results["http"][name] = measure.http(CASES[name], running, around, over_http)
        if _MEMORY in cases:
            with step("memory"):
                results["memory"] = measure.memory(running, around, memory_requests, block)
    results["run"]["load_average"].append(os.getloadavg()[0])
    results["goals"] = judge(results)
    return results


def renewed(kept: dict[str, Any], found: dict[str, Any]) -> dict[str, Any]:
    """Put what was measured again in the place of what a whole run had measured before.

    Args:
        kept: The results of the whole run.
        found: Those of the cases that were measured again.

    Returns:
        Both; ``again`` of ``run`` has the cases with date and load.

    Raises:
        ToolError: The variants are other ones now.
    """
    if kept["variants"] != found["variants"]:
        raise ToolError(
            "the variants or their versions are others than in the whole run; run all cases again"
        )
    alone = {name: found[name] for name in (_SOCKETIO, _START, _MEMORY) if name in found}
    cases = [*found["cpu"], *([_HTTP] if found["http"] else []), *alone]
    made = {**kept, **alone}
    made["cpu"] = {**kept["cpu"], **found["cpu"]}
    made["http"] = {**kept["http"], **found["http"]}
    about = {key: found["run"][key] for key in ("date", "load_average", "rounds", "further_rounds")}
    again = {**kept["run"].get("again", {}), **dict.fromkeys(cases, about)}
    made["run"] = {**kept["run"], "again": again}
    made["goals"] = judge(made)
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print the tables, and keep results, page and plot of a whole run; returns the exit status."""
    chosen = _parse(arguments)
    # So that a terminated run ends its servers too.
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
    try:
        if chosen.page_only:
            write_page(_kept())
            return 0
        kept = _kept() if chosen.again else None
        results = run(
            chosen.variants,
            chosen.again or chosen.cases,
            rounds=chosen.rounds,
            further=chosen.further,
            block=chosen.block,
            memory_requests=chosen.requests,
        )
        if kept is not None:
            results = renewed(kept, results)
        print(report.render(results))
        if not chosen.quick:
            _keep(results, chosen.output)
    except ToolError as error:
        say(f"error: {error}")
        return 1
    return 0


def _keep(results: dict[str, Any], output: Path) -> None:
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    say(f"   wrote {output}")
    if output != RESULTS:
        return
    if set(results["cpu"]) == set(CASES) and set(VARIANTS) == set(results["variants"]):
        report.draw(results, PLOT)
        say(f"   wrote {PLOT}")
        write_page(results)


def write_page(results: Mapping[str, Any]) -> None:
    """Write docs/benchmarks.md, with what the drill of the log volume has measured.

    Args:
        results: What :func:`run` gave, of a whole run.
    """
    report.write(results, PAGE, PLOT, drilled.kept())
    say(f"   wrote {PAGE}")


def _kept() -> dict[str, Any]:
    if not RESULTS.exists():
        raise ToolError(f"{RESULTS} is not there; `make bench` writes it")
    results: dict[str, Any] = json.loads(RESULTS.read_text(encoding="utf-8"))
    return results


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="few rounds, of none, stock and ada; nothing is written"
    )
    parser.add_argument(
        "--page-only", action="store_true", help="measure nothing; write the page of what was kept"
    )
    parser.add_argument("--variants", type=_names(VARIANTS), help=f"of {','.join(VARIANTS)}")
    parser.add_argument("--cases", type=_names(ALL_CASES), help=f"of {','.join(ALL_CASES)}")
    parser.add_argument(
        "--again", type=_names(ALL_CASES), help="cases to measure anew; the others are kept of the last run"
    )
    parser.add_argument("--rounds", type=_positive, help="turns of each variant in each case")
    parser.add_argument("--further", type=_not_negative, help="turns, after those, of what the goals compare")
    parser.add_argument("--block", type=_positive, help="requests in one turn")
    parser.add_argument("--requests", type=_positive, help="requests over which memory is watched")
    parser.add_argument("--output", type=Path, default=RESULTS, help="the JSON file to write")
    chosen = parser.parse_args(arguments)
    quick = chosen.quick
    chosen.variants = chosen.variants or (COMPARED if quick else tuple(VARIANTS))
    chosen.cases = chosen.cases or ((*CASES, _SOCKETIO, _START) if quick else ALL_CASES)
    chosen.rounds = chosen.rounds or (6 if quick else 4)
    # A process may take a third more than the next, and a neighbour on the machine doubles what a block does.
    chosen.further = (0 if quick else 20) if chosen.further is None else chosen.further
    chosen.block = chosen.block or 1200
    chosen.requests = chosen.requests or 2_000
    return chosen


def _names(known: Sequence[str] | Mapping[str, Any]) -> Any:
    def parse(text: str) -> tuple[str, ...]:
        names = tuple(name.strip() for name in text.split(",") if name.strip())
        unknown = [name for name in names if name not in known]
        if unknown or not names:
            wrong = ", ".join(unknown) or repr(text)
            raise argparse.ArgumentTypeError(f"{wrong} is not one of {', '.join(known)}")
        return names

    return parse


def _positive(text: str) -> int:
    number = int(text) if text.isascii() and text.isdigit() else 0
    if not number:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return number


def _not_negative(text: str) -> int:
    return 0 if text == "0" else _positive(text)


def _machine() -> dict[str, Any]:
    return {
        "date": dt.datetime.now(dt.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "cores": os.cpu_count(),
        "load_average": [os.getloadavg()[0]],
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "unknown")


def _check_versions(variants: Mapping[str, Mapping[str, Any]]) -> None:
    """Refuse to compare apps that differ in more than their telemetry."""
    for package in environments.SHARED:
        found = {row["versions"][package] for row in variants.values()}
        if len(found) > 1:
            raise ToolError(
                f"the variants have different versions of {package}: {', '.join(sorted(found))}; "
                "compile requirements/bench/*.in again, so that all agree"
            )


if __name__ == "__main__":
    sys.exit(main())
