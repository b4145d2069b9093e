"""The ports of the native stack: which there are, how to choose others, and who holds one that is taken."""

from __future__ import annotations

import os
import random
import socket
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tools.errors import ToolError

LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class Port:
    """One port of one server.

    Attributes:
        server: The server that listens on it.
        default: Its number when nothing else is asked for.
        purpose: What it is for, in the words of the server's manual.
    """

    server: str
    default: int
    purpose: str


PORTS: dict[str, Port] = {
    "otelcol_grpc": Port("otelcol", 4317, "OTLP over gRPC"),
    "otelcol_http": Port("otelcol", 4318, "OTLP over HTTP"),
    "otelcol_es_hop": Port("otelcol", 24317, "the loopback hop in front of Elasticsearch"),
    "otelcol_health": Port("otelcol", 13133, "health check"),
    "otelcol_metrics": Port("otelcol", 8888, "its own metrics"),
    "prometheus": Port("prometheus", 9090, "HTTP API"),
    "alertmanager": Port("alertmanager", 9093, "HTTP API"),
    "elasticsearch": Port("elasticsearch", 9200, "HTTP API"),
    "elasticsearch_transport": Port("elasticsearch", 9300, "transport"),
    "redis": Port("redis", 6379, "clients"),
    "postgresql": Port("postgresql", 5432, "clients"),
    "sentry_sink": Port("sentry_sink", 9123, "OTLP as Sentry takes it"),
}

#: The ports of servers that are started only when they are named.
OPTIONAL_PORTS: dict[str, Port] = {
    "bugsink": Port("bugsink", 8971, "Sentry's protocol, HTTP API and pages"),
    "sentry_bridge": Port("sentry_bridge", 4390, "OTLP log records over HTTP"),
}
ALL_PORTS: dict[str, Port] = {**PORTS, **OPTIONAL_PORTS}

#: Below the range that the kernel gives to outgoing connections, so that none of those takes a port we chose.
FREE_RANGE = range(20000, 32000)


def variable(name: str) -> str:
    """The environment variable that chooses port ``name``: ``ADA_STACK_PROMETHEUS_PORT``."""
    return f"ADA_STACK_{name.upper()}_PORT"


def chosen_ports(environ: Mapping[str, str] | None = None) -> dict[str, int]:
    """All ports: the environment's choice, else the default.

    Raises:
        ToolError: A variable does not hold a port number; names it.
    """
    env = os.environ if environ is None else environ
    return {
        name: _number(variable(name), env.get(variable(name), ""), port.default)
        for name, port in ALL_PORTS.items()
    }


def free_ports(environ: Mapping[str, str] | None = None, *, optional: bool = False) -> dict[str, int]:
    """All ports, each one that nobody listens on now; what the environment chooses is kept.

    Args:
        environ: Where the choice is read; ``os.environ`` by default.
        optional: Those of the optional servers too.

    Raises:
        ToolError: No free port was found.
    """
    env = os.environ if environ is None else environ
    chosen: dict[str, int] = {}
    candidates = iter(random.sample(FREE_RANGE, len(FREE_RANGE)))
    for name in ALL_PORTS if optional else PORTS:
        if env.get(variable(name)):
            chosen[name] = _number(variable(name), env[variable(name)], 0)
            continue
        chosen[name] = next((port for port in candidates if is_free(port)), 0)
        if not chosen[name]:
            raise ToolError(f"no free port between {FREE_RANGE.start} and {FREE_RANGE.stop} on {LOOPBACK}")
    return chosen


def is_free(port: int) -> bool:
    """Whether a server could listen on ``port`` of the loopback address now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As servers do: a connection that is only waiting out its end does not hold a port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def busy_ports(ports: Mapping[str, int], servers: Iterable[str]) -> list[str]:
    """One message for each port that one of ``servers`` needs and somebody else holds."""
    wanted = set(servers)
    return [
        busy_message(name, number, holder(number))
        for name, number in ports.items()
        if ALL_PORTS[name].server in wanted and not is_free(number)
    ]


def busy_message(name: str, number: int, held_by: str | None) -> str:
    """What to tell about a port that is taken: server, port, who holds it, and the setting to change."""
    port = ALL_PORTS[name]
    who = held_by or f"another process (`ss -ltnp 'sport = :{number}'` run as root names it)"
    return (
        f"{port.server} needs port {number} on {LOOPBACK} for {port.purpose}, and {who} holds it.\n"
        f"    End that process, or choose another port: {variable(name)}=NUMBER (all: --free-ports)."
    )


def holder(port: int) -> str | None:
    """Who listens on ``port``, as ``pid 12 (redis-server)``; ``None`` where the system does not tell."""
    inodes = _listening_inodes(port)
    if not inodes:
        return None
    wanted = {f"socket:[{inode}]" for inode in inodes}
    for process in Path("/proc").glob("[0-9]*"):
        if wanted & _open_files(process):
            name = (process / "comm").read_text(encoding="utf-8", errors="replace").strip()
            return f"pid {process.name} ({name})"
    return None


def _open_files(process: Path) -> set[str]:
    """What the descriptors of a process point to; nothing if it has ended or belongs to somebody else."""
    found: set[str] = set()
    # Descriptors come and go while they are read, and so do processes.
    with suppress(OSError):
        for link in (process / "fd").iterdir():
            with suppress(OSError):
                found.add(str(link.readlink()))
    return found


def _listening_inodes(port: int) -> set[str]:
    """The inodes of sockets that listen on ``port``, from the kernel's tables."""
    found: set[str] = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            lines = Path(table).read_text(encoding="ascii").splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            if fields[3] == "0A" and int(fields[1].rsplit(":", 1)[1], 16) == port:
                found.add(fields[9])
    return found


def _number(name: str, text: str, default: int) -> int:
    if not text:
        return default
    if text.isascii() and text.isdigit() and 0 < int(text) < 65536:
        return int(text)
    raise ToolError(f"{name} is {text!r}, which is not a port: give a number from 1 to 65535")
