"""Starts server processes that outlive the command that started them, and ends them: those, and no others."""

from __future__ import annotations

import os
import pwd
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tools.errors import ToolError

_POLL_SECONDS = 0.05
#: What the children of a server that has ended are given to end by themselves.
_CHILDREN_SECONDS = 5.0
_KILL_SECONDS = 10.0
_HAS_PROC = Path("/proc/self/stat").exists()
#: Positions in /proc/PID/stat behind the name.
_STATE, _PARENT, _STARTED = 0, 1, 19

#: The children of this very process, which must be waited for when they end.
_children: dict[int, subprocess.Popen[bytes]] = {}


@dataclass(frozen=True)
class ProcessId:
    """A process, told apart from any later one that gets the same pid.

    Attributes:
        pid: The pid.
        started: When it started, in the form that the system gives it.
    """

    pid: int
    started: str


def launch(
    command: Sequence[str],
    *,
    log: Path,
    folder: Path,
    environ: Mapping[str, str],
    user: str | None = None,
) -> ProcessId:
    """Start a server in a session of its own, which an interrupt at this terminal does not reach.

    Args:
        command: Program and arguments.
        log: What it writes is appended here.
        folder: Where it runs.
        environ: Its whole environment.
        user: The user to run it as; only root can ask for another one.

    Raises:
        ToolError: The program cannot be run.
    """
    with log.open("ab") as output:
        child = _popen(command, output, folder, environ, user)
    _children[child.pid] = child
    return ProcessId(child.pid, start_time(child.pid) or "")


def is_running(process: ProcessId) -> bool:
    """Whether that very process still runs; a zombie, or another process with its pid, does not count."""
    child = _children.get(process.pid)
    if child is not None and child.poll() is not None:
        _children.pop(process.pid, None)
    return bool(process.started) and start_time(process.pid) == process.started


def stop(process: ProcessId, *, first_signal: signal.Signals, grace: float) -> str:
    """End a process and all that it started.

    Args:
        process: What :func:`launch` gave.
        first_signal: Asks it to end: SIGTERM for most servers.
        grace: Seconds it has before SIGKILL.

    Returns:
        ``stopped``, ``killed`` when the grace was not enough, or ``was not running``.
    """
    if not is_running(process):
        return "was not running"
    below = descendants(process.pid)
    _signal(process, first_signal)
    _signal(process, signal.SIGCONT)  # one that was halted by SIGSTOP would not see the first
    stopped = _wait_for_end([process], grace)
    if not stopped:
        _end([process], 0)
    _end(below, _CHILDREN_SECONDS)
    return "stopped" if stopped else "killed"


def kill(process: ProcessId) -> bool:
    """End a process at once, as a crash would; whether it was running."""
    if not is_running(process):
        return False
    below = descendants(process.pid)
    _end([process], 0)
    _end(below, _CHILDREN_SECONDS)
    return True


def start_time(pid: int) -> str | None:
    """When the process with this pid started, or ``None`` if there is none or it has ended."""
    if _HAS_PROC:
        fields = _stat(pid)
        return None if fields is None else fields[_STARTED]
    answer = _ps("-p", str(pid), "-o", "stat=,lstart=")
    row = answer[0].split(None, 1) if answer else []
    return None if len(row) < 2 or row[0].startswith("Z") else row[1].strip()


def descendants(pid: int) -> list[ProcessId]:
    """All processes below ``pid``, without zombies. Groups would not do: PostgreSQL makes many."""
    parents = _parents()
    found = [pid]
    for parent in found:
        found += [child for child, its_parent in parents.items() if its_parent == parent]
    return [ProcessId(child, started) for child in found[1:] if (started := start_time(child)) is not None]


def _parents() -> dict[int, int]:
    """The parent of each process of the system."""
    if _HAS_PROC:
        pids = [int(entry.name) for entry in Path("/proc").glob("[0-9]*")]
        return {pid: int(fields[_PARENT]) for pid in pids if (fields := _stat(pid)) is not None}
    rows = [line.split() for line in _ps("-ax", "-o", "pid=,ppid=")]
    return {int(row[0]): int(row[1]) for row in rows}


def _stat(pid: int) -> list[str] | None:
    """The fields of ``/proc/PID/stat`` that follow the name; ``None`` if the process has ended."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # The name, in parentheses, may hold blanks; what follows it does not.
    fields = text.rpartition(")")[2].split()
    return None if fields[_STATE] in "ZX" else fields


def _ps(*arguments: str) -> list[str]:
    return subprocess.run(["ps", *arguments], capture_output=True, text=True, check=False).stdout.splitlines()


def _popen(
    command: Sequence[str], output: IO[bytes], folder: Path, environ: Mapping[str, str], user: str | None
) -> subprocess.Popen[bytes]:
    account = None if user is None else pwd.getpwnam(user)
    try:
        return subprocess.Popen(
            command,
            cwd=folder,
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            user=account.pw_uid if account else None,
            group=account.pw_gid if account else None,
            extra_groups=[] if account else None,
        )
    except OSError as error:
        raise ToolError(f"{command[0]} cannot be run: {error.strerror}") from None


def _end(processes: Sequence[ProcessId], grace: float) -> None:
    """Wait until processes have ended, and kill those that do not within ``grace`` seconds."""
    if not _wait_for_end(processes, grace):
        for process in processes:
            _signal(process, signal.SIGKILL)
        _wait_for_end(processes, _KILL_SECONDS)


def _wait_for_end(processes: Sequence[ProcessId], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while any(is_running(process) for process in processes):
        if time.monotonic() >= deadline:
            return False
        time.sleep(_POLL_SECONDS)
    return True


def _signal(process: ProcessId, number: signal.Signals) -> None:
    if not is_running(process):
        return
    try:
        os.kill(process.pid, number)
    except ProcessLookupError:
        return
