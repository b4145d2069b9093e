"""Bugsink: a server of another project that takes what Sentry takes, and makes Issues of it. For tests only.

Its licence (PolyForm Shield) allows that; it is no part of the package or its images.
"""

# ruff: noqa: D102 - what each method is for is said once, in Server

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tools import paths
from tools.builds.publish import build_once
from tools.builds.run import run, tail
from tools.errors import ToolError
from tools.progress import step
from tools.stack.ready import answers_ok
from tools.stack.server import Context, Server
from tools.versions import pinned

_ACCESS = "access.env"
_SETTINGS = "bugsink_conf.py"

#: Beyond its own template: nothing leaves the machine, no quota, and events are checked by Sentry's schema.
_OVERRIDES = """
from pathlib import Path as _Path
BUGSINK["PHONEHOME"] = False
BUGSINK["INGEST_STORE_BASE_DIR"] = str(_Path(__file__).resolve().parent / "ingestion")
BUGSINK["VALIDATE_ON_DIGEST"] = "strict"
BUGSINK["MAX_EVENTS_PER_PROJECT_PER_5_MINUTES"] = 1_000_000
BUGSINK["MAX_EVENTS_PER_PROJECT_PER_HOUR"] = 5_000_000
"""

#: Run in its own Django shell; prints the lines of the file ``access.env``.
_FIRST_PROJECT = """
from bsmain.models import AuthToken
from projects.models import Project
from teams.models import Team
project = Project.objects.create(team=Team.objects.create(name="ada"), name="ada")
print("dsn=%s" % project.dsn)
print("project=%s" % project.id)
print("token=%s" % AuthToken.create_full_access().token)
"""


@dataclass(frozen=True)
class BugsinkAccess:
    """How to reach the project that a stack's Bugsink was set up with.

    Attributes:
        dsn: Its DSN.
        project: Its id.
        token: Bearer token of Bugsink's REST API.
    """

    dsn: str
    project: str
    token: str


class Bugsink(Server):
    """Bugsink on SQLite, in a virtual environment of its own in the cache. Its Issues outlive a stop."""

    name = "bugsink"
    ready_seconds = 60.0

    def version(self) -> str:
        return pinned("bugsink")

    def ensure(self) -> None:
        programs()

    def prepare(self, context: Context) -> None:
        folder = context.data(self.name)
        if (folder / _ACCESS).is_file():
            return
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True, mode=0o700)
        self._run(
            context,
            "bugsink-create-conf",
            "--template=local",
            "--host=127.0.0.1",
            f"--port={context.ports['bugsink']}",
        )
        with (folder / _SETTINGS).open("a", encoding="utf-8") as settings:
            settings.write(_OVERRIDES)
        self._run(context, "bugsink-manage", "migrate")
        printed = self._run(context, "bugsink-manage", "shell", "-c", _FIRST_PROJECT)
        lines = [line for line in printed.splitlines() if line.startswith(("dsn=", "project=", "token="))]
        if len(lines) != 3:
            raise ToolError(f"Bugsink could not be given a project: {printed.strip()[-500:]}")
        temporary = folder / f".{_ACCESS}"
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")
        temporary.replace(folder / _ACCESS)

    def command(self, context: Context) -> list[str]:
        folder = context.data(self.name)
        return [
            str(programs() / "gunicorn"),
            f"--chdir={folder}",
            f"--bind={context.address('bugsink')}",
            "--workers=1",
            "--threads=4",
            f"--control-socket={folder / 'gunicorn.ctl'}",
            "bugsink.wsgi",
        ]

    def is_ready(self, context: Context) -> bool:
        return answers_ok(f"{self.url(context)}/health/ready")

    def url(self, context: Context) -> str:
        return f"http://{context.address('bugsink')}"

    def _run(self, context: Context, program: str, *arguments: str) -> str:
        done = subprocess.run(
            [str(programs() / program), *arguments],
            cwd=context.data(self.name),
            env=self.environ(context),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise ToolError(f"{program} {arguments[0]} failed: {done.stderr.strip()[-1000:]}")
        return done.stdout


def access(state_dir: Path) -> BugsinkAccess:
    """The project of the Bugsink of the stack in ``state_dir``.

    Raises:
        ToolError: That stack's Bugsink was never started.
    """
    file = state_dir / "data" / Bugsink.name / _ACCESS
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise ToolError(f"{file} is missing: start Bugsink first") from None
    values = dict(line.split("=", 1) for line in lines)
    return BugsinkAccess(values["dsn"], values["project"], values["token"])


def programs() -> Path:
    """The folder of Bugsink's programs; installs it from the package index the first time.

    Raises:
        ToolError: It could not be installed.
    """
    wanted = pinned("bugsink")
    cache = paths.cache_folder()
    python = f"python{sys.version_info.major}.{sys.version_info.minor}"
    place = cache / "bugsink" / f"{wanted}-{python}"

    def make(folder: Path) -> None:
        # The scripts name the folder they were installed in, so that the environment is made where it stays.
        log = cache / "logs" / "bugsink.log"
        environment = _environment(place)
        shutil.rmtree(environment, ignore_errors=True)
        with step("installing Bugsink: half a minute the first time, cached after"):
            run(
                [sys.executable, "-m", "venv", str(environment)],
                what="making Bugsink's environment",
                log=log,
                folder=folder,
                environ=os.environ,
            )
            run(
                [
                    str(environment / "bin" / "python"),
                    "-m",
                    "pip",
                    "install",
                    "--quiet",
                    "--disable-pip-version-check",
                    f"bugsink=={wanted}",
                ],
                what="installing Bugsink",
                log=log,
                folder=folder,
                environ=os.environ,
            )
        if not (environment / "bin" / "bugsink-manage").is_file():
            raise ToolError(f"installing Bugsink gave no bugsink-manage:\n{tail(log)}")

    build_once(place, make)
    return _environment(place) / "bin"


def _environment(place: Path) -> Path:
    return place.with_name(f"{place.name}.venv")
