"""What ada-otel adds to the resource, and what it leaves to the user."""

from __future__ import annotations

import socket

from ada_otel import __version__, resource


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
