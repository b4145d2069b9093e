"""Resource attributes that ada-otel adds to what the SDK detects."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from pathlib import Path

from ada_otel._version import __version__

_NAMES_A_SERVICE = (
    "service.namespace",
    "service.name",
    "deployment.environment.name",
    "deployment.environment",
)


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


def shared_path(kind: str) -> Path:
    """Give the path in the temporary folder that this user's processes of this service share.

    Args:
        kind: What is there; the end of its name.
    """
    import tempfile  # not on the way of a start

    user = os.getuid() if hasattr(os, "getuid") else 0
    return Path(tempfile.gettempdir()) / f"ada-otel-{service_key()}-{user}.{kind}"


def service_key() -> str:
    """Give a short name for this service on its host, for files that its processes share.

    It is made of what names the service (``service.name``, ``service.namespace`` and the deployment
    environment), not of what changes with each release or start: files would pile up, and what is in them be
    forgotten.
    """
    import hashlib  # not on the way of a start

    pairs = (pair.partition("=") for pair in os.environ.get("OTEL_RESOURCE_ATTRIBUTES", "").split(","))
    found = {key.strip(): value.strip() for key, _, value in pairs}
    found["service.name"] = os.environ.get("OTEL_SERVICE_NAME", "").strip() or found.get("service.name", "")
    named = "\n".join(found.get(key, "") for key in _NAMES_A_SERVICE)
    return hashlib.sha256(named.encode("utf-8", "surrogateescape")).hexdigest()[:16]
