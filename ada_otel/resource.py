"""Resource attributes that ada-otel adds to what the SDK detects."""

from __future__ import annotations

import os
from collections.abc import Mapping

from ada_otel._version import __version__


def attributes(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """Give the attributes to add: the distribution's name, and the service version from ``APP_VERSION``.

    ``service.version`` in ``OTEL_RESOURCE_ATTRIBUTES`` wins over ``APP_VERSION``, the name that ADA has
    always used. Source: semantic conventions, telemetry.distro.* and service.version.
    """
    source = os.environ if environ is None else environ
    found = {"telemetry.distro.name": "ada-otel", "telemetry.distro.version": __version__}
    version = source.get("APP_VERSION", "").strip()
    if version and "service.version=" not in source.get("OTEL_RESOURCE_ATTRIBUTES", "").replace(" ", ""):
        found["service.version"] = version
    return found
