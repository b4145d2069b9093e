"""Makes an environment for each variant, in the cache folder, with the versions of requirements/bench."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.variants import Variant
from tools.errors import ToolError
from tools.paths import REPOSITORY, cache_folder
from tools.progress import say

PINS = REPOSITORY / "requirements" / "bench"
#: Reported for every variant; the same in all, or the comparison is off.
SHARED = ("flask", "werkzeug", "sqlalchemy", "redis", "gunicorn", "python-socketio")


def folder() -> Path:
    """Where the environments are."""
    return cache_folder() / "bench"


def python(pins: str) -> Path:
    """The interpreter of an environment."""
    return folder() / f"{pins}-{sys.version_info[0]}.{sys.version_info[1]}" / "bin" / "python"


def prepare(variants: Iterable[Variant], *, plot: bool = False) -> None:
    """Make or mend the environments of ``variants``; one that is as it should be is left alone.

    Args:
        variants: Those that will be run.
        plot: Also the environment that draws the plot.

    Raises:
        ToolError: A package could not be installed, or the wheel not built; has what uv said.
    """
    wanted = {variant.pins for variant in variants} | ({"plot"} if plot else set())
    with _alone():
        for pins in sorted(wanted):
            _environment(pins)
        if "ada" in wanted:
            _install_wheel()


def versions(variant: Variant) -> dict[str, str]:
    """The versions of the variant's own package and of those that all variants share."""
    names = [*SHARED, *([variant.package] if variant.package else [])]
    program = (
        "import importlib.metadata, json, sys; "
        "print(json.dumps({name: importlib.metadata.version(name) for name in sys.argv[1:]}))"
    )
    found: dict[str, str] = json.loads(_run([str(python(variant.pins)), "-c", program, *names]))
    return found


@contextmanager
def _alone() -> Iterator[None]:
    """Keep two runs from making the same environment at once."""
    folder().mkdir(parents=True, exist_ok=True)
    with (folder() / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _environment(pins: str) -> None:
    source = PINS / f"{pins}.txt"
    program = python(pins)
    stamp = program.parents[1] / "installed"
    content = hashlib.sha256(source.read_bytes()).hexdigest()
    if stamp.exists() and stamp.read_text() == content:
        return
    say(f"   installing {source.relative_to(REPOSITORY)}")
    _run([_uv(), "venv", "--quiet", "--clear", "--python", sys.executable, str(program.parents[1])])
    _run([_uv(), "pip", "install", "--quiet", "--python", str(program), "--requirement", str(source)])
    # Compiled as pip would have left it, so that a start does not pay for it.
    _run([str(program), "-m", "compileall", "-q", str(program.parents[1] / "lib")], check=False)
    stamp.write_text(content)


def _install_wheel() -> None:
    program = python("ada")
    stamp = program.parents[1] / "wheel"
    made = folder() / "dist"
    shutil.rmtree(made, ignore_errors=True)
    build = ["build", "--quiet", "--wheel", "--python", sys.executable, "--out-dir", str(made)]
    _run([_uv(), *build, str(REPOSITORY)])
    (wheel,) = made.glob("*.whl")
    content = hashlib.sha256(wheel.read_bytes()).hexdigest()
    if stamp.exists() and stamp.read_text() == content:
        return
    say(f"   installing {wheel.name}")
    install = ["pip", "install", "--quiet", "--no-deps", "--reinstall", "--compile-bytecode"]
    _run([_uv(), *install, "--python", str(program), str(wheel)])
    stamp.write_text(content)


def _uv() -> str:
    beside = Path(sys.executable).with_name("uv")
    found = str(beside) if beside.exists() else shutil.which("uv")
    if not found:
        raise ToolError("uv is not installed; `make setup` installs it into the virtual environment")
    return found


def _run(command: list[str], *, check: bool = True) -> str:
    environ = {key: text for key, text in os.environ.items() if key not in {"VIRTUAL_ENV", "PYTHONPATH"}}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environ)
    if check and done.returncode:
        raise ToolError(f"{' '.join(command)} failed:\n{done.stderr.strip() or done.stdout.strip()}")
    return done.stdout
