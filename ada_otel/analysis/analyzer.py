"""Search, trends, errors, slow routes and the state of the app, over Elasticsearch."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from operator import attrgetter
from typing import Any

from ada_otel.analysis import _aggregations, _dsl, _fields
from ada_otel.analysis._dashboard import DashboardParts
from ada_otel.analysis._documents import from_hit
from ada_otel.analysis._grouping import Key, Tally, key_of, largest
from ada_otel.analysis.connection import ClientSettings, connect, reported
from ada_otel.analysis.errors import AnalysisError, ConnectionFailedError, QueryError
from ada_otel.analysis.model import (
    Dashboard,
    ErrorGroup,
    ErrorReport,
    LogEntry,
    ResponseTime,
    SlowReport,
    Trends,
)
from ada_otel.analysis.selection import Selection, now
from ada_otel.analysis.times import from_milliseconds

__all__ = ["LogAnalyzer"]

DAY = timedelta(days=1)
#: The most hits in one page; Elasticsearch's own bound is 10,000.
_PAGE = 2000
#: Lines come out of order: from several processes, and through the collector's queue.
_OVERLAP = timedelta(seconds=15)
#: Groups of one period are made of at most this many different messages.
_MOST_MESSAGES = 100_000


class LogAnalyzer:
    """Asks Elasticsearch for log lines (``ada-logs-*``) and spans (``ada-traces-*``).

    Args:
        settings: How to reach it; the environment's by default.

    Raises:
        MissingExtraError: The ``analysis`` extra is not installed.
        AnalysisError: A setting cannot be right.
    """

    def __init__(self, settings: ClientSettings | None = None) -> None:
        self._settings = settings or ClientSettings.from_environment()
        self._client = connect(self._settings)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def __enter__(self) -> LogAnalyzer:  # noqa: PYI034 - typing.Self is newer than Python 3.10
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def search(self, selection: Selection, size: int = 1000) -> list[LogEntry]:
        """The newest lines of a selection, the newest first. Any ``size`` is good; pages are read one by one.

        Raises:
            AnalysisError: It could not be done; says why and what to do.
        """
        if size < 0:
            raise QueryError(f"size: {size} is negative; write how many lines you want")
        found = list(self._scan(selection, "desc", size))
        # Elasticsearch sorts by milliseconds; lines of the same one come in no order.
        return sorted(found, key=attrgetter("timestamp"), reverse=True)

    def count(self, selection: Selection) -> int:
        """How many lines a selection has.

        Raises:
            AnalysisError: It could not be done; says why and what to do.
        """
        index = self._settings.logs_index
        with reported(self._settings, index):
            answer = self._client.count(
                index=index, query=_dsl.of_selection(selection, now()), allow_no_indices=False
            )
        return int(answer["count"])

    def trends(self, selection: Selection, interval: timedelta, by: str | None = None) -> Trends:
        """How many lines of a selection came in each interval.

        Args:
            selection: The lines; a window without a begin is one day long.
            interval: The length of an interval.
            by: Split them by this field.

        Raises:
            AnalysisError: It could not be done; says why and what to do.
        """
        selection, start, end = selection.bounded(DAY)
        _aggregations.check_intervals(start, end, interval)
        _aggregations.check_split(by)
        aggregations = _aggregations.trends(start, end, interval, by)
        answer = self._aggregate(selection, aggregations)
        return _aggregations.read_trends(answer, start, end, interval, by)

    def errors(self, selection: Selection, size: int = 20) -> ErrorReport:
        """Errors in groups, with the change against the period before.

        Args:
            selection: The lines; errors unless it has a level. A window without a begin is one day long.
            size: How many groups, the largest first.

        Raises:
            AnalysisError: It could not be done; says why and what to do.
        """
        selection, start, end = replace(selection, level=selection.level or "error").bounded(DAY)
        both = replace(selection, start=start - (end - start))
        tallies: dict[Key, Tally] = {}
        complete = True
        for seen, bucket in enumerate(self._buckets(both, _aggregations.messages(start))):
            if seen >= _MOST_MESSAGES:
                complete = False
                break
            key, inside = bucket["key"], bucket["inside"]
            count = inside["doc_count"]
            tallies.setdefault(key_of(key["type"], key["logger"], key["message"]), Tally()).add(
                count,
                bucket["doc_count"] - count,
                inside["first"]["value"] if count else float("inf"),
                inside["last"]["value"] if count else float("-inf"),
                key["message"],
            )
        chosen = largest(tallies, size)
        samples = self._samples(selection, chosen)
        return ErrorReport(
            start=start,
            end=end,
            total=sum(tally.count for tally in tallies.values()),
            before=sum(tally.before for tally in tallies.values()),
            groups=tuple(
                ErrorGroup(
                    key.type,
                    key.logger,
                    key.pattern,
                    tally.count,
                    tally.before,
                    from_milliseconds(tally.first),
                    from_milliseconds(tally.last),
                    sample,
                )
                for (key, tally), sample in zip(chosen, samples, strict=True)
            ),
            group_count=len(largest(tallies, len(tallies))),
            complete=complete,
        )

    def slow(
        self,
        start: datetime | None = None,
        end: datetime | None = None,
        size: int = 20,
        service: str | None = None,
    ) -> SlowReport:
        """The slowest routes, from the server spans. Percentiles are Elasticsearch's t-digest estimates.

        Args:
            start: The begin of the window; one day before its end by default.
            end: The end; now by default.
            size: How many routes.
            service: ``service.name`` of the app.

        Raises:
            AnalysisError: It could not be done; says why and what to do.
        """
        selection, start, end = Selection(start=start, end=end, service=service).bounded(DAY)
        buckets = self._buckets(
            selection, _aggregations.routes(), self._settings.traces_index, _aggregations.SERVER_SPANS
        )
        routes = sorted(map(_aggregations.read_route, buckets), key=lambda route: -(route.time.p95 or 0))
        return SlowReport(start, end, tuple(routes[:size]))

    def response_time(self, selection: Selection) -> ResponseTime | None:
        """How long the requests of a window took, from the server spans; ``None`` if there were none.

        Raises:
            AnalysisError: It could not be done; says why and what to do.
        """
        aggregations = {"all": {"filter": {"match_all": {}}, "aggs": _aggregations.DURATIONS}}
        answer = self._aggregate(
            selection, aggregations, self._settings.traces_index, _aggregations.SERVER_SPANS
        )
        time_taken = _aggregations.read_durations(answer["all"])
        return time_taken if time_taken.count else None

    def dashboard(
        self, start: datetime | None = None, end: datetime | None = None, service: str | None = None
    ) -> Dashboard:
        """The state of the app, from Elasticsearch and Prometheus; what they lack is named as missing.

        Args:
            start: The begin of the window; one hour before its end by default.
            end: The end; now by default.
            service: ``service.name`` of the app.

        Raises:
            AnalysisError: Nothing at all could be had; says why and what to do.
        """
        selection, _, _ = Selection(start=start, end=end, service=service).bounded(timedelta(hours=1))
        return DashboardParts(self._settings, selection).collect(self)

    def follow(
        self,
        selection: Selection,
        size: int = 10,
        poll: float = 1.0,
        on_trouble: Callable[[str], None] = lambda _message: None,
    ) -> Iterator[LogEntry]:
        """The newest lines, the oldest first, and then each new one as it comes, without end.

        A line that arrives more than 15 seconds after a later one is not seen.

        Args:
            selection: The lines; its end is passed over.
            size: How many lines come at the beginning.
            poll: Seconds between two looks.
            on_trouble: Is told, once for each outage, that Elasticsearch does not answer.

        Raises:
            AnalysisError: The first look failed; says why and what to do.
        """
        begun = now()
        floor = max(begun - _OVERLAP, selection.start or begun - _OVERLAP)
        # What is there already, and is not among the newest lines, is left out.
        there = self._scan(replace(selection, start=floor, end=None), "asc", None)
        seen = {entry.id: entry.timestamp for entry in there}
        latest = self.search(replace(selection, end=None), size)
        seen.update({entry.id: entry.timestamp for entry in latest})
        yield from reversed(latest)
        newest, trouble = begun, False
        while True:
            time.sleep(poll)
            since = max(floor, newest - _OVERLAP)
            try:
                fresh = [
                    entry
                    for entry in self._scan(replace(selection, start=since, end=None), "asc", None)
                    if entry.id not in seen
                ]
            except ConnectionFailedError as error:
                if not trouble:
                    on_trouble(str(error))
                trouble = True
                continue
            trouble = False
            for entry in sorted(fresh, key=attrgetter("timestamp")):
                seen[entry.id] = entry.timestamp
                newest = max(newest, entry.timestamp)
                yield entry
            seen = {name: at for name, at in seen.items() if at >= newest - 2 * _OVERLAP}

    def _scan(self, selection: Selection, order: str, size: int | None) -> Iterator[LogEntry]:
        """Page through a selection at one point in time, so that what is written meanwhile shifts nothing."""
        if size == 0:
            return
        index, left, after = self._settings.logs_index, size, None
        query = _dsl.of_selection(selection, now())
        with reported(self._settings, index):
            pit = self._client.open_point_in_time(
                index=index, keep_alive="2m", allow_partial_search_results=False
            )
            pit_id = pit["id"]
            try:
                while left is None or left > 0:
                    page = _PAGE if left is None else min(_PAGE, left)
                    answer = self._client.search(
                        pit={"id": pit_id, "keep_alive": "2m"},
                        query=query,
                        size=page,
                        sort=[{_fields.TIME: order}, {"_shard_doc": order}],
                        search_after=after,
                        track_total_hits=False,
                        allow_partial_search_results=False,
                    )
                    pit_id = answer.get("pit_id", pit_id)
                    hits = answer["hits"]["hits"]
                    if not hits and after is None:
                        # A pattern without an index opens a point in time all the same; this call refuses it.
                        self._client.count(index=index, allow_no_indices=False)
                    yield from map(from_hit, hits)
                    if len(hits) < page:
                        return
                    after = hits[-1]["sort"]
                    left = None if left is None else left - len(hits)
            finally:
                self._forget(pit_id)

    def _forget(self, pit_id: str) -> None:
        # It ends by itself, and whatever went wrong is reported already.
        with suppress(Exception):
            self._client.close_point_in_time(id=pit_id)

    def _aggregate(
        self,
        selection: Selection,
        aggregations: Mapping[str, Any],
        index: str | None = None,
        also: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        index = index or self._settings.logs_index
        query = _dsl.of_selection(selection, now())
        query["bool"]["filter"] += [also] if also else []
        with reported(self._settings, index):
            answer = self._client.search(
                index=index,
                query=query,
                size=0,
                aggregations=aggregations,
                track_total_hits=True,
                allow_no_indices=False,
                allow_partial_search_results=False,
            )
        if answer["timed_out"]:
            raise ConnectionFailedError(
                f"{self._settings.place} gave up half way: narrow --since, or try again"
            )
        return {"total": answer["hits"]["total"]["value"], **answer["aggregations"]}

    def _buckets(
        self,
        selection: Selection,
        composite: dict[str, Any],
        index: str | None = None,
        also: Mapping[str, Any] | None = None,
    ) -> Iterator[dict[str, Any]]:
        """All buckets of a composite aggregation, page by page."""
        after: dict[str, Any] = {}
        while True:
            request = {**composite, "composite": {**composite["composite"], **after}}
            found = self._aggregate(selection, {"buckets": request}, index, also)["buckets"]
            yield from found["buckets"]
            if "after_key" not in found or len(found["buckets"]) < composite["composite"]["size"]:
                return
            after = {"after": found["after_key"]}

    def _samples(self, selection: Selection, groups: list[tuple[Key, Tally]]) -> list[LogEntry | None]:
        """The last line of each group, in one request."""
        if not groups:
            return []
        index = self._settings.logs_index
        searches: list[dict[str, Any]] = []
        for key, tally in groups:
            query = _dsl.of_selection(selection, now())
            query["bool"]["filter"] += _aggregations.same_message(key, tally)
            searches += [
                {"index": index},
                {"query": query, "size": 1, "sort": [{_fields.TIME: "desc"}, {"_doc": "desc"}]},
            ]
        with reported(self._settings, index):
            answers = self._client.msearch(searches=searches)["responses"]
        failed = next((answer for answer in answers if "error" in answer), None)
        if failed is not None:
            raise AnalysisError(
                f"{self._settings.place} could not give the samples: {failed['error'].get('reason')}"
            )
        hits = [answer["hits"]["hits"] for answer in answers]
        return [from_hit(found[0]) if found else None for found in hits]
