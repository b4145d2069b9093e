"""From merged values to Prometheus text or OpenMetrics, by prometheus_client."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from prometheus_client import Metric as Family
from prometheus_client.exposition import choose_encoder
from prometheus_client.samples import Exemplar as ClientExemplar

from ada_otel import catalogue
from ada_otel.web.metrics_page._exemplar import Exemplar
from ada_otel.web.metrics_page._merge import Value
from ada_otel.web.metrics_page._old_names import old_names
from ada_otel.web.metrics_page._series import Series, encodable

Items = Sequence[tuple[Series, Value]]

#: Resource attributes that differ from worker to worker; a page is of all of them.
_OF_A_PROCESS = ("service.instance.id", "process.", "telemetry.", "thread.")

_TYPES = {
    "counter": "counter",
    "observable_counter": "counter",
    "histogram": "histogram",
    "up_down_counter": "gauge",
    "gauge": "gauge",
    "observable_up_down_counter": "gauge",
    "observable_gauge": "gauge",
}


def render(
    items: Iterable[tuple[Series, Value]], resource: Mapping[str, Any], prefix: str, accept: str
) -> tuple[bytes, str]:
    """Write the page.

    Args:
        items: The series and their values.
        resource: The attributes of the resource, for ``target_info``.
        prefix: What all names begin with.
        accept: The ``Accept`` header.

    Returns:
        The body and its content type.
    """
    found = list(items)
    families = [*_families([*found, *old_names(found)], prefix), _target(resource, prefix)]
    encode, content_type = encoder(accept)
    return encode(_Families(families)), content_type


def encoder(accept: str) -> tuple[Callable[[Any], bytes], str]:
    """What writes the format that an ``Accept`` header asks for, and its content type."""
    try:
        found: tuple[Callable[[Any], bytes], str] = choose_encoder(accept)
    except Exception:  # prometheus_client compares versions that are no numbers
        found = choose_encoder("")
    return found


class _Families:
    """What prometheus_client's encoders take for a registry."""

    def __init__(self, families: list[Family]) -> None:
        self._families = families

    def collect(self) -> Iterator[Family]:
        return iter(self._families)


def _families(items: Items, prefix: str) -> list[Family]:
    families: dict[str, Family] = {}
    seen: set[tuple[str, tuple[tuple[str, str], ...]]] = set()
    # By all of the key, so that of two that cannot both be shown each scrape shows the same.
    for series, value in sorted(items, key=lambda item: (item[0].name, item[0].attributes, item[0].key())):
        name = prefix + _name(series)
        kind = _TYPES[series.kind]
        family = families.get(name)
        if family is None:
            base = name.removesuffix("_total") if kind == "counter" else name
            family = families[name] = Family(base, series.meaning or series.name, kind)
        labels = _labels(series.attributes)
        identity = (name, tuple(sorted(labels.items())))
        # Two instruments of one name that differ in more than their values cannot be on one page; see docs.
        if family.type != kind or identity in seen:
            continue
        seen.add(identity)
        if kind == "histogram":
            _add_histogram(family, name, labels, series, value)
        else:
            exemplar = _exemplar(value.exemplars.get(0)) if kind == "counter" else None
            family.add_sample(name, labels, value.values[0], None, exemplar)
    return list(families.values())


def _add_histogram(family: Family, name: str, labels: dict[str, str], series: Series, value: Value) -> None:
    count = 0.0
    for bucket, bound in enumerate((*series.bounds, math.inf)):
        count += value.values[bucket]
        family.add_sample(
            f"{name}_bucket",
            {**labels, "le": "+Inf" if bound == math.inf else str(bound)},
            count,
            None,
            _exemplar(value.exemplars.get(bucket)),
        )
    family.add_sample(f"{name}_count", labels, count)
    family.add_sample(f"{name}_sum", labels, value.values[-1])


def _labels(attributes: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Labels of attributes in order of their names; two that become one label share it, as by OTLP."""
    found: dict[str, str] = {}
    for key, text in attributes:
        label = catalogue.prometheus_label(key)
        found[label] = f"{found[label]};{text}" if label in found else text
    return found


def _exemplar(found: Exemplar | None) -> ClientExemplar | None:
    if found is None:
        return None
    return ClientExemplar({"trace_id": found.trace_id, "span_id": found.span_id}, found.value, found.time)


def _target(resource: Mapping[str, Any], prefix: str) -> Family:
    labels = _labels(
        (key, encodable(str(value)))
        for key, value in sorted(resource.items())
        if not key.startswith(_OF_A_PROCESS)
    )
    family = Family(f"{prefix}target", "Attributes of the resource.", "info")
    family.add_sample(f"{prefix}target_info", labels, 1)
    return family


def _name(series: Series) -> str:
    if series.name.startswith("ada_") and series.unit == "old":
        return series.name
    kind: Any = series.kind
    return catalogue.prometheus_name(catalogue.Metric(series.name, kind, series.unit, "", ""))
