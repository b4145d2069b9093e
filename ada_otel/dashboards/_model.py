"""What a dashboard is made of, before it becomes Grafana's JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

#: How a panel shows its queries.
Shape = Literal["series", "stat", "bars", "table", "heatmap", "logs", "groups"]


@dataclass(frozen=True)
class Query:
    """One query to Prometheus.

    Attributes:
        expr: PromQL, with Grafana's variables.
        legend: The name of a series, with ``{{label}}``.
        exemplar: Whether the traces of single measurements are asked for too.
    """

    expr: str
    legend: str
    exemplar: bool = False


@dataclass(frozen=True)
class Search:
    """One query to Elasticsearch.

    Attributes:
        lucene: What is searched for, beside the service and the environment.
        groups: Fields to count by; empty for the log lines themselves.
    """

    lucene: str
    groups: tuple[str, ...] = ()


@dataclass(frozen=True)
class Bound:
    """A value from which a panel turns to a colour.

    Attributes:
        value: In the panel's unit.
        color: A name that Grafana knows.
    """

    value: float
    color: Literal["green", "yellow", "orange", "red"]


@dataclass(frozen=True)
class Panel:
    """One panel.

    Attributes:
        id: Stays the same for ever: links to single panels hold it.
        title: A few words.
        description: What it says, and which alert watches it.
        unit: A unit of Grafana.
        queries: All to one data source.
        shape: How they are shown.
        bounds: In rising order. Below the first it has ``base``.
        base: The colour of the lowest values; red where much is good.
        width: Of the 24 columns.
        height: In rows of 30 pixels.
        top: The end of the axis, where values have one.
        stacked: Whether series are put upon each other.
        link: Uid of the dashboard that says more.
    """

    id: int
    title: str
    description: str
    unit: str
    queries: tuple[Query | Search, ...]
    shape: Shape = "series"
    bounds: tuple[Bound, ...] = ()
    base: Literal["green", "red"] = "green"
    width: int = 8
    height: int = 8
    top: float | None = None
    stacked: bool = False
    link: str = ""


@dataclass(frozen=True)
class Row:
    """Panels under one heading."""

    id: int
    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True)
class Dashboard:
    """One dashboard.

    Attributes:
        uid: Stays the same for ever: alerts link to it.
        title: As the list of dashboards shows it.
        description: One sentence.
        rows: From the top.
        hosts: Whether it has the variable ``host``.
        texts: Further variables that are typed in: name, label and first value.
    """

    uid: str
    title: str
    description: str
    rows: tuple[Row, ...]
    hosts: bool = False
    texts: tuple[tuple[str, str, str], ...] = ()
