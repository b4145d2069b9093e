"""The folder in which the workers of a host keep what they count together: open sessions and active users."""

from __future__ import annotations

import os
from pathlib import Path

from ada_otel._diagnostics import report
from ada_otel.resource import shared_path

_SESSIONS = "sessions"


class Folder:
    """A folder of this user's own; made when it is first used."""

    def __init__(self, given: str) -> None:
        """Take a folder.

        Args:
            given: Its path; empty for one in the temporary folder, by service and user.
        """
        self._given = given
        self._ready: Path | None = None
        self._refused = False

    def path(self, part: str = "") -> Path | None:
        """The folder, or a folder in it; ``None``, after one warning, when it cannot be used."""
        if self._refused:
            return None
        # Something may have cleared the temporary folder.
        if self._ready is None or not (self._ready / _SESSIONS).is_dir():
            self._prepare()
        return self._ready and self._ready / part

    def _prepare(self) -> None:
        path = Path(self._given) if self._given else shared_path("business")
        try:
            (path / _SESSIONS).mkdir(mode=0o700, parents=True, exist_ok=True)
            # In a temporary folder somebody else may have been first, with a folder or a link.
            status = path.lstat()
            if not self._given and (path.is_symlink() or status.st_uid != os.getuid()):
                raise PermissionError(f"{path} belongs to somebody else")
            if not os.access(path / _SESSIONS, os.W_OK | os.X_OK):
                raise PermissionError(f"{path} cannot be written")
        except OSError as error:
            self._refused, self._ready = True, None
            report(
                "business-folder",
                f"the folder {path} cannot be used ({error}): active sessions are not counted, and active "
                "users by process. Set ADA_OTEL_BUSINESS_FOLDER to a folder that every worker may write.",
            )
            return
        self._ready = path
