"""What must be made new in a child process: locks, threads, queues, sums, ids.

A fork copies locks that other threads hold and numbers that the parent will report itself. Each part of
the pipeline registers here how it makes itself new; parts are made new in the order of their registration.

CPython runs its hooks in every ``os.fork``, gevent's included (it calls the original). uWSGI forks in C: its
``post_fork_hook`` is chained where it is there, and :func:`check_pid` finds out where it is not. Its master
holds threads back, see :mod:`ada_otel.pipeline.uwsgi`.
"""

from __future__ import annotations

# The hooks of these come before ours: what a part starts in the child (a thread pool, a log line, an id)
# would otherwise use the locks and seeds of the parent. An executor started too early hangs the child.
import concurrent.futures.thread  # noqa: F401
import logging  # noqa: F401
import os
import random  # noqa: F401
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from ada_otel._diagnostics import contained
from ada_otel.pipeline import uwsgi

#: The process that the parts belong to; 0 while it holds threads back, so that :func:`check_pid` looks again.
_pid = os.getpid()
#: The process that holds threads back; 0 when none does.
_held = 0
_waiting: list[Callable[[], object]] = []
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
        _watch_uwsgi()
    _parts.append(weakref.WeakMethod(renew))


def check_pid() -> None:
    """Renew all parts if this process was forked without Python's hooks, as uWSGI's is.

    Costs one system call; each entry point into the pipeline calls it where a wrong process would do harm.
    """
    if _getpid() == _pid:
        return
    if _getpid() != _held:
        _renew_all()
    elif uwsgi.forks_without_lock():
        uwsgi.chain_post_fork_hook(check_pid)  # the launcher came before there was one
    else:
        _release()


def threads_held() -> bool:
    """Whether no thread may be started in this process, but in those that are forked from it."""
    if _held:
        check_pid()
    return bool(_held)


def start_thread(start: Callable[[], object]) -> None:
    """Call ``start``, which starts a thread, now; where threads are held, in each process that is forked."""
    if threads_held():
        _waiting.append(start)
    else:
        start()


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
    if _held:
        check_pid()  # a fork with hooks, perhaps by uWSGI's option that threads need not be held for


def _after_in_child() -> None:
    global _whole  # noqa: PLW0603  # as _pid
    _whole = threading.RLock()
    _renew_all()


def _renew_all() -> None:
    global _pid, _held  # the process is the one thing that is global by nature
    if _pid == _getpid():
        return  # Python's hook and uWSGI's both ran
    _pid, _held = _getpid(), 0
    for reference in list(_parts):
        renew = reference()
        if renew is None:
            _parts.remove(reference)
        else:
            with contained("Starting telemetry in a forked process"):
                renew()
    _start_waiting()


def _release() -> None:
    """Stop holding threads back in the process that did: it forks nothing, or in a way that is safe."""
    global _pid, _held
    _pid, _held = _getpid(), 0
    _start_waiting()


def _start_waiting() -> None:
    starts, _waiting[:] = list(_waiting), []
    for start in starts:
        with contained("Starting telemetry in a process of uWSGI"):
            start()


def _watch_uwsgi() -> None:
    global _pid, _held
    uwsgi.chain_post_fork_hook(check_pid)
    if uwsgi.forks_without_lock():
        _pid, _held = 0, _getpid()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_in_parent, after_in_child=_after_in_child)
