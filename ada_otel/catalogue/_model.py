"""What a row of the catalogue says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal[
    "counter",
    "up_down_counter",
    "histogram",
    "gauge",
    "observable_counter",
    "observable_up_down_counter",
    "observable_gauge",
]


@dataclass(frozen=True)
class Attribute:
    """An attribute of a metric's points.

    Attributes:
        name: Its OpenTelemetry name.
        meaning: One sentence, or a few words.
        values: All values that it can have, when they are known beforehand.
        bound: What keeps the number of values small, when they are not.
        optional: Whether points may lack it.
    """

    name: str
    meaning: str
    values: tuple[str, ...] = ()
    bound: str = ""
    optional: bool = False


@dataclass(frozen=True)
class Metric:
    """One metric.

    Attributes:
        name: Its OpenTelemetry name.
        kind: The kind of instrument.
        unit: In UCUM, as OpenTelemetry wants it: ``s``, ``By``, ``1``, ``{request}``.
        meaning: The description that goes out with it.
        group: For the documentation: the name of the module that holds the row.
        attributes: Of its points.
        buckets: Upper bounds of a histogram's buckets, in its unit.
        on_request: What must be switched on, or be there, for it to be emitted; empty for always.
    """

    name: str
    kind: Kind
    unit: str
    meaning: str
    group: str
    attributes: tuple[Attribute, ...] = ()
    buckets: tuple[float, ...] | None = None
    on_request: str = ""

    @property
    def monotonic(self) -> bool:
        """Whether its sum only grows."""
        return self.kind in {"counter", "observable_counter"}
