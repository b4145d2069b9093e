"""What must be made new in a child process: locks, threads, queues, sums, ids.

A fork copies locks that other threads hold and numbers that the parent will report itself. Each part of
the pipeline registers here how it makes itself new; parts are made new in the order of their registration.

CPython runs its hooks in every ``os.fork``, gevent's included (it calls the original). uWSGI forks in C: its
``post_fork_hook`` is chained where it is there, and :func:`check_pid` finds out where it is not.
"""

from __future__ import annotations

# The hooks of these come before ours: what a part starts in the child (a thread pool, a log line, an id)
# would otherwise use the locks and seeds of the parent. An executor started too early hangs the child.
import concurrent.futures.thread  # noqa: F401
import logging  # noqa: F401
import os
import random  # noqa: F401
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from ada_otel._diagnostics import contained

_pid = os.getpid()
_parts: list[weakref.WeakMethod[Callable[[], Any]]] = []
_getpid = os.getpid

#: The most seconds that a fork waits for a block that must not be cut in two.
_LONGEST_WAIT = 5.0

_whole = threading.RLock()


def on_fork(renew: Callable[[], Any]) -> None:
    """Run ``renew`` in every child process, right after the fork.

    Args:
        renew: A bound method; held weakly, so that its object can still be collected. It must not take a lock
            that existed before the fork.
    """
    if not _parts:
        _chain_uwsgi()
    _parts.append(weakref.WeakMethod(renew))


def check_pid() -> None:
    """Renew all parts if this process was forked without Python's hooks, as uWSGI's is.

    Costs one system call; each entry point into the pipeline calls it where a wrong process would do harm.
    """
    if _getpid() != _pid:
        _renew_all()


@contextmanager
def no_fork() -> Iterator[None]:
    """Let a fork wait until the block is left; for what a thread of ours may import.

    A module that one thread is importing while another forks stays half imported in the child for ever, and
    whoever imports it there waits for a thread that does not exist. Never wait for the network in the block.
    A fork that skips Python's hooks does not wait.
    """
    with _whole:
        yield


def _before_fork() -> None:
    _whole.acquire(timeout=_LONGEST_WAIT)


def _after_in_parent() -> None:
    with suppress(RuntimeError):  # it was not ours: the wait was too long
        _whole.release()


def _after_in_child() -> None:
    global _whole  # noqa: PLW0603  # as _pid
    _whole = threading.RLock()
    _renew_all()


def _renew_all() -> None:
    global _pid  # noqa: PLW0603  # the process is the one thing that is global by nature
    if _pid == _getpid():
        return  # Python's hook and uWSGI's both ran
    _pid = _getpid()
    for reference in list(_parts):
        renew = reference()
        if renew is None:
            _parts.remove(reference)
        else:
            with contained("Starting telemetry in a forked process"):
                renew()


def _chain_uwsgi() -> None:
    """Renew in uWSGI's workers before the app's own ``post_fork_hook`` runs."""
    uwsgi: Any = sys.modules.get("uwsgi")
    if uwsgi is None:
        return
    earlier = getattr(uwsgi, "post_fork_hook", None)

    def post_fork_hook() -> None:
        check_pid()
        if earlier is not None:
            earlier()

    uwsgi.post_fork_hook = post_fork_hook


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_in_parent, after_in_child=_after_in_child)
