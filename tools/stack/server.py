"""What a server of the stack is: how to get it, start it, and tell that it is ready."""

from __future__ import annotations

import os
import signal
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tools import paths
from tools.stack.ports import LOOPBACK


@dataclass(frozen=True)
class Context:
    """What a server may know of the stack that it belongs to.

    Attributes:
        state_dir: The stack's folder.
        ports: Each port by name, also those of the other servers.
        servers: The names of all servers of the stack.
        env: Environment variables that the stack's caller adds.
        otelcol_configs: The collector's configuration files, in place of those in ``collector/``.
        otelcol_overlays: Configuration files that come after those.
    """

    state_dir: Path
    ports: Mapping[str, int]
    servers: tuple[str, ...]
    env: Mapping[str, str]
    otelcol_configs: tuple[Path, ...] = ()
    otelcol_overlays: tuple[Path, ...] = ()

    def data(self, name: str) -> Path:
        """Where server ``name`` keeps its data."""
        return self.state_dir / "data" / name

    def config(self, name: str) -> Path:
        """Where the configuration of server ``name`` is rendered to."""
        return self.state_dir / "config" / name

    def log(self, name: str) -> Path:
        """The log of server ``name``: all of them are in one folder."""
        return self.state_dir / "logs" / f"{name}.log"

    def address(self, port: str) -> str:
        """``127.0.0.1:9090`` of port ``prometheus``."""
        return f"{LOOPBACK}:{self.ports[port]}"

    def child_environ(self, added: Mapping[str, str] | None = None) -> dict[str, str]:
        """A server's environment: this process's, then ``added``, then what the stack's caller adds.

        The app's variables (``OTEL_*``, ``ADA_*``) are left out, and no proxy is used for loopback.
        """
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "ADA_"))}
        direct = ",".join(
            filter(None, [os.environ.get("no_proxy", os.environ.get("NO_PROXY")), LOOPBACK, "localhost"])
        )
        return {**kept, "no_proxy": direct, "NO_PROXY": direct, **(added or {}), **self.env}


class Server(ABC):
    """One server of the stack. A subclass says what is particular about it."""

    name: str
    #: Seconds from start until it must answer.
    ready_seconds: float = 30.0
    #: The signal for an orderly stop, and how many seconds that may take before SIGKILL.
    stop_signal: signal.Signals = signal.SIGTERM
    stop_seconds: float = 20.0
    #: The servers that must be ready before this one is started.
    after: tuple[str, ...] = ()

    @abstractmethod
    def version(self) -> str:
        """Its version, as pinned or as the system's package has it; without starting it."""

    @abstractmethod
    def ensure(self) -> None:
        """Build it or find it.

        Raises:
            ToolError: It is missing; says what is missing and how to get it.
        """

    @abstractmethod
    def prepare(self, context: Context) -> None:
        """Write its configuration and make its data folder."""

    @abstractmethod
    def command(self, context: Context) -> list[str]:
        """The program and its arguments."""

    @abstractmethod
    def is_ready(self, context: Context) -> bool:
        """Whether it answers now."""

    @abstractmethod
    def url(self, context: Context) -> str:
        """Where clients reach it."""

    def environ(self, context: Context) -> dict[str, str]:
        """The environment that it runs in."""
        return context.child_environ()

    def user(self) -> str | None:
        """The user that it runs as, if not the one who starts it."""
        return None

    def folder(self, context: Context) -> Path:
        """The folder that it runs in."""
        return context.data(self.name)

    def after_ready(self, context: Context) -> None:  # noqa: B027 - most servers need nothing
        """What must be set up in it once it answers."""

    def purge(self, context: Context) -> None:  # noqa: B027 - most servers keep nothing there
        """Delete what it keeps outside the stack's folder."""


def configuration(*parts: str) -> Path:
    """A file or folder below ``collector/``, which the servers are started with."""
    return paths.COLLECTOR.joinpath(*parts)
