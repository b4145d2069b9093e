"""The arithmetic: medians with spread, what a variant adds, its share of what stock adds, and the goals."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.variants import BASE, OURS, OURS_AT_START, STOCK

#: Values of one measure, by variant, in the order of the rounds.
Rounds = Mapping[str, Sequence[float]]


@dataclass(frozen=True)
class Spread:
    """A median and how far the rounds lie from it.

    Attributes:
        median: Of the rounds.
        p25: A quarter of the rounds are below it.
        p75: A quarter of the rounds are above it.
        least: Of the rounds; what a loaded machine moves least.
        low: The median of any number of rounds is above it, and below ``high``, with 95 % certainty (sign
            test); the least and the greatest of less than six rounds.
        high: See ``low``.
    """

    median: float
    p25: float
    p75: float
    least: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Summarise the values of the rounds, one at least."""
        ordered = sorted(values)
        if len(ordered) == 1:
            return cls(*ordered * 6)
        p25, median, p75 = statistics.quantiles(ordered, n=4, method="inclusive")
        outside = _outside(len(values))
        return cls(median, p25, p75, ordered[0], ordered[outside], ordered[-1 - outside])


@dataclass(frozen=True)
class Goal:
    """The most that ada-otel may add, as a share of what stock adds.

    Attributes:
        title: What is compared.
        limit: The share, such as 1/6.
        path: Where the measure stands in the results.
        variant: Whose share it is.
    """

    title: str
    limit: float
    path: tuple[str, ...]
    variant: str = OURS


GOALS = (
    Goal("CPU added per request, plain route, traces and metrics", 1 / 6, ("cpu", "plain")),
    Goal("CPU added per request, log + SQL + Redis, all signals", 1 / 4, ("cpu", "full")),
    Goal("CPU added per request, the same, 1 % of traces sampled", 1 / 6, ("cpu", "sampled")),
    Goal("CPU added per Socket.IO event, of what a plain request costs", 30 / 237, ("socketio", "event")),
    Goal("CPU added to the start, by `ada-otel run`", 1 / 2, ("start", "cpu_s"), OURS_AT_START),
    Goal("resident memory added at the start", 1 / 2, ("start", "rss_kib"), OURS_AT_START),
)


def summarise(rounds: Rounds, against: Rounds | None = None) -> dict[str, dict[str, Any]]:
    """Summarise one measure for each variant.

    Args:
        rounds: Its values: of the bare app and of stock from all rounds, of others from the first ones.
        against: Another measure of the same rounds, if the shares are to be of what stock adds to that.

    Returns:
        For each variant its rounds and their :class:`Spread`; with the bare app among the variants also
        ``added``, the spread of what it adds in each round, and ``of_bare``, that of its ratio to the bare
        app; and with stock too, ``of_stock``, the spread of its share of what stock added in the same round,
        and ``of_stock_least``, the share by the least of each.
    """
    against = rounds if against is None else against
    result: dict[str, dict[str, Any]] = {}
    for name, values in rounds.items():
        row: dict[str, Any] = {"rounds": list(values), **asdict(Spread.of(values))}
        if BASE in rounds and name != BASE:
            row["added"] = asdict(Spread.of(_added(rounds, name)))
            row["of_bare"] = asdict(Spread.of(_of_bare(rounds, name)))
            if STOCK in against:
                row |= _of_stock(rounds, name, against)
        result[name] = row
    return result


def judge(results: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Hold ada-otel's shares against the goals; a measure that was not taken is left out."""
    judged = []
    for goal in GOALS:
        measured: Any = results
        for key in (*goal.path, goal.variant, "of_stock"):
            measured = measured.get(key) if measured else None
        if measured:
            share = measured["median"]
            judged.append(
                {
                    "goal": goal.title,
                    "limit": goal.limit,
                    "share": share,
                    "low": measured["low"],
                    "high": measured["high"],
                    "met": share <= goal.limit,
                }
            )
    return judged


def _outside(number: int) -> int:
    """So many of ``number`` rounds at each end are outside of the median's interval of 95 %."""
    tail, outside = 0.5**number, 0
    while (tail := tail + math.comb(number, outside + 1) * 0.5**number) <= 0.025:
        outside += 1
    return outside


def _pairs(values: Sequence[float], others: Sequence[float]) -> Iterator[tuple[float, float]]:
    """Each value with the other one of its round."""
    return zip(values, others[: len(values)], strict=True)


def _added(rounds: Rounds, name: str) -> list[float]:
    return [value - bare for value, bare in _pairs(rounds[name], rounds[BASE])]


def _of_bare(rounds: Rounds, name: str) -> list[float]:
    return [value / bare for value, bare in _pairs(rounds[name], rounds[BASE])]


def _of_stock(rounds: Rounds, name: str, against: Rounds) -> dict[str, Any]:
    """Give the shares; a round in which stock added nothing, by a disturbance, has none."""
    pairs = _pairs(_added(rounds, name), _added(against, STOCK))
    shares = [own / stock for own, stock in pairs if stock > 0]
    stock_least = min(against[STOCK]) - min(against[BASE])
    found: dict[str, Any] = {"of_stock": asdict(Spread.of(shares))} if shares else {}
    if stock_least > 0:
        found["of_stock_least"] = (min(rounds[name]) - min(rounds[BASE])) / stock_least
    return found
