"""The table at the end of the demo."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Row:
    """One signal in one back end.

    Attributes:
        signal: ``traces``, ``metrics`` or ``logs``.
        back_end: Where it was looked for.
        what: What was counted.
        sent: How many were sent; with ``exact`` off, at least how many.
        found: How many arrived; None if the back end could not be asked.
        exact: Whether found and sent must be equal.
        look: A command to see for oneself, or why there is nothing to see.
        unknown: How many were sent without an answer, so that nobody knows whether the app saw them.
    """

    signal: str
    back_end: str
    what: str
    sent: int
    found: int | None
    exact: bool
    look: str
    unknown: int = 0

    @property
    def arrived(self) -> bool:
        """Whether all that was sent arrived; never true for a back end that was not there."""
        if self.found is None:
            return False
        if self.exact:
            return self.sent <= self.found <= self.sent + self.unknown
        return self.found >= self.sent > 0

    def as_dict(self) -> dict[str, Any]:
        """The row, for the report."""
        return {**asdict(self), "arrived": self.arrived}


def render(rows: Sequence[Row]) -> str:
    """The rows as text, each with its command below it."""
    lines = ["", f"{'':4}{'signal':9}{'back end':58}{'sent':>8}{'arrived':>9}  what"]
    for row in rows:
        mark = "ok  " if row.arrived else "NO  "
        sent = f"{row.sent}" if row.exact else f">= {row.sent}"
        sent += f" (+{row.unknown}?)" if row.exact and row.unknown else ""
        found = "-" if row.found is None else str(row.found)
        lines.append(f"{mark}{row.signal:9}{row.back_end:58}{sent:>8}{found:>9}  {row.what}")
        lines.append(f"{'':13}{row.look}")
    return "\n".join(lines) + "\n"
