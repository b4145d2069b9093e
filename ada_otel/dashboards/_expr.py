"""PromQL from rows of the catalogue: a metric or attribute that is renamed there breaks the build here.

Counters are rated first and summed then: a worker that ends takes its series along, and a sum that falls
would look like a restart.
"""

from __future__ import annotations

from collections.abc import Mapping

from ada_otel import catalogue
from ada_otel.catalogue import Metric

#: What the variables choose: one service and environment; its workers; machines.
SERVICE = 'job=~"$service", deployment_environment_name=~"$environment"'
INSTANCE = f'{SERVICE}, instance=~"$instance"'
HOST = 'host_name=~"$host", deployment_environment_name=~"$environment"'

#: Labels that each series has from its resource (prometheus.yml).
_RESOURCE = {"job", "instance", "service.version", "deployment.environment.name", "host.name"}

Where = Mapping[str, str]


def select(name: str | Metric, where: Where | None = None, part: str = "", scope: str = INSTANCE) -> str:
    """The selector of a metric.

    Args:
        name: Its OpenTelemetry name, or its row.
        where: Matcher by attribute, for instance ``{"ada.outcome": '="failure"'}``.
        part: ``bucket``, ``count`` or ``sum``, of a histogram.
        scope: Which series the variables choose.

    Raises:
        KeyError: No such metric.
        ValueError: It has no such attribute, value or part.
    """
    row = catalogue.metric(name) if isinstance(name, str) else name
    if (row.kind == "histogram") != bool(part):
        raise ValueError(f"{row.name} is of kind {row.kind}: the part {part!r} does not go with it")
    series = f"{catalogue.prometheus_name(row)}_{part}" if part else catalogue.prometheus_name(row)
    matchers = [scope] if scope else []
    for attribute, matcher in (where or {}).items():
        matchers.append(f"{_label(row, attribute)}{matcher}")
        _known_value(row, attribute, matcher)
    return f"{series}{{{', '.join(matchers)}}}"


def rate(
    name: str | Metric,
    by: tuple[str, ...] = (),
    where: Where | None = None,
    part: str = "",
    scope: str = INSTANCE,
) -> str:
    """How much a counter, or a histogram's part, grows per second."""
    inner = f"rate({select(name, where, part, scope)}[$__rate_interval])"
    return _aggregated("sum", name, by, inner)


def total(name: str | Metric, by: tuple[str, ...] = (), where: Where | None = None, part: str = "") -> str:
    """How much a counter has grown within the time that is shown."""
    return _aggregated("sum", name, by, f"increase({select(name, where, part)}[$__range])")


def now(
    name: str | Metric,
    how: str,
    by: tuple[str, ...] = (),
    where: Where | None = None,
    scope: str = INSTANCE,
) -> str:
    """The value of a gauge or an up-down counter over all workers; ``how``: sum, max, min or avg."""
    return _aggregated(how, name, by, select(name, where, scope=scope))


def quantile(q: float, name: str | Metric, by: tuple[str, ...] = (), where: Where | None = None) -> str:
    """A quantile of a histogram."""
    inner = f"rate({select(name, where, 'bucket')}[$__rate_interval])"
    return f"histogram_quantile({q:g}, {_aggregated('sum', name, (*by, 'le'), inner)})"


def ratio(part: str, whole: str) -> str:
    """A share; 0 where the part has no series, and nothing where the whole is 0."""
    return f"({part} or 0 * {whole}) / ({whole} > 0)"


def recorded(name: str, where: Where | None = None) -> str:
    """A series of a recording rule (collector/prometheus/rules); those have no instance."""
    matchers = [SERVICE, *(f"{label}{matcher}" for label, matcher in (where or {}).items())]
    return f"{name}{{{', '.join(matchers)}}}"


def legend(*attributes: str) -> str:
    """A legend of the values of these attributes."""
    return " ".join(f"{{{{{catalogue.prometheus_label(name)}}}}}" for name in attributes)


def _aggregated(how: str, name: str | Metric, by: tuple[str, ...], inner: str) -> str:
    row = catalogue.metric(name) if isinstance(name, str) else name
    labels = ", ".join(_label(row, attribute) for attribute in by)
    return f"{how} by ({labels}) ({inner})" if labels else f"{how}({inner})"


def _label(row: Metric, attribute: str) -> str:
    known = {entry.name for entry in row.attributes} | _RESOURCE | {"le"}
    if attribute not in known:
        raise ValueError(f"{row.name} has no attribute {attribute!r}; it has {', '.join(sorted(known))}")
    return catalogue.prometheus_label(attribute)


def _known_value(row: Metric, attribute: str, matcher: str) -> None:
    (values,) = [entry.values for entry in row.attributes if entry.name == attribute] or [()]
    asked = matcher[1:].strip('"')
    if values and matcher.startswith('="') and asked not in values:
        raise ValueError(f"{attribute} of {row.name} is never {asked!r}; it is {', '.join(values)}")
