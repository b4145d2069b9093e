"""Takes the measures, interleaved: in each round every variant has its turn, so that drift hits all alike.

CPU is measured in new processes each round: the same program takes up to a third more or less from one
process to the next (where its memory lies, how its strings hash), and rounds in one process do not tell that.
Within a round the variants take turns every few requests: what else the machine does comes and goes within a
second, and would hit whole blocks of one variant.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, TypeVar

from benchmarks.figures import summarise
from benchmarks.processes import Server, Surroundings, Worker
from benchmarks.variants import BASE, CASES, COMPARED, EVENT, OURS, STOCK, VARIANTS, Case
from tools.progress import say

T = TypeVar("T", Worker, Server)
#: Gives each of the names its turn, in that order, and the answers by name.
Round = Callable[[Sequence[str]], dict[str, dict[str, float]]]

#: Requests whose allocations are looked at; few enough that no batch is sent meanwhile.
_ALLOCATION_REQUESTS = 50
_CHECKPOINTS = 10
_WARM_REQUESTS = 300
#: In a round, of each variant: a start takes a second, and half as much more when a neighbour is at work.
STARTS = 3
#: So many requests of one variant, then as many of the next: 5 to 40 ms.
SLICE_REQUESTS = 50
#: Metrics are sent once per turn: with so many events for each request, a turn of either takes as long.
_EVENTS_PER_REQUEST = 4
#: However loaded the machine is, so many rounds are taken.
LEAST_ROUNDS = 3


@dataclass(frozen=True)
class Rounds:
    """How much is measured in one case.

    Attributes:
        number: How often each variant has its turn.
        further: How often those that a goal compares have theirs after that, without the others.
        requests: In one round, of each variant.
        seconds: After so long no further round is begun, so that a loaded machine does not take hours.
    """

    number: int
    further: int
    requests: int
    seconds: float


def cpu(case: Case, names: Sequence[str], around: Surroundings, rounds: Rounds) -> dict[str, Any]:
    """Measure CPU per request in µs, of the whole process, with all telemetry encoded and sent.

    Args:
        case: What is asked of the app.
        names: The variants.
        around: Redis and the sink.
        rounds: How much.

    Returns:
        Per variant: see :func:`benchmarks.figures.summarise`; also ``thread_us``, the least CPU of the thread
        that serves, without the exporters', and ``received``, what came to the sink per request.
    """
    received: dict[str, list[dict[str, float]]] = {name: [] for name in names}

    @contextmanager
    def processes(names: Sequence[str]) -> Iterator[Round]:
        with _running(Worker, case, names, around) as workers:
            for worker in workers.values():
                worker.serve(_warm(rounds))

            def taken(order: Sequence[str]) -> dict[str, dict[str, float]]:
                before = {name: around.counts(name) for name in order}
                found = _in_slices(workers, rounds.requests, order, dict.fromkeys(order, (case.route, 1)))
                for name in order:
                    received[name].append(_per_request(before[name], around.counts(name), rounds.requests))
                return found

            yield taken

    answers = _interleave(rounds, names, processes)
    result = summarise({name: [answer["cpu_us"] for answer in answers[name]] for name in names})
    for name, row in result.items():
        row["thread_us"] = min(answer["thread_us"] for answer in answers[name])
        row["received"] = _mean(received[name])
    return result


def socketio(around: Surroundings, rounds: Rounds) -> dict[str, Any]:
    """Measure CPU per Socket.IO event in µs, beside a plain request: of the bare app, stock and ours.

    Stock has no telemetry for it: the share is of what stock adds to a plain request in the same round.

    Args:
        around: Redis and the sink.
        rounds: How much.

    Returns:
        ``event`` and ``request``, each per variant as :func:`benchmarks.figures.summarise` gives it; ours has
        also ``received``, what came to the sink per event.
    """
    # Each in a process of its own, so that what one leaves behind is not paid by the next.
    turns = {
        "bare event": (BASE, EVENT.route, _EVENTS_PER_REQUEST),
        "our event": (OURS, EVENT.route, _EVENTS_PER_REQUEST),
        "bare request": (BASE, "plain", 1),
        "stock request": (STOCK, "plain", 1),
    }
    received: list[dict[str, float]] = []

    @contextmanager
    def processes(_turns: Sequence[str]) -> Iterator[Round]:
        with ExitStack() as stack:
            workers: dict[str, Worker] = {}
            for name, (variant, route, times) in turns.items():
                running = stack.enter_context(_running(Worker, EVENT, (variant,), around))
                workers[name] = running[variant]
                workers[name].serve(_warm(rounds) * times, route=route)

            def taken(order: Sequence[str]) -> dict[str, dict[str, float]]:
                before = around.counts(OURS)
                asked = {name: (route, times) for name, (_, route, times) in turns.items()}
                found = _in_slices(workers, rounds.requests, order, asked)
                events = rounds.requests * _EVENTS_PER_REQUEST
                received.append(_per_request(before, around.counts(OURS), events))
                return found

            yield taken

    answers = _interleave(rounds, list(turns), processes)
    taken = {name: [answer["cpu_us"] for answer in answers[name]] for name in turns}
    plain = {BASE: taken["bare request"], STOCK: taken["stock request"]}
    result = {
        "event": summarise({BASE: taken["bare event"], OURS: taken["our event"]}, plain),
        "request": summarise(plain),
    }
    result["event"][OURS]["received"] = _mean(received)
    return result


def http(case: Case, names: Sequence[str], around: Surroundings, rounds: Rounds) -> dict[str, Any]:
    """Measure the time and the worker's CPU per request in µs over HTTP, gunicorn with one gthread worker.

    Args:
        case: What is asked of the app.
        names: The variants.
        around: Redis and the sink.
        rounds: How much; the requests come one after the other on one connection.

    Returns:
        ``wall`` (the median time of a request), ``p99`` and ``cpu``, each per variant as
        :func:`benchmarks.figures.summarise` gives it.
    """

    def turn(server: Server) -> dict[str, float]:
        before = server.usage()["cpu_s"]
        times = server.load(rounds.requests)
        used = server.usage()["cpu_s"] - before
        slow = statistics.quantiles(times, n=100)[98]
        return {"wall": statistics.median(times), "p99": slow, "cpu": used / rounds.requests * 1e6}

    with _running(Server, case, names, around) as servers:
        for server in servers.values():
            server.load(rounds.requests)
        answers = _interleave(rounds, names, _one_by_one(lambda name: turn(servers[name])))
    return {
        measure: summarise({name: [answer[measure] for answer in answers[name]] for name in names})
        for measure in ("wall", "p99", "cpu")
    }


def start(names: Sequence[str], around: Surroundings, rounds: Rounds) -> dict[str, Any]:
    """Measure what it takes until the app is imported, all signals on: ``cpu_s`` and ``rss_kib``.

    Each variant starts several times in a round, in turn with the others, and the median counts.
    """

    def start_once(name: str) -> dict[str, float]:
        worker = Worker(VARIANTS[name], CASES["full"], around)
        worker.close()
        return worker.started

    def taken(order: Sequence[str]) -> dict[str, dict[str, float]]:
        found: dict[str, list[dict[str, float]]] = {name: [] for name in order}
        for number in range(STARTS):
            for name in _turned(order, number):
                found[name].append(start_once(name))
        return {name: _medians(starts) for name, starts in found.items()}

    for name in names:  # the first start reads files that the later ones find in memory
        start_once(name)
    answers = _interleave(rounds, names, lambda _names: nullcontext(taken))
    return {
        measure: summarise({name: [answer[measure] for answer in answers[name]] for name in names})
        for measure in ("cpu_s", "rss_kib")
    }


def memory(names: Sequence[str], around: Surroundings, requests: int, block: int) -> dict[str, Any]:
    """Measure memory over many requests of the full case, and the allocations of one.

    Args:
        names: The variants.
        around: Redis and the sink.
        requests: In total, for each variant.
        block: After so many, what is queued is sent.

    Returns:
        Per variant ``rss_kib`` as ``[requests, KiB]`` pairs, and the answer of ``allocations`` of the worker.
    """
    result: dict[str, Any] = {}
    with _running(Worker, CASES["full"], names, around) as workers:
        for name, worker in workers.items():
            points = [[0, worker.ask("usage")["rss_kib"]]]
            done, checkpoint = 0, max(requests // _CHECKPOINTS, 1)
            while done < requests:
                size = min(block, requests - done)
                worker.serve(size)
                done += size
                if done // checkpoint > points[-1][0] // checkpoint or done == requests:
                    points.append([done, worker.ask("usage")["rss_kib"]])
            allocations = worker.ask("allocations", requests=_ALLOCATION_REQUESTS)
            result[name] = {"rss_kib": points, **allocations}
    return result


@contextmanager
def _running(
    kind: Callable[..., T], case: Case, names: Sequence[str], around: Surroundings
) -> Iterator[dict[str, T]]:
    made: dict[str, T] = {}
    try:
        for name in names:
            made[name] = kind(VARIANTS[name], case, around)
        yield made
    finally:
        for process in made.values():
            process.close()


def _interleave(
    rounds: Rounds, names: Sequence[str], begin: Callable[[Sequence[str]], AbstractContextManager[Round]]
) -> dict[str, list[dict[str, float]]]:
    """Give each variant its turn in each round; who begins rotates. ``begin`` is entered for each round."""
    answers: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    compared = [name for name in names if name in COMPARED]
    whole, began = rounds.number + (rounds.further if compared else 0), time.monotonic()
    for number in range(whole):
        if number >= LEAST_ROUNDS and time.monotonic() - began > rounds.seconds:
            say(f"   the machine is slow: stopped after {number} of {whole} rounds")
            break
        taking = names if number < rounds.number else compared
        with begin(taking) as taken:
            for name, answer in taken(_turned(taking, number)).items():
                answers[name].append(answer)
        if (number + 1) % 5 == 0:
            say(f"   round {number + 1} of {whole}")
    return answers


def _one_by_one(
    turn: Callable[[str], dict[str, float]],
) -> Callable[[Sequence[str]], AbstractContextManager[Round]]:
    """Rounds in which each variant has one turn, and nothing is begun or ended."""
    return lambda _names: nullcontext(lambda order: {name: turn(name) for name in order})


def _in_slices(
    workers: Mapping[str, Worker], requests: int, order: Sequence[str], asked: Mapping[str, tuple[str, int]]
) -> dict[str, dict[str, float]]:
    """Let the workers serve in turn, each its route and so many times the requests; gives what each took."""
    for name in order:
        workers[name].ask("begin")
    for size, turns in _slices(requests, order):
        for name in turns:
            route, times = asked[name]
            workers[name].ask("serve", requests=size * times, route=route)
    return {name: workers[name].ask("end") for name in order}


def _slices(requests: int, order: Sequence[str]) -> Iterator[tuple[int, Sequence[str]]]:
    """Requests of each variant and who has its turn when; who begins rotates here as well."""
    number = 0
    while requests > 0:
        yield min(SLICE_REQUESTS, requests), _turned(order, number)
        requests -= SLICE_REQUESTS
        number += 1


def _turned(order: Sequence[str], number: int) -> Sequence[str]:
    """The same with another one as the first."""
    at = number % len(order)
    return (*order[at:], *order[:at])


def _medians(rows: Sequence[dict[str, float]]) -> dict[str, float]:
    return {key: statistics.median(row[key] for row in rows) for key in rows[0]}


def _warm(rounds: Rounds) -> int:
    """So many requests fill the caches of a new process."""
    return max(1, min(rounds.requests, _WARM_REQUESTS))


def _mean(rows: Sequence[dict[str, float]]) -> dict[str, float]:
    keys = {key for row in rows for key in row}
    return {key: statistics.fmean(row.get(key, 0.0) for row in rows) for key in sorted(keys)}


def _per_request(before: dict[str, int], after: dict[str, int], requests: int) -> dict[str, float]:
    return {what: (count - before.get(what, 0)) / requests for what, count in after.items()}
