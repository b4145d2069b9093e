"""Elasticsearch aggregations: how they are asked for, and what their answers mean."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from ada_otel.analysis import _fields
from ada_otel.analysis._grouping import Key, Tally
from ada_otel.analysis.errors import QueryError
from ada_otel.analysis.levels import level_name
from ada_otel.analysis.model import ResponseTime, SlowRoute, TrendPoint, Trends, TrendSeries
from ada_otel.analysis.times import from_milliseconds, milliseconds

#: How many values of a field have a series of their own.
SERIES = 10
NONE, OTHER = "(none)", "(other)"
UNMATCHED = "(unmatched)"
#: More points fit no screen and no reader.
_MOST_INTERVALS = 5000
_NANOSECONDS = 1e9
_PERCENTS = (50.0, 95.0, 99.0)

DURATIONS: dict[str, Any] = {
    "average": {"avg": {"field": "duration"}},
    "maximum": {"max": {"field": "duration"}},
    "percentiles": {"percentiles": {"field": "duration", "percents": list(_PERCENTS), "keyed": False}},
}
#: Server spans of HTTP requests. Where the requests of Socket.IO are spans, they have no request method.
SERVER_SPANS: dict[str, Any] = {
    "bool": {
        "filter": [{"term": {"kind": "Server"}}, {"exists": {"field": "attributes.http.request.method"}}]
    }
}


def check_intervals(start: datetime, end: datetime, interval: timedelta) -> None:
    """Refuse what gives too many intervals, or parts of milliseconds.

    Raises:
        QueryError: It does.
    """
    count = (end - start) / interval
    if count > _MOST_INTERVALS:
        raise QueryError(
            f"interval: {count:.0f} intervals are too many; the most is {_MOST_INTERVALS}: write a longer one"
        )
    if interval < timedelta(milliseconds=1):
        raise QueryError("interval: it is shorter than a millisecond; write a longer one, such as 1m")


def check_split(by: str | None) -> None:
    """Refuse a field that has no values to split by.

    Raises:
        QueryError: It is a text.
    """
    if by is not None and _fields.path(by) == _fields.EXCEPTION_STACK:
        raise QueryError(f"by: {by} is a text, in which no two lines are equal; split by exception.type")


def trends(start: datetime, end: datetime, interval: timedelta, by: str | None) -> dict[str, Any]:
    """Counts by interval, for all and for the most frequent values of ``by``."""
    found: dict[str, Any] = {"all": _histogram(interval)}
    if by is not None:
        field = _fields.exact(by)
        split = {"over_time": _histogram(interval)}
        found["values"] = {
            "terms": {
                "field": field,
                "size": 4 * SERIES,
                "shard_size": 1000,
                "show_term_doc_count_error": True,
            },
            "aggs": split,
        }
        found["none"] = {"missing": {"field": field}, "aggs": split}
    return found


def _histogram(interval: timedelta) -> dict[str, Any]:
    length = interval // timedelta(milliseconds=1)
    return {"date_histogram": {"field": _fields.TIME, "fixed_interval": f"{length}ms", "min_doc_count": 1}}


def read_trends(
    answer: Mapping[str, Any], start: datetime, end: datetime, interval: timedelta, by: str | None
) -> Trends:
    """The answer to :func:`trends`, with the intervals in which nothing came."""
    counts: dict[str, Counter[int]] = {}
    buckets = answer.get("values", {}).get("buckets", [])
    for bucket in buckets:
        name = str(bucket.get("key_as_string", bucket["key"]))
        name = level_name(name) if by is not None and _fields.path(by) == _fields.LEVEL else name
        counts.setdefault(name, Counter()).update(_counts(bucket["over_time"]))
    if "none" in answer and answer["none"]["doc_count"]:
        counts[NONE] = _counts(answer["none"]["over_time"])
    approximate = any(bucket.get("doc_count_error_upper_bound") for bucket in buckets)
    return make_trends(_counts(answer["all"]), counts, start, end, interval, by, approximate)


def _counts(histogram: Mapping[str, Any]) -> Counter[int]:
    return Counter({int(bucket["key"]): bucket["doc_count"] for bucket in histogram["buckets"]})


def make_trends(
    everything: Counter[int],
    by_value: Mapping[str, Counter[int]],
    start: datetime,
    end: datetime,
    interval: timedelta,
    by: str | None,
    approximate: bool = False,
) -> Trends:
    """Trends from counts by the begin of the interval in ms; the values past the first ten become one."""
    length = interval // timedelta(milliseconds=1)
    first = milliseconds(start) // length * length
    begins = range(first, milliseconds(end), length)

    def points(counts: Counter[int]) -> tuple[TrendPoint, ...]:
        return tuple(TrendPoint(from_milliseconds(begin), counts[begin]) for begin in begins)

    ranked = sorted(by_value.items(), key=lambda pair: (-sum(pair[1].values()), pair[0]))
    named = dict(ranked[:SERIES])
    rest = Counter(everything)
    for counts in named.values():
        rest.subtract(counts)
    if by is not None and any(count > 0 for count in rest.values()):
        named[OTHER] = rest
    return Trends(
        start=start,
        end=end,
        interval=interval.total_seconds(),
        by=by,
        total=sum(everything.values()),
        points=points(everything),
        series=tuple(
            TrendSeries(name, sum(counts.values()), points(counts)) for name, counts in named.items()
        ),
        approximate=approximate,
    )


def messages(start: datetime) -> dict[str, Any]:
    """Each exception class, logger and message, with counts before and from ``start`` on."""
    fields = {"type": _fields.EXCEPTION_TYPE, "logger": _fields.LOGGER, "message": _fields.exact("message")}
    return {
        "composite": {
            "size": 2000,
            "sources": [
                {name: {"terms": {"field": path, "missing_bucket": True}}} for name, path in fields.items()
            ],
        },
        "aggs": {
            "inside": {
                "filter": {"range": {_fields.TIME: {"gte": milliseconds(start), "format": "epoch_millis"}}},
                "aggs": {"first": {"min": {"field": _fields.TIME}}, "last": {"max": {"field": _fields.TIME}}},
            }
        },
    }


def same_message(key: Key, tally: Tally) -> list[dict[str, Any]]:
    """The filters for the lines with the last message of a group."""
    fields = (
        (_fields.EXCEPTION_TYPE, key.type),
        (_fields.LOGGER, key.logger),
        (_fields.exact("message"), tally.last_message),
    )
    return [
        {"bool": {"must_not": [{"exists": {"field": path}}]}} if value is None else {"term": {path: value}}
        for path, value in fields
    ]


def routes() -> dict[str, Any]:
    """Each method and route, with durations, errors and the slowest trace."""
    fields = {"method": "attributes.http.request.method", "route": "attributes.http.route"}
    return {
        "composite": {
            "size": 500,
            "sources": [
                {name: {"terms": {"field": path, "missing_bucket": True}}} for name, path in fields.items()
            ],
        },
        "aggs": {
            **DURATIONS,
            "errors": {"filter": {"range": {"attributes.http.response.status_code": {"gte": 500}}}},
            "slowest": {"top_hits": {"size": 1, "sort": [{"duration": "desc"}], "_source": ["trace_id"]}},
        },
    }


def read_route(bucket: Mapping[str, Any]) -> SlowRoute:
    """One bucket of the answer to :func:`routes`."""
    hits = bucket["slowest"]["hits"]["hits"]
    return SlowRoute(
        method=bucket["key"]["method"] or "",
        route=bucket["key"]["route"] or UNMATCHED,
        time=read_durations(bucket),
        errors=bucket["errors"]["doc_count"],
        slowest_trace=hits[0]["_source"].get("trace_id") if hits else None,
    )


def read_durations(bucket: Mapping[str, Any]) -> ResponseTime:
    """The answer to :data:`DURATIONS`, in seconds."""
    if not bucket["doc_count"]:
        return ResponseTime(0)
    values = [bucket["average"]["value"], *(one["value"] for one in bucket["percentiles"]["values"])]
    values.append(bucket["maximum"]["value"])
    return ResponseTime(bucket["doc_count"], *(None if one is None else one / _NANOSECONDS for one in values))
