"""uWSGI, which forks its workers in C, without Python's hooks and without the interpreter's lock.

With ``--master`` and ``--enable-threads`` the master lets go of that lock when the app is loaded. A worker
that is forked while a thread of the master holds it has it held for ever, by a thread that is not there: it
serves nothing, and keeps a stop waiting for ``--worker-reload-mercy``. So no thread of ours may run in such a
master. ``--py-call-uwsgi-fork-hooks`` makes uWSGI take the lock and run the hooks, as any other fork does.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

_FORK_HOOKS = "py-call-uwsgi-fork-hooks"
_SCRIPTS = {"uwsgi", "pyuwsgi"}


def forks_without_lock() -> bool:
    """Whether this process is a master of that kind, or is still to become uWSGI's."""
    uwsgi: Any = sys.modules.get("uwsgi")
    if uwsgi is None:
        # The launcher comes before uWSGI makes its module: the interpreter is the one that is embedded in
        # uWSGI, or runs the script of a wheel.
        script = Path(next(iter(getattr(sys, "argv", ())), "")).name
        return Path(sys.executable or "").name.startswith("uwsgi") or script in _SCRIPTS
    master = getattr(uwsgi, "masterpid", int)()
    options = getattr(uwsgi, "opt", {})
    return bool(master == os.getpid() and not {_FORK_HOOKS, _FORK_HOOKS.encode()} & set(options))


def chain_post_fork_hook(run: Callable[[], None]) -> None:
    """Run ``run`` in each worker, before the app's own ``post_fork_hook``; nothing where uWSGI is not."""
    uwsgi: Any = sys.modules.get("uwsgi")
    if uwsgi is None:
        return
    earlier = getattr(uwsgi, "post_fork_hook", None)
    if getattr(earlier, "chained", None) is run:
        return

    def post_fork_hook() -> None:
        run()
        if earlier is not None:
            earlier()

    post_fork_hook.chained = run  # type: ignore[attr-defined]
    uwsgi.post_fork_hook = post_fork_hook
