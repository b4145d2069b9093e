"""Resource attributes that ada-otel adds to what the SDK detects."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping

from ada_otel._version import __version__


def attributes(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """Give the attributes to add: the distribution's name, the host's, and the version from ``APP_VERSION``.

    What is in ``OTEL_RESOURCE_ATTRIBUTES`` wins. ``APP_VERSION`` is the name that ADA has always used;
    without ``host.name`` the metrics of two hosts could not be told apart. Source: semantic conventions,
    telemetry.distro.*, host.name and service.version.
    """
    source = os.environ if environ is None else environ
    found = {"telemetry.distro.name": "ada-otel", "telemetry.distro.version": __version__}
    given = source.get("OTEL_RESOURCE_ATTRIBUTES", "").replace(" ", "")
    version = source.get("APP_VERSION", "").strip()
    if version and "service.version=" not in given:
        found["service.version"] = version
    if "host.name=" not in given:
        found["host.name"] = socket.gethostname()
    return found
