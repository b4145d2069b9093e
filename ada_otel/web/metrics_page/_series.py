"""What identifies a series in the workers' files, and how values of several workers become one."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

from opentelemetry import metrics as api

#: ``sum``: over all workers, those that have ended too. ``live``: the sum over those that run. ``max``: the
#: greatest among those that run. ``latest``: what was set last by one that runs. ``most``: the greatest ever
#: seen, for counters of the host, which every worker reads from the same place.
Merge = Literal["sum", "live", "max", "latest", "most"]

#: Longer values are cut: Prometheus refuses a whole scrape for one label that is too long.
_LONGEST_VALUE = 1024

#: The SDK's buckets where an instrument has no advice (specification, explicit bucket histogram).
DEFAULT_BOUNDS = (0.0, 5.0, 10.0, 25.0, 50.0, 75.0, 100.0, 250.0, 500.0, 750.0, 1000.0, 2500.0, 5000.0, 7500.0, 10000.0)  # fmt: skip  # noqa: E501


@dataclass(frozen=True)
class Series:
    """One series.

    Attributes:
        name: The metric's OpenTelemetry name.
        kind: The kind of instrument, as in the catalogue.
        unit: In UCUM.
        meaning: The description.
        merge: How it is merged.
        attributes: Names and values, sorted, values as text.
        bounds: Of a histogram's buckets.
    """

    name: str
    kind: str
    unit: str
    meaning: str
    merge: Merge
    attributes: tuple[tuple[str, str], ...]
    bounds: tuple[float, ...] = ()

    @property
    def archived(self) -> bool:
        """Whether what a worker has counted outlives it."""
        return self.merge in {"sum", "most"}

    def key(self) -> bytes:
        """The series as bytes, the same in every worker."""
        found = [self.name, self.kind, self.unit, self.meaning, self.merge, self.attributes, self.bounds]
        return json.dumps(found, separators=(",", ":")).encode()


_KINDS: tuple[tuple[type, str, Merge], ...] = (
    (api.Counter, "counter", "sum"),
    (api.UpDownCounter, "up_down_counter", "live"),
    (api.Histogram, "histogram", "sum"),
    (api._Gauge, "gauge", "latest"),
    (api.ObservableCounter, "observable_counter", "sum"),
    (api.ObservableUpDownCounter, "observable_up_down_counter", "live"),
    (api.ObservableGauge, "observable_gauge", "max"),
)


_MERGES = {
    *((kind, merge) for _, kind, merge in _KINDS),
    *((kind, "most") for kind in ("counter", "observable_counter")),
    *((kind, "max") for _, kind, _ in _KINDS),
}


@lru_cache(20_000)
def parse(key: bytes) -> Series:
    """Read what :meth:`Series.key` has made.

    Raises:
        ValueError: It is no such key: the file is damaged, or of another release.
    """
    try:
        name, kind, unit, meaning, merge, attributes, bounds = json.loads(key)
        pairs = tuple((k, v) for k, v in attributes)
        found = Series(name, kind, unit, meaning, merge, pairs, tuple(map(float, bounds)))
    except TypeError as error:
        raise ValueError("no key of a series") from error
    texts = (name, unit, meaning, *(text for pair in pairs for text in pair))
    if not all(isinstance(text, str) for text in texts) or not name or (kind, merge) not in _MERGES:
        raise ValueError("no key of a series")
    return found


def series_of(instrument: Any, attributes: Mapping[str, Any] | None) -> Series:
    """The series that an instrument's measurements with these attributes belong to.

    Raises:
        TypeError: It is no kind of instrument that is known.
    """
    found = next(((kind, merge) for made, kind, merge in _KINDS if issubclass(type(instrument), made)), None)
    if found is None:
        raise TypeError(f"{type(instrument).__name__} is no kind of instrument that is known")
    kind, merge = found
    if instrument.name.startswith("system."):
        merge = "most" if kind in {"counter", "observable_counter"} else "max"
    bounds: Sequence[float] = ()
    if kind == "histogram":
        advice = instrument._advisory.explicit_bucket_boundaries
        bounds = DEFAULT_BOUNDS if advice is None else advice
    return Series(
        instrument.name,
        kind,
        instrument.unit or "",
        encodable(instrument.description or ""),
        merge,
        tuple(sorted((str(key), _text(value)) for key, value in (attributes or {}).items())),
        tuple(float(bound) for bound in bounds),
    )


def _text(value: Any) -> str:
    if not isinstance(value, str):
        value = json.dumps(value, default=str)
    return encodable(value[:_LONGEST_VALUE])


def encodable(text: str) -> str:
    """Text fit for UTF-8: half a surrogate pair would cost the whole page."""
    return str(text) if text.isascii() else text.encode("utf-8", "replace").decode()
