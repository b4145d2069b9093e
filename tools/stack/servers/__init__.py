"""The servers of the native stack, one module each."""

from __future__ import annotations

from collections import ChainMap

from tools.stack.server import Server
from tools.stack.servers.alertmanager import Alertmanager
from tools.stack.servers.bugsink import Bugsink
from tools.stack.servers.elasticsearch import Elasticsearch
from tools.stack.servers.otelcol import Otelcol
from tools.stack.servers.postgresql import Postgresql
from tools.stack.servers.prometheus import Prometheus
from tools.stack.servers.redis import Redis
from tools.stack.servers.sentry_bridge import SentryBridge
from tools.stack.servers.sentry_sink import SentrySink

#: The servers of a stack that names none, in the order in which they are started.
SERVERS: dict[str, Server] = {
    server.name: server
    for server in (
        Elasticsearch(),
        Redis(),
        Postgresql(),
        SentrySink(),
        Alertmanager(),
        Prometheus(),
        Otelcol(),
    )
}

#: The servers that are started only when they are named.
OPTIONAL: dict[str, Server] = {server.name: server for server in (Bugsink(), SentryBridge())}

#: All of both, in the order in which they are started (the optional ones first, since the collector sends to
#: them); they are stopped in the opposite order.
KNOWN: ChainMap[str, Server] = ChainMap(SERVERS, OPTIONAL)

__all__ = ["KNOWN", "OPTIONAL", "SERVERS"]
