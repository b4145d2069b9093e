"""`ada-otel run`: what it makes of its words, and of the process that it becomes."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from ada_otel import cli
from tests.support.process import OWN_LAUNCHER, clean_environment, run_program

APP = textwrap.dedent("""
    import os, sys
    from ada_otel import bootstrap
    print("configured", bootstrap.configured())
    print("path", os.environ["PYTHONPATH"])
    print("words", sys.argv[1:])
""")
OFF = {"OTEL_TRACES_EXPORTER": "none", "OTEL_METRICS_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "none"}


def _started(folder: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*OWN_LAUNCHER, *words],
        cwd=folder,
        env=clean_environment({"OTEL_SERVICE_NAME": "shop", **OFF, **environment}),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_program_gets_its_words_and_children_are_instrumented_too(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APP)
    child = f"import subprocess, sys; subprocess.run([sys.executable, {str(tmp_path / 'app.py')!r}, '--x'])"
    done = _started(tmp_path, "--", sys.executable, "-c", child)
    assert done.returncode == 0, done.stderr
    assert "configured True" in done.stdout
    assert "words ['--x']" in done.stdout
    path = next(line for line in done.stdout.splitlines() if line.startswith("path")).split()[1]
    site, here = path.split(":")[:2]
    assert site.endswith("launcher/site")
    assert here == str(tmp_path)


def test_the_exit_status_is_the_programs(tmp_path: Path) -> None:
    assert _started(tmp_path, sys.executable, "-c", "raise SystemExit(7)").returncode == 7


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ((), 2, "usage: ada-otel run COMMAND"),
        (("--service_name", "shop"), 2, "--service_name comes before a command; it takes no options"),
        (("no-such-program",), 127, "no-such-program: No such file or directory"),
        (("/",), 126, "/: Permission denied"),
    ],
)
def test_what_cannot_be_started_says_why(
    words: tuple[str, ...], code: int, said: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    done = _started(tmp_path, *words)
    assert done.returncode == code
    assert said in done.stderr
    assert cli.main(["run", "--help"]) == 0
    assert "OTEL_SERVICE_NAME" in capsys.readouterr().out


def test_the_environments_own_sitecustomize_is_run_first(tmp_path: Path) -> None:
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(
        "import sys\nprint('theirs', 'ada_otel.pipeline.assemble' in sys.modules)\n"
    )
    done = _started(tmp_path, sys.executable, "-c", APP, PYTHONPATH=str(site))
    # The launcher is a Python process as well, with theirs and without ours.
    assert done.stdout.splitlines()[:3] == ["theirs False", "theirs False", "configured True"]
    (site / "sitecustomize.py").write_text("raise RuntimeError('theirs is broken')\n")
    done = _started(tmp_path, sys.executable, "-c", APP, PYTHONPATH=str(site))
    assert "configured True" in done.stdout
    assert "theirs is broken" in done.stderr


def test_an_interpreter_without_the_package_says_so_and_goes_on(tmp_path: Path) -> None:
    (tmp_path / "ada_otel.py").write_text("raise ImportError('not here')\n")  # found before the package
    done = _started(tmp_path, sys.executable, "-c", "print('served')")
    assert done.stdout == "served\n"
    assert f"{sys.executable} starts without telemetry (not here)" in done.stderr


def test_sdk_disabled_touches_nothing(tmp_path: Path) -> None:
    done = _started(tmp_path, sys.executable, "-c", APP, OTEL_SDK_DISABLED="true")
    assert "configured False" in done.stdout


def test_another_distribution_that_is_asked_for_is_the_stock_launchers_to_load(tmp_path: Path) -> None:
    environment = {"OTEL_PYTHON_DISTRO": "other", "OTEL_PYTHON_CONFIGURATOR": "other", **OFF}
    done = run_program(APP, tmp_path, launcher=OWN_LAUNCHER, environment=environment)
    assert "configured False" in done.stdout
    assert "the OpenTelemetry distribution in force is 'other'" in done.stderr
