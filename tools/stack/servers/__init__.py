"""The servers of the native stack, one module each."""

from __future__ import annotations

from tools.stack.server import Server
from tools.stack.servers.alertmanager import Alertmanager
from tools.stack.servers.elasticsearch import Elasticsearch
from tools.stack.servers.otelcol import Otelcol
from tools.stack.servers.postgresql import Postgresql
from tools.stack.servers.prometheus import Prometheus
from tools.stack.servers.redis import Redis
from tools.stack.servers.sentry_sink import SentrySink

#: Every server by name, in the order in which they are started; they are stopped in the opposite order.
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

__all__ = ["SERVERS"]
