"""What the web server does: requests by route (semantic conventions for HTTP, stable)."""

from __future__ import annotations

from ada_otel.catalogue._common import BYTES, ERROR_TYPE, FAST_PATH, SECONDS
from ada_otel.catalogue._model import Attribute, Metric

_METHOD = Attribute("http.request.method", "A method of RFC 9110 or PATCH, or _OTHER.", bound="ten values")
_SCHEME = Attribute("url.scheme", "http or https.", values=("http", "https"))
_ROUTE = Attribute(
    "http.route",
    "The route of the rule that matched, never the path; absent when none did.",
    bound="the app's routes",
    optional=True,
)
_STATUS = Attribute(
    "http.response.status_code",
    "Absent when the app raised through.",
    bound="status codes that the app uses",
    optional=True,
)
_VERSION = Attribute("network.protocol.version", "Of HTTP.", bound="three values", optional=True)

HTTP: tuple[Metric, ...] = (
    Metric(
        "http.server.request.duration",
        "histogram",
        "s",
        "Duration of HTTP server requests.",
        "http",
        (
            _METHOD,
            _SCHEME,
            _ROUTE,
            _STATUS,
            _VERSION,
            ERROR_TYPE,
        ),
        buckets=SECONDS,
    ),
    Metric(
        "http.server.active_requests",
        "up_down_counter",
        "{request}",
        "Number of active HTTP server requests.",
        "http",
        (
            _METHOD,
            _SCHEME,
        ),
    ),
    Metric(
        "http.server.request.body.size",
        "histogram",
        "By",
        "Size of HTTP server request bodies.",
        "http",
        (
            _METHOD,
            _SCHEME,
            _ROUTE,
            _STATUS,
            _VERSION,
            ERROR_TYPE,
        ),
        buckets=BYTES,
        on_request=FAST_PATH,
    ),
    Metric(
        "http.server.response.body.size",
        "histogram",
        "By",
        "Size of HTTP server response bodies.",
        "http",
        (
            _METHOD,
            _SCHEME,
            _ROUTE,
            _STATUS,
            _VERSION,
            ERROR_TYPE,
        ),
        buckets=BYTES,
        on_request=FAST_PATH,
    ),
    Metric(
        "http.client.request.duration",
        "histogram",
        "s",
        "Duration of HTTP client requests.",
        "http",
        (
            _METHOD,
            Attribute("server.address", "The host that was called.", bound="the hosts that the app calls"),
            Attribute("server.port", "Its port.", bound="one per host", optional=True),
            Attribute(
                "http.response.status_code",
                "Absent when there was no response.",
                bound="status codes that those hosts use",
                optional=True,
            ),
            _VERSION,
            ERROR_TYPE,
        ),
        buckets=SECONDS,
        on_request="a stock instrumentation of an HTTP client that the app uses, of `requests` for instance",
    ),
)
