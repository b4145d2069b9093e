"""The metrics of a request: handles for each set of attributes, made once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from opentelemetry import metrics

from ada_otel.instrument.flask._attributes import method_of, protocol_version, without_empty
from ada_otel.instrument.flask._status import INVALID_STATUS, parsed
from ada_otel.pipeline.metrics import BoundHistogram, Forwarded, bind, tally

#: Tallies stay as long as the meter provider: pairs of method and scheme beyond these have none.
_MOST_TALLIES = 64


class Entry:
    """What is known of a request by its method and scheme; one object for each pair.

    Args:
        active: What counts the requests that are being served.
        raw_method: The method, as the server gives it.
        scheme: ``url.scheme``.

    Attributes:
        method: ``http.request.method``.
        name: The span's name, until its route is known.
        begun: Counts one more that is being served, by ``next()``.
        ended: Counts one less.
    """

    __slots__ = ("begun", "ended", "method", "name", "scheme")

    def __init__(self, active: ActiveRequests, raw_method: str, scheme: str | None) -> None:
        self.method = method_of(raw_method)[0]
        self.scheme = scheme
        self.name = "HTTP" if self.method == "_OTHER" else self.method
        self.ended, self.begun = active[self.method, scheme]


class ActiveRequests(dict[tuple[str, "str | None"], "tuple[Iterator[int], Iterator[int]]"]):
    """What counts the requests that are being served, by method and scheme: one less, and one more.

    Args:
        instrument: ``http.server.active_requests``.
    """

    __slots__ = ("_instrument",)

    def __init__(self, instrument: metrics.UpDownCounter) -> None:
        self._instrument = instrument

    def __missing__(self, key: tuple[str, str | None]) -> tuple[Iterator[int], Iterator[int]]:
        method, scheme = key
        handle = bind(self._instrument, without_empty({"http.request.method": method, "url.scheme": scheme}))
        if len(self) >= _MOST_TALLIES:
            return Forwarded(handle.take, -1), Forwarded(handle.take, 1)
        # Those that ended first: one that begins and ends between two looks is never counted as -1.
        found = self[key] = tally(handle, -1), tally(handle)
        return found


class RequestMetrics(NamedTuple):
    """The histograms of one set of attributes."""

    duration: BoundHistogram
    request_size: BoundHistogram
    response_size: BoundHistogram


def bind_metrics(
    histograms: Sequence[metrics.Histogram],
    entry: Entry,
    protocol: str,
    route: str | None,
    status: str | None,
    raised: str | None,
) -> RequestMetrics:
    """Tie the histograms to one set of attributes.

    Args:
        histograms: In the order of :class:`RequestMetrics`.
        entry: The request's method and scheme.
        protocol: Such as ``HTTP/1.1``.
        route: ``http.route``.
        status: A WSGI status line, if a response was begun.
        raised: ``error.type``, if none was.
    """
    found: dict[str, Any] = {
        "http.request.method": entry.method,
        "url.scheme": entry.scheme,
        "network.protocol.version": protocol_version(protocol),
        "http.route": route,
        "error.type": raised,
    }
    if status is not None:
        text, code = parsed(status)
        if code != INVALID_STATUS:
            found["http.response.status_code"] = code
        if code >= 500 or code < 100:
            found["error.type"] = text
    kept = without_empty(found)
    return RequestMetrics(*(bind(histogram, kept) for histogram in histograms))
