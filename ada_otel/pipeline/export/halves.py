"""Count and halve a ``MetricsData``, which is a tree; spans and log records are plain lists."""

from __future__ import annotations

from itertools import groupby
from operator import itemgetter

from opentelemetry.sdk.metrics.export import Metric, MetricsData, ResourceMetrics, ScopeMetrics

_Leaf = tuple[ResourceMetrics, ScopeMetrics, Metric]


def points_of_metrics(data: MetricsData) -> int:
    """How many data points there are."""
    return sum(len(metric.data.data_points) for _, _, metric in _leaves(data))


def halves_of_metrics(data: MetricsData) -> list[MetricsData]:
    """Two parts with half of the metrics each; nothing if there is only one metric."""
    leaves = _leaves(data)
    middle = len(leaves) // 2
    return [_tree(leaves[:middle]), _tree(leaves[middle:])] if middle else []


def _leaves(data: MetricsData) -> list[_Leaf]:
    return [
        (resource, scope, metric)
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    ]


def _tree(leaves: list[_Leaf]) -> MetricsData:
    resources = []
    for _, group in groupby(leaves, key=lambda leaf: id(leaf[0])):
        members = list(group)
        scopes = []
        for _, part in groupby(members, key=lambda leaf: id(leaf[1])):
            metrics = list(part)
            scope = metrics[0][1]
            scopes.append(ScopeMetrics(scope.scope, [*map(itemgetter(2), metrics)], scope.schema_url))
        resource = members[0][0]
        resources.append(ResourceMetrics(resource.resource, scopes, resource.schema_url))
    return MetricsData(resources)
