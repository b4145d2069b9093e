"""The native stack: starts the servers, says what runs, and stops them again."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal as signals
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tools import paths
from tools.errors import ToolError
from tools.progress import say
from tools.stack import process, starting
from tools.stack.ports import ALL_PORTS, PORTS, chosen_ports
from tools.stack.process import ProcessId
from tools.stack.server import Context, Server
from tools.stack.servers import KNOWN, OPTIONAL, SERVERS
from tools.stack.servers.alertmanager import secrets_folder
from tools.stack.servers.otelcol import collector_environ
from tools.stack.settings import StackState, load, save


class StackError(ToolError):
    """Servers could not be started.

    Attributes:
        failures: What went wrong, by server.
    """

    def __init__(self, failures: Mapping[str, str]) -> None:
        self.failures = dict(failures)
        super().__init__("\n".join(f"{name}: {text}" for name, text in failures.items()))


@dataclass(frozen=True)
class ServerStatus:
    """One row of ``status``.

    Attributes:
        name: The server.
        version: Its version.
        state: ``ready``, ``not ready``, ``stopped``, or ``ended by itself``.
        pid: Its pid while it runs.
        url: Where clients reach it.
        log: Where it writes its log.
    """

    name: str
    version: str
    state: str
    pid: int | None
    url: str
    log: Path


class Stack:
    """A set of real servers on loopback, with all that they write in one folder.

    The servers go on after the program that started them has ended: ``stack.json`` in the folder keeps what a
    later program needs to ask for them and to stop them.

    Args:
        state_dir: The folder; ``$ADA_OTEL_STATE`` or ``.stack`` in the work tree by default.
        ports: Ports by name (see :data:`tools.stack.ports.ALL_PORTS`), over the environment's choice and the
            defaults; :func:`tools.stack.ports.free_ports` gives free ones.
        servers: Names of the servers; all but the optional ones (Bugsink, the Sentry bridge) by default.
        otelcol_configs: The collector's configuration files, in place of those in ``collector/``.
        otelcol_overlays: Configuration files of the collector that come after those, and win over them.
        env: Environment variables for the servers, over those of the stack.
        secrets: Alertmanager's secrets, such as ``slack_webhook_url``. They become files that only their
            owner can read, and stay until :meth:`down` with ``purge``.

    Raises:
        ToolError: An unknown server or port, or a port that is no number.
    """

    def __init__(
        self,
        state_dir: str | Path | None = None,
        ports: Mapping[str, int] | None = None,
        servers: Iterable[str] | None = None,
        otelcol_configs: Sequence[str | Path] = (),
        env: Mapping[str, str] | None = None,
        secrets: Mapping[str, str] | None = None,
        otelcol_overlays: Sequence[str | Path] = (),
    ) -> None:
        self.state_dir = Path(state_dir).absolute() if state_dir is not None else paths.state_folder()
        wanted = set(SERVERS if servers is None else servers)
        _only_known("server", wanted, [*SERVERS, *OPTIONAL])
        _only_known("port", ports or {}, ALL_PORTS)
        earlier = load(self.state_dir)
        self._state = StackState(
            ports={**chosen_ports(), **(ports or {})},
            servers=[name for name in KNOWN if name in wanted],
            otelcol_configs=[str(Path(file).absolute()) for file in otelcol_configs],
            otelcol_overlays=[str(Path(file).absolute()) for file in otelcol_overlays],
            env=dict(env or {}),
            processes=dict(earlier.processes) if earlier is not None else {},
        )
        self._secrets = dict(secrets or {})
        self._lock = threading.Lock()

    @classmethod
    def load(cls, state_dir: str | Path | None = None) -> Stack | None:
        """The stack that was started in ``state_dir``, with its settings; ``None`` if there is none.

        Raises:
            ToolError: Its ``stack.json`` is damaged.
        """
        folder = Path(state_dir).absolute() if state_dir is not None else paths.state_folder()
        state = load(folder)
        if state is None:
            return None
        return cls(
            folder,
            ports=state.ports,
            servers=state.servers,
            otelcol_configs=state.otelcol_configs,
            env=state.env,
            otelcol_overlays=state.otelcol_overlays,
        )

    @property
    def ports(self) -> dict[str, int]:
        """Each port by its name; those of optional servers only if they belong to this stack."""
        return {
            name: number
            for name, number in self._state.ports.items()
            if name in PORTS or ALL_PORTS[name].server in self._state.servers
        }

    @property
    def servers(self) -> list[str]:
        """The servers of this stack, in the order in which they are started."""
        return list(self._state.servers)

    def url(self, server: str) -> str:
        """Where clients reach ``server``."""
        return self._server(server).url(self._context())

    def log(self, server: str) -> Path:
        """The log file of ``server``."""
        return self._context().log(server)

    def pid(self, server: str) -> int | None:
        """The pid of ``server`` while it runs."""
        running = self._running(server)
        return running.pid if running else None

    def env(self) -> dict[str, str]:
        """Environment variables for an app that uses this stack, and for another collector beside it."""
        return {**collector_environ(self._context()), **self.app_env()}

    def app_env(self) -> dict[str, str]:
        """Environment variables for an app that uses this stack."""
        return {
            "OTEL_EXPORTER_OTLP_ENDPOINT": self.url("otelcol"),
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
            "REDIS_URL": self.url("redis"),
            "DATABASE_URL": self.url("postgresql").replace("postgresql://", "postgresql+psycopg://"),
        }

    def ensure(self) -> None:
        """Build or find all servers, without starting any.

        Raises:
            StackError: Some are missing; says for each how to get it.
        """
        failures = {name: problem for name in self.servers if (problem := starting.missing(KNOWN[name]))}
        if failures:
            raise StackError(failures)

    def up(self, *, keep_going: bool = False) -> dict[str, str]:
        """Start every server that does not run yet, all at once if possible, and wait until they answer.

        Args:
            keep_going: Start what can be started. Otherwise one failure stops all that this call started.

        Returns:
            What went wrong, by server; empty unless ``keep_going``.

        Raises:
            StackError: Something went wrong, and ``keep_going`` is off.
        """
        with self._exclusive():
            to_start = [name for name in self.servers if not self._running(name)]
            failures = self._obstacles(to_start)
            startable = [name for name in to_start if name not in failures]
            if not failures or keep_going:
                failures.update(self._start_all(startable))
            if failures and not keep_going:
                self._stop_all(startable)
                raise StackError(failures)
            return failures

    def start(self, server: str) -> None:
        """Start one server and wait until it answers; nothing happens if it runs.

        Raises:
            StackError: It could not be started.
        """
        self._server(server)
        with self._exclusive():
            if self._running(server):
                return
            failures = self._obstacles([server]) or self._start_all([server])
        if failures:
            raise StackError(failures)

    def stop(self, server: str) -> str:
        """Stop one server in an orderly way.

        Returns:
            ``stopped``, ``killed`` if it did not end in time, or ``was not running``.
        """
        self._server(server)
        with self._exclusive():
            return self._stop(server)

    def signal(self, server: str, number: signals.Signals) -> None:
        """Send a signal to one server, such as SIGSTOP, which makes it hang as an overloaded machine would.

        Raises:
            ToolError: It does not run.
        """
        running = self._running(server)
        if running is None:
            raise ToolError(f"{server} does not run")
        os.kill(running.pid, number)

    def kill(self, server: str) -> bool:
        """End one server with SIGKILL, as a crash would; whether it was running."""
        self._server(server)
        with self._exclusive():
            known = self._state.processes.get(server)
            killed = known is not None and process.kill(known)
            self._forget(server)
            return killed

    def down(self, *, purge: bool = False) -> dict[str, str]:
        """Stop all servers in the opposite order of their start, and leave no process behind.

        Args:
            purge: Delete their data, configuration and secrets too; logs stay.

        Returns:
            What became of each server that was started.
        """
        with self._exclusive():
            outcome = self._stop_all(list(self._state.processes))
            if purge:
                for server in KNOWN.values():
                    server.purge(self._context())
                for folder in ("data", "config", "secrets"):
                    shutil.rmtree(self.state_dir / folder, ignore_errors=True)
            return outcome

    def status(self) -> list[ServerStatus]:
        """What each server is doing now."""
        context = self._context()
        return [self._status(KNOWN[name], context) for name in self.servers]

    def _status(self, server: Server, context: Context) -> ServerStatus:
        running = self._running(server.name)
        if running is not None:
            state = "ready" if server.is_ready(context) else "not ready"
        else:
            state = "ended by itself" if server.name in self._state.processes else "stopped"
        return ServerStatus(
            name=server.name,
            version=server.version(),
            state=state,
            pid=running.pid if running else None,
            url=server.url(context),
            log=context.log(server.name),
        )

    def _context(self) -> Context:
        return Context(
            state_dir=self.state_dir,
            ports=self._state.ports,
            servers=tuple(self._state.servers),
            env=self._state.env,
            otelcol_configs=tuple(Path(file) for file in self._state.otelcol_configs),
            otelcol_overlays=tuple(Path(file) for file in self._state.otelcol_overlays),
        )

    def _server(self, name: str) -> Server:
        _only_known("server", [name], [*SERVERS, *OPTIONAL])
        return KNOWN[name]

    def _running(self, name: str) -> ProcessId | None:
        known = self._state.processes.get(name)
        return known if known is not None and process.is_running(known) else None

    def _obstacles(self, names: Sequence[str]) -> dict[str, str]:
        context = self._context()
        return {name: problem for name in names if (problem := starting.obstacle(KNOWN[name], context))}

    def _start_all(self, names: Sequence[str]) -> dict[str, str]:
        """Start servers, each in a thread of its own; what went wrong, by server."""
        if not names:
            return {}
        self._write_secrets()
        context = self._context()
        cancelled = threading.Event()
        futures: dict[str, Future[str | None]] = {}

        def start(name: str) -> str | None:
            # There is a thread for each, and whoever is waited for was submitted earlier.
            wait([futures[other] for other in KNOWN[name].after if other in futures])
            return starting.start(KNOWN[name], context, lambda new: self._remember(name, new), cancelled)

        with ThreadPoolExecutor(max_workers=len(names)) as pool:
            try:
                for name in names:
                    futures[name] = pool.submit(start, name)
                outcome = {name: future.result() for name, future in futures.items()}
            except BaseException:
                # An interrupt, most likely. Nobody is left to use what was half started.
                cancelled.set()
                wait(futures.values())
                self._stop_all(names)
                raise
        return {name: failure for name, failure in outcome.items() if failure is not None}

    def _stop_all(self, names: Sequence[str]) -> dict[str, str]:
        order = [name for name in reversed(list(KNOWN)) if name in names]
        return {name: self._stop(name) for name in order}

    def _stop(self, name: str) -> str:
        known = self._state.processes.get(name)
        if known is None:
            return "was not running"
        server = KNOWN[name]
        outcome = process.stop(known, first_signal=server.stop_signal, grace=server.stop_seconds)
        self._forget(name)
        return outcome

    def _remember(self, name: str, started: ProcessId) -> None:
        with self._lock:
            self._state.processes[name] = started
            save(self._state, self.state_dir)

    def _forget(self, name: str) -> None:
        with self._lock:
            self._state.processes.pop(name, None)
            save(self._state, self.state_dir)

    def _write_secrets(self) -> None:
        folder = secrets_folder(self.state_dir)
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for name, secret in self._secrets.items():
            descriptor = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                os.fchmod(file.fileno(), 0o600)
                file.write(secret)

    @contextmanager
    def _exclusive(self) -> Iterator[None]:
        """Keep a second program from changing the same stack, and take over what an earlier one changed."""
        self.state_dir.mkdir(parents=True, exist_ok=True)
        with (self.state_dir / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                say(f"   waiting for another command that works on {self.state_dir}")
                fcntl.flock(lock, fcntl.LOCK_EX)
            earlier = load(self.state_dir)
            if earlier is not None:
                self._state.processes = dict(earlier.processes)
            yield


def _only_known(kind: str, names: Iterable[str], known: Iterable[str]) -> None:
    unknown = sorted(set(names) - set(known))
    if unknown:
        raise ToolError(f"there is no {kind} {', '.join(unknown)}; there are: {', '.join(known)}")
