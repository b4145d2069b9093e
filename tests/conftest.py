"""What all tests share: the installed package, and one stack of real servers.

The servers are started once per run; tests that need them are skipped, with the reason, where they cannot be.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

# `tools`, `examples` and `tests` come from the work tree, which is on the path for that; the package comes
# from where users have it: the wheel that `make test` built and installed.
_ROOT = str(Path(__file__).resolve().parents[1])
_without_root = [entry for entry in sys.path if entry not in {"", _ROOT}]
sys.path[:], _with_root = _without_root, list(sys.path)
import ada_otel  # noqa: E402, F401

sys.path[:] = _with_root

from tests.support.ports import OWN_RANGE  # noqa: E402
from tests.support.servers import or_skip  # noqa: E402
from tools.builds.go import build  # noqa: E402
from tools.builds.targets import OTELCOL  # noqa: E402
from tools.errors import ToolError  # noqa: E402
from tools.stack import Stack, free_ports  # noqa: E402
from tools.stack import ports as stack_ports  # noqa: E402

#: ``pytest -n 2`` runs tests in two processes; servers that they start get no port of each other's.
stack_ports.FREE_RANGE = OWN_RANGE


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Share the tests out between processes as :mod:`tests.support.parallel` says."""
    from tests.support.parallel import Shares

    return Shares(config, log)


@pytest.hookimpl(wrapper=True)
def pytest_report_to_serializable() -> Generator[None, Any, Any]:
    """Make reports ones that go from process to process: some tests log text that is not UTF-8."""
    return _utf8((yield))


def _utf8(report: Any) -> Any:
    if isinstance(report, str):
        return report.encode("utf-8", "backslashreplace").decode()
    if isinstance(report, dict):
        return {key: _utf8(value) for key, value in report.items()}
    return type(report)(map(_utf8, report)) if isinstance(report, (list, tuple)) else report


@pytest.fixture(scope="session", autouse=True)
def temporary_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Give the programs under test a temporary folder that is gone when the tests are over.

    The package keeps a few files for each service there, and nearly every test is a service of its own.
    """
    tmp_path_factory.getbasetemp()  # pytest's own stays where it is: what a failed test left is looked at
    folder = tempfile.mkdtemp(prefix="ada-")  # short, as sockets may be made in it
    Path(folder).chmod(0o711)  # the user of PostgreSQL reads a file in it
    earlier = os.environ.get("TMPDIR")
    os.environ["TMPDIR"] = tempfile.tempdir = folder
    yield
    tempfile.tempdir = None
    os.environ.pop("TMPDIR")
    if earlier is not None:
        os.environ["TMPDIR"] = earlier
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def program() -> Path:
    """The collector of collector/distribution."""
    return or_skip(lambda: build(OTELCOL)) / "otelcol"


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """All servers of ``make stack``, on free ports. With CI=true a server that is missing is a failure."""
    servers = Stack(
        state_dir=tmp_path_factory.mktemp("stack"),
        ports=free_ports(),
        env={"ADA_SPAN_METRICS_INTERVAL": "1s"},  # a series begins with a 0, its first call comes one later
    )
    try:
        servers.up()
    except ToolError as error:
        if os.environ.get("CI", "").lower() == "true":
            raise
        pytest.skip(f"the servers could not be started: {error}")
    yield servers
    servers.down(purge=True)
