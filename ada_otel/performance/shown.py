"""From columns of points to rows of text."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

_BLOCKS = "▁▂▃▄▅▆▇█"
_WIDTH = 48

#: The column, how it is called, what its values are multiplied by, and how they are written.
_FIGURES = (
    ("cpu", "CPU", 1, "{:.0f} %"),
    ("memory", "memory", 1, "{:.0f} %"),
    ("disk", "disk", 1, "{:.0f} %"),
    ("active_requests", "active requests", 1, "{:.0f}"),
    ("response_time", "response time", 1000, "{:.1f} ms"),
    ("error_rate", "errors", 100, "{:.2f} %"),
)


def rows(found: dict[str, Any]) -> list[tuple[str, ...]]:
    """For each figure: its name, the last value, the mean, the least, the most, and a line of blocks.

    Args:
        found: What ``/health/history`` answers.
    """
    made = []
    for column, name, factor, form in _FIGURES:
        values = found["columns"].get(column, [])
        known = [value * factor for value in values if value is not None]
        if known:
            last = values[-1]
            texts = [
                "" if last is None else form.format(last * factor),
                form.format(sum(known) / len(known)),
                form.format(min(known)),
                form.format(max(known)),
            ]
        else:
            texts = ["", "", "", ""]
        made.append((name, *texts, blocks(values)))
    return made


def blocks(values: Sequence[float | None], width: int = _WIDTH) -> str:
    """Draw values from 0 to their greatest as blocks, each the most of its share; unknown is a blank."""
    count = min(width, len(values))
    edges = [place * len(values) // count for place in range(count + 1)] if count else []
    shares = [values[start:end] for start, end in itertools.pairwise(edges)]
    peaks = [max((value for value in share if value is not None), default=None) for share in shares]
    top = max((peak for peak in peaks if peak is not None), default=0.0) or 1.0
    last = len(_BLOCKS) - 1
    return "".join(" " if peak is None else _BLOCKS[round(max(0.0, peak) / top * last)] for peak in peaks)


def plain(found: dict[str, Any]) -> str:
    """The rows without colours, for where rich is not installed."""
    head = ("figure", "now", "mean", "least", "most", "over time")
    lines = ["{:16}{:>11}{:>11}{:>11}{:>11}  {}".format(*row) for row in (head, *rows(found))]
    return "\n".join(lines) + "\n"
