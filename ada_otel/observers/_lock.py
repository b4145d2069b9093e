"""Which worker speaks for the host: the one that holds an advisory lock (``flock``) on a file.

The kernel gives the lock back when its holder ends, however it ends; the next worker that collects takes it.
"""

from __future__ import annotations

import contextlib
import os
from functools import cached_property
from pathlib import Path

from ada_otel._diagnostics import report
from ada_otel.pipeline.fork import on_fork
from ada_otel.resource import service_key

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]


class HostLock:
    """Held by at most one process at a time."""

    def __init__(self, purpose: str, path: str = "") -> None:
        """Make a lock; nothing is opened yet.

        Args:
            purpose: Keeps locks of different purposes apart.
            path: The file; by default one in the temporary folder for each service of the host, see
                :func:`~ada_otel.resource.service_key`. It stays there when nobody holds it: to remove a file
                of locks that another process is opening would give the lock to two.
        """
        self._purpose = purpose
        self._given = path
        self._descriptor: int | None = None
        on_fork(self._forget)

    @cached_property
    def path(self) -> Path:
        """The file."""
        return Path(f"{self._given}.{self._purpose}") if self._given else _default(self._purpose)

    def _forget(self) -> None:
        # The parent's lock is reached through the inherited descriptor too: open here, it would outlive the
        # parent without a holder. Closing it takes nothing from the parent.
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    def held(self) -> bool:
        """Whether this process holds the lock, or has just got it."""
        if fcntl is None:
            return True
        if self._descriptor is not None:
            if self._is_the_file(self._descriptor):
                return True
            self.release()  # someone removed the file: whoever looks for it now takes another
        try:
            descriptor = self._open()
        except OSError as error:
            report(
                "host-lock",
                f"the lock file {self.path} cannot be opened ({error}): no host metrics are reported "
                "by this process. Set ADA_OTEL_HOST_METRICS_LOCK to a file that every worker may open.",
            )
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            return False
        if not self._is_the_file(descriptor):
            os.close(descriptor)
            return False
        self._descriptor = descriptor
        return True

    def release(self) -> None:
        """Give the lock back, if it is held."""
        self._forget()

    def _open(self) -> int:
        # O_CREAT on a file of another user in a sticky folder is refused by Linux, so it comes second.
        flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW
        with contextlib.suppress(FileNotFoundError):
            return os.open(self.path, flags)
        return os.open(self.path, flags | os.O_CREAT, 0o644)

    def _is_the_file(self, descriptor: int) -> bool:
        try:
            return os.path.samestat(os.fstat(descriptor), self.path.lstat())
        except OSError:
            return False


def _default(purpose: str) -> Path:
    # Only here, as this is not on the way of a start.
    import tempfile

    return Path(tempfile.gettempdir()) / f"ada-otel-{service_key()}.{purpose}.lock"
