"""What ada-otel adds to the resource, and what it leaves to the user."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from ada_otel import __version__, resource
from tests.drills.faults import collector
from tests.support.process import run_program


def test_distribution_host_and_version() -> None:
    assert resource.attributes({"APP_VERSION": " 7.3.1 "}) == {
        "telemetry.distro.name": "ada-otel",
        "telemetry.distro.version": __version__,
        "service.version": "7.3.1",
        "host.name": socket.gethostname(),
    }


def test_what_the_user_gave_wins() -> None:
    given = {"APP_VERSION": "1", "OTEL_RESOURCE_ATTRIBUTES": "service.version=2, host.name=web-1"}
    assert set(resource.attributes(given)) == {"telemetry.distro.name", "telemetry.distro.version"}


@pytest.mark.parametrize(
    ("name", "attributes", "same"),
    [
        ("shop", "service.version=2,service.namespace=web,deployment.environment.name=prod", True),
        ("shop", "deployment.environment.name=prod, service.namespace=web,service.instance.id=7", True),
        ("", "service.name=shop,service.namespace=web,deployment.environment.name=prod", True),
        ("till", "service.namespace=web,deployment.environment.name=prod", False),
        ("shop", "service.namespace=web,deployment.environment.name=test", False),
        ("shop", "deployment.environment.name=prod", False),
    ],
)
def test_a_service_is_the_same_over_its_releases(
    name: str, attributes: str, same: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "shop")
    monkeypatch.setenv(
        "OTEL_RESOURCE_ATTRIBUTES",
        "service.namespace=web,deployment.environment.name=prod,service.version=1",
    )
    before = resource.service_key()
    monkeypatch.setenv("OTEL_SERVICE_NAME", name)
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", attributes)
    assert (resource.service_key() == before) is same


def test_no_start_and_no_release_leaves_further_files_in_the_temporary_folder(tmp_path: Path) -> None:
    (tmp_path / "temporary").mkdir()
    source = """
import ada_otel
ada_otel.setup()
ada_otel.business.session_started("u", "s")
"""
    left = []
    with collector() as server:
        for version in (1, 1, 2):
            environment = {
                "OTEL_EXPORTER_OTLP_ENDPOINT": server.endpoint,
                "OTEL_SERVICE_NAME": "shop",
                "OTEL_RESOURCE_ATTRIBUTES": f"service.version={version}",
                "TMPDIR": str(tmp_path / "temporary"),
                "ADA_OTEL_RAISE": "true",
            }
            done = run_program(source, tmp_path, environment=environment)
            assert done.returncode == 0, done.stderr
            left.append(sorted(path.name for path in (tmp_path / "temporary").iterdir()))
    assert left[0] == left[1] == left[2]
    assert {name.partition(".")[2] for name in left[0]} >= {"host.lock", "business"}
