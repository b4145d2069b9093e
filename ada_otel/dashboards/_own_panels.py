"""Panels for a user's own metrics: rate of a counter, quantiles of a histogram, value of a gauge."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ada_otel.catalogue import Metric
from ada_otel.dashboards._expr import legend, now, quantile, rate
from ada_otel.dashboards._model import Panel, Query

if TYPE_CHECKING:
    from ada_otel.dashboards._custom import Entry

#: How the workers' values of a gauge can be put together.
WAYS = ("max", "min", "avg", "sum")

#: Grafana's unit of a value, and of its growth per second, by UCUM unit.
_UNITS = {
    "s": ("s", "percentunit"),
    "ms": ("ms", "short"),
    "By": ("bytes", "Bps"),
    "1": ("percentunit", "short"),
    "%": ("percent", "short"),
}
#: Ids are of a panel's place in the file: the two panels of entry n have 10 + 2n and 11 + 2n.
_FIRST = 10


def panels(entries: Sequence[Entry]) -> tuple[Panel, ...]:
    """The panels of all entries, in the order of the file."""
    return tuple(
        panel for number, entry in enumerate(entries) for panel in _panels(entry, _FIRST + 2 * number)
    )


def _panels(entry: Entry, number: int) -> tuple[Panel, ...]:
    row, by = entry.metric, entry.by
    value, growth = _UNITS.get(row.unit, ("short", "cps"))
    name = legend(*by) if by else row.name
    if row.kind == "histogram":
        shares = tuple(
            Query(quantile(q, row, by), f"p{q * 100:g} {legend(*by)}".strip(), exemplar=True)
            for q in (0.5, 0.95)
        )
        return (
            Panel(number, entry.title, _said(row), value, shares, bounds=entry.bounds, width=12),
            Panel(
                number + 1,
                f"{entry.title}, how many",
                f"Measurements of {row.name} per second.",
                "cps",
                (Query(rate(row, by, part="count"), name),),
                width=12,
            ),
        )
    if row.monotonic:
        query = Query(rate(row, by), name)
        return (
            Panel(
                number,
                entry.title,
                f"{_said(row)} Per second.",
                growth,
                (query,),
                bounds=entry.bounds,
                width=12,
            ),
        )
    how = entry.aggregate or ("sum" if "up_down" in row.kind else "max")
    said = f"{_said(row)} The {how} over the workers."
    return (
        Panel(
            number, entry.title, said, value, (Query(now(row, how, by), name),), bounds=entry.bounds, width=12
        ),
    )


def _said(row: Metric) -> str:
    return f"{row.meaning.rstrip('.')}. Metric {row.name}."
