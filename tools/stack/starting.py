"""Starts one server: from its configuration to the moment when it answers and is set up."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from tools.builds.run import tail
from tools.errors import ToolError
from tools.progress import say
from tools.stack import process
from tools.stack.ports import busy_ports
from tools.stack.process import ProcessId
from tools.stack.ready import wait_until
from tools.stack.server import Context, Server

#: Past this size a log is put aside when its server is started the next time.
_LOG_BYTES = 20_000_000


def missing(server: Server) -> str | None:
    """What a server has not got: it is not built, or not installed. ``None`` if it could be started."""
    try:
        server.ensure()
    except ToolError as error:
        return str(error)
    return None


def obstacle(server: Server, context: Context) -> str | None:
    """What keeps a server from being started at all: a port that is taken, or what :func:`missing` says."""
    return "\n".join(busy_ports(context.ports, [server.name])) or missing(server)


def start(
    server: Server,
    context: Context,
    launched: Callable[[ProcessId], None],
    cancelled: threading.Event,
) -> str | None:
    """Start a server and wait until it answers and is set up.

    Args:
        server: The server.
        context: The stack that it belongs to.
        launched: Called with its process as soon as there is one.
        cancelled: Ends the wait when it is set.

    Returns:
        What went wrong, or ``None``.
    """
    if cancelled.is_set():
        return "it was not started"
    try:
        _start(server, context, launched, cancelled)
    except ToolError as error:
        return str(error)
    except OSError as error:
        return f"it could not be set up: {error}"
    return None


def _start(
    server: Server,
    context: Context,
    launched: Callable[[ProcessId], None],
    cancelled: threading.Event,
) -> None:
    log = context.log(server.name)
    for folder in (context.data(server.name).parent, log.parent):
        folder.mkdir(parents=True, exist_ok=True)
    log_begins = _keep_small(log)
    server.prepare(context)
    say(f"   starting {server.name} {server.version()} at {server.url(context)}")
    started = process.launch(
        server.command(context),
        log=log,
        folder=server.folder(context),
        environ=server.environ(context),
        user=server.user(),
    )
    launched(started)
    problem = wait_until(
        lambda: server.is_ready(context),
        lambda: process.is_running(started) and not cancelled.is_set(),
        server.ready_seconds,
    )
    if problem:
        raise ToolError(f"it {problem}; the end of {log}:\n{tail(log, skip=log_begins)}")
    server.after_ready(context)
    say(f"   {server.name} is ready")


def _keep_small(log: Path) -> int:
    """Put a log that has grown large aside; the number of bytes that are in it before the next start."""
    if not log.exists():
        return 0
    if log.stat().st_size > _LOG_BYTES:
        log.replace(log.with_suffix(".log.1"))
        return 0
    return log.stat().st_size
