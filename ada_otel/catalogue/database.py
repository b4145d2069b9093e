"""Databases and caches as the app sees them (semantic conventions for database clients, stable)."""

from __future__ import annotations

from ada_otel.catalogue._common import ERROR_TYPE, FAST_PATH
from ada_otel.catalogue._model import Attribute, Metric

_SYSTEM = Attribute("db.system.name", "The database product.", bound="the products that the app uses")
_OPERATION = Attribute(
    "db.operation.name",
    "The first word of the statement, or the command.",
    bound="words of SQL and Redis that we know; others are _OTHER",
)
_NAMESPACE = Attribute("db.namespace", "The database.", bound="one per engine or client", optional=True)
_ADDRESS = Attribute(
    "server.address", "Host of the database.", bound="one per engine or client", optional=True
)
_PORT = Attribute("server.port", "Its port.", bound="one per engine or client", optional=True)
_POOL = Attribute("db.client.connection.pool.name", "As `pool.name` of the usage.", bound="one per engine")

DATABASE: tuple[Metric, ...] = (
    Metric(
        "db.client.operation.duration",
        "histogram",
        "s",
        "Duration of database client operations.",
        "database",
        (
            _SYSTEM,
            _OPERATION,
            _NAMESPACE,
            _ADDRESS,
            _PORT,
            ERROR_TYPE,
        ),
        buckets=(0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0),
        on_request=FAST_PATH,
    ),
    Metric(
        "db.client.connections.usage",
        "observable_up_down_counter",
        "connections",
        "The number of connections that are currently in state described by the state attribute.",
        "database",
        (
            Attribute(
                "pool.name",
                "The pool's logging name, or the URL of its engine without user.",
                bound="one per engine",
            ),
            Attribute("state", "Of a connection.", values=("idle", "used")),
        ),
    ),
    Metric(
        "db.client.connection.max",
        "observable_up_down_counter",
        "{connection}",
        "The most connections that the pool may open.",
        "database",
        (_POOL,),
        on_request=FAST_PATH,
    ),
    Metric(
        "db.client.connection.pending_requests",
        "observable_up_down_counter",
        "{request}",
        "Requests that wait for a connection of the pool.",
        "database",
        (_POOL,),
        on_request=FAST_PATH,
    ),
    Metric(
        "db.client.connection.timeouts",
        "observable_counter",
        "{timeout}",
        "Requests that waited for a connection in vain.",
        "database",
        (_POOL,),
        on_request=FAST_PATH,
    ),
    Metric(
        "ada.cache.lookups",
        "counter",
        "{lookup}",
        "Lookups of keys in a cache.",
        "database",
        (
            Attribute("ada.cache.name", "The cache.", bound="redis, and names that the app gives"),
            Attribute("ada.cache.result", "What was found.", values=("hit", "miss")),
        ),
    ),
)
