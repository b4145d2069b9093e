"""The metric names of the old monitoring code, from the same values, as the recording rules make them.

See collector/prometheus/rules/old_names.yml, which does this for what comes by OTLP.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ada_otel.web.metrics_page._exemplar import Exemplar
from ada_otel.web.metrics_page._merge import Value
from ada_otel.web.metrics_page._series import Series

_REQUESTS = "http.server.request.duration"
_CONNECTIONS = "socketio.server.active_connections"

_LABELS = {"http.request.method": "method", "http.route": "endpoint", "http.response.status_code": "status"}

Items = Sequence[tuple[Series, Value]]


def old_names(items: Items) -> list[tuple[Series, Value]]:
    """The four old metrics, as far as there is anything for them."""
    requests = [item for item in items if item[0].name == _REQUESTS]
    failed = [item for item in requests if "error.type" in dict(item[0].attributes)]
    return [
        *_summed(requests, "ada_requests_total", "counter", "HTTP requests.", _request_labels, _count),
        *_summed(
            requests,
            "ada_request_duration_seconds",
            "histogram",
            "Duration of HTTP requests.",
            lambda _series: (),
            lambda value: value,
        ),
        *_summed(failed, "ada_errors_total", "counter", "Requests that failed.", _error_labels, _count),
        *_summed(
            [item for item in items if item[0].name == _CONNECTIONS],
            "ada_active_connections",
            "up_down_counter",
            "Open Socket.IO connections.",
            lambda _series: (),
            lambda value: value,
        ),
    ]


def _summed(
    items: Items,
    name: str,
    kind: str,
    meaning: str,
    labels: Callable[[Series], tuple[tuple[str, str], ...]],
    taken: Callable[[Value], Value],
) -> list[tuple[Series, Value]]:
    found: dict[tuple[tuple[str, str], ...], tuple[Series, Value]] = {}
    for series, whole in items:
        value = taken(whole)
        key = labels(series)
        held = found.get(key)
        if held is None:
            bounds = series.bounds if kind == "histogram" else ()
            made = Series(name, kind, "old", meaning, series.merge, key, bounds)
            found[key] = (made, Value([value.values], dict(value.exemplars)))
        elif len(held[1].parts[0]) == len(value.values):
            held[1].parts.append(value.values)
            _keep_latest(held[1].exemplars, value.exemplars)
    return list(found.values())


def _keep_latest(held: dict[int, Exemplar], others: dict[int, Exemplar]) -> None:
    for bucket, exemplar in others.items():
        if bucket not in held or held[bucket].time < exemplar.time:
            held[bucket] = exemplar


def _count(value: Value) -> Value:
    return Value([[sum(value.values[:-1])]])


def _request_labels(series: Series) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((_LABELS[key], text) for key, text in series.attributes if key in _LABELS))


def _error_labels(series: Series) -> tuple[tuple[str, str], ...]:
    return tuple(("error_type", text) for key, text in series.attributes if key == "error.type")
