"""PostgreSQL, from the system's packages, with database, user and password ``ada``."""

# ruff: noqa: D102 - what each method is for is said once, in Server

from __future__ import annotations

import hashlib
import os
import pwd
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path

from tools.errors import ToolError
from tools.stack.packages import missing_program
from tools.stack.ports import LOOPBACK
from tools.stack.server import Context, Server
from tools.versions import as_tuple, at_least, pinned

#: Name of the database, of its owner, and the owner's password; it listens on loopback only.
NAME = "ada"
_DATABASE_EXISTS = "SELECT 1 FROM pg_database WHERE datname = 'ada'"
_USUAL_FOLDERS = (
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/opt/homebrew/opt/postgresql*/bin",
    "/usr/local/bin",
)


#: Every user may enter it, and it survives a restart. Only PostgreSQL's user can read what we put there.
_OUTSIDE = Path("/var/tmp")  # noqa: S108


class Postgresql(Server):
    """PostgreSQL. It refuses to run as root, so root starts it as ``postgres``, or as ``nobody``."""

    name = "postgresql"
    # SIGINT is PostgreSQL's "fast" shutdown: SIGTERM would wait for each client to go.
    stop_signal = signal.SIGINT

    def version(self) -> str:
        folder = find_programs()
        return _version_of(folder) if folder else f">= {pinned('postgresql')}"

    def ensure(self) -> None:
        if find_programs() is None:
            raise missing_program("PostgreSQL", "postgresql")
        if not at_least(self.version(), pinned("postgresql")):
            raise ToolError(
                f"PostgreSQL {self.version()} is too old: {pinned('postgresql')} or newer is needed"
            )

    def prepare(self, context: Context) -> None:
        data = self._data(context)
        if (data / "PG_VERSION").is_file():
            return
        shutil.rmtree(data, ignore_errors=True)
        data.mkdir(parents=True, mode=0o700)
        self._give(data)
        with tempfile.NamedTemporaryFile("w", encoding="utf-8") as password:
            password.write(NAME)
            password.flush()
            self._give(Path(password.name))
            self._run(
                [
                    "initdb",
                    f"--pgdata={data}",
                    f"--username={NAME}",
                    f"--pwfile={password.name}",
                    "--auth=scram-sha-256",
                    "--encoding=UTF8",
                    "--locale=C",
                    "--no-sync",
                ],
                context,
            )

    def command(self, context: Context) -> list[str]:
        settings = {
            "listen_addresses": LOOPBACK,
            "port": str(context.ports["postgresql"]),
            "unix_socket_directories": "",
            # A crash of the machine may cost this database: it holds nothing but test data.
            "fsync": "off",
        }
        return [
            str(_programs() / "postgres"),
            "-D",
            str(self._data(context)),
            *(word for name, value in settings.items() for word in ("-c", f"{name}={value}")),
        ]

    def is_ready(self, context: Context) -> bool:
        port = str(context.ports["postgresql"])
        asked = subprocess.run(
            [str(_programs() / "pg_isready"), "-q", "-h", LOOPBACK, "-p", port, "-d", "postgres", "-U", NAME],
            capture_output=True,
            check=False,
        )
        return asked.returncode == 0

    def after_ready(self, context: Context) -> None:
        query = ["psql", *self._client(context), "-d", "postgres", "-tAc", _DATABASE_EXISTS]
        if self._run(query, context).strip() != "1":
            self._run(["createdb", *self._client(context), NAME], context)

    def url(self, context: Context) -> str:
        return f"postgresql://{NAME}:{NAME}@{context.address('postgresql')}/{NAME}"

    def user(self) -> str | None:
        return _unprivileged_user()

    def folder(self, context: Context) -> Path:
        return Path("/")

    def purge(self, context: Context) -> None:
        shutil.rmtree(self._data(context), ignore_errors=True)

    def _data(self, context: Context) -> Path:
        """The stack's data folder, or one in /var/tmp if the user of PostgreSQL may not enter the stack's."""
        inside = context.data(self.name)
        user = self.user()
        if user is None or can_enter(context.state_dir, user):
            return inside
        return _OUTSIDE / f"ada-otel-postgresql-{hashlib.sha256(str(inside).encode()).hexdigest()[:12]}"

    def _give(self, path: Path) -> None:
        user = self.user()
        if user is not None:
            shutil.chown(path, user)

    def _client(self, context: Context) -> list[str]:
        return ["-h", LOOPBACK, "-p", str(context.ports["postgresql"]), "-U", NAME]

    def _run(self, command: list[str], context: Context) -> str:
        """Run one of PostgreSQL's programs as its user, and return what it printed."""
        user = self.user()
        done = subprocess.run(
            [str(_programs() / command[0]), *command[1:]],
            cwd="/",
            env=context.child_environ({"PGPASSWORD": NAME}),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            user=None if user is None else pwd.getpwnam(user).pw_uid,
            group=None if user is None else pwd.getpwnam(user).pw_gid,
            extra_groups=None if user is None else [],
        )
        if done.returncode:
            raise ToolError(f"PostgreSQL's {command[0]} failed:\n    {done.stderr.strip()}")
        return done.stdout


def find_programs(patterns: Iterable[str] = _USUAL_FOLDERS) -> Path | None:
    """The folder of the newest PostgreSQL server that is installed, or ``None``.

    Args:
        patterns: Folders to look into after PATH. Debian keeps its server programs off PATH.
    """
    on_path = shutil.which("postgres")
    folders = [Path(on_path).resolve().parent] if on_path else []
    for pattern in patterns:
        folders += Path("/").glob(pattern.lstrip("/"))
    whole = [
        folder
        for folder in folders
        if all((folder / name).is_file() for name in ("initdb", "postgres", "psql"))
    ]
    return max(whole, key=lambda folder: as_tuple(_version_of(folder)), default=None)


def can_enter(folder: Path, user: str) -> bool:
    """Whether ``user`` may pass through ``folder`` and all above it, by their modes and his own group."""
    account = pwd.getpwnam(user)
    for place in (folder, *folder.parents):
        if not place.exists():
            continue
        status = place.stat()
        if status.st_uid == account.pw_uid:
            needed = 0o100
        elif status.st_gid == account.pw_gid:
            needed = 0o010
        else:
            needed = 0o001
        if not status.st_mode & needed:
            return False
    return True


def _programs() -> Path:
    found = find_programs()
    if found is None:
        raise missing_program("PostgreSQL", "postgresql")
    return found


def _version_of(folder: Path) -> str:
    said = subprocess.run(
        [str(folder / "postgres"), "--version"], capture_output=True, text=True, check=False
    ).stdout
    found = re.search(r"\d+(?:\.\d+)*", said)
    return found.group() if found else "unknown"


def _unprivileged_user() -> str | None:
    """The user that root starts PostgreSQL as; ``None`` for everyone else, who starts it as himself."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name).pw_name
        except KeyError:
            continue
    raise ToolError("PostgreSQL refuses to run as root, and there is no user postgres or nobody to run it as")
