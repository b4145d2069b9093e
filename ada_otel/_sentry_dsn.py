"""From a Sentry DSN to the address and header of Sentry's OTLP endpoints.

The collector has no notion of a DSN: its Sentry leg (``collector/otelcol.sentry.yaml``) needs an address and
a header. Both are derived here, for the native stack and for the container that runs before the collector::

    python -m ada_otel._sentry_dsn                 # prints ADA_SENTRY_OTLP_ENDPOINT=… and ADA_SENTRY_AUTH=…
    python -m ada_otel._sentry_dsn --write DIR     # writes DIR/endpoint and DIR/auth instead

The DSN is read from ``SENTRY_DSN``. Without one nothing is printed or written, and the exit code is 0.
The form of the address and header is the one of Sentry's documentation of its OTLP endpoints.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

_FORM = "https://PUBLIC_KEY@HOST/PROJECT_ID"


@dataclass(frozen=True)
class SentryOtlp:
    """Where a project's OTLP goes.

    Attributes:
        endpoint: Base address, to which ``/v1/traces`` and ``/v1/logs`` are added.
        auth: Value of the header ``x-sentry-auth``. It holds the DSN's public key.
    """

    endpoint: str
    auth: str

    def environment(self) -> dict[str, str]:
        """The two variables that ``collector/otelcol.sentry.yaml`` reads."""
        return {"ADA_SENTRY_OTLP_ENDPOINT": self.endpoint, "ADA_SENTRY_AUTH": self.auth}


def parse(dsn: str) -> SentryOtlp:
    """Read a DSN.

    Args:
        dsn: ``https://PUBLIC_KEY[:SECRET_KEY]@HOST[:PORT][/PATH]/PROJECT_ID``. The secret key of an
            old DSN is dropped.

    Raises:
        ValueError: Says which part is wrong and what would be right, and holds neither the DSN nor a key.
    """
    text = dsn.strip()
    if any(character.isspace() or not character.isprintable() for character in text):
        raise _wrong("it holds a blank or a control character")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise _wrong("its host or port cannot be read") from None
    if parts.scheme not in ("http", "https"):
        raise _wrong("it must begin with https:// or http://")
    if not parts.username:
        raise _wrong("it has no public key before the @")
    if not parts.hostname:
        raise _wrong("it has no host after the @")
    if parts.query or parts.fragment:
        raise _wrong("nothing may follow the project id")
    path, _, project = parts.path.rstrip("/").rpartition("/")
    if not project.isascii() or not project.isdigit():
        raise _wrong("its last part must be the project id, a number")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    address = f"{parts.scheme}://{host}" + (f":{port}" if port is not None else "")
    return SentryOtlp(
        endpoint=f"{address}{path}/api/{project}/integration/otlp",
        auth=f"sentry sentry_key={parts.username}",
    )


def from_environment(environ: Mapping[str, str] | None = None) -> SentryOtlp | None:
    """Read ``SENTRY_DSN``.

    Args:
        environ: Where to read; ``os.environ`` by default.

    Returns:
        ``None`` when the variable is unset or blank: the Sentry leg is off.

    Raises:
        ValueError: As :func:`parse`.
    """
    dsn = (os.environ if environ is None else environ).get("SENTRY_DSN", "")
    return parse(dsn) if dsn.strip() else None


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the exit code is 2 for a DSN that cannot be used."""
    parser = argparse.ArgumentParser(
        prog="python -m ada_otel._sentry_dsn",
        description="Derive the address and header of Sentry's OTLP endpoints from SENTRY_DSN.",
    )
    parser.add_argument(
        "--write", type=Path, metavar="DIR", help="write DIR/endpoint and DIR/auth, and print nothing"
    )
    options = parser.parse_args(arguments)
    try:
        target = from_environment()
    except ValueError as error:
        sys.stderr.write(f"ada-otel: {error}\n")
        return 2
    if target is None:
        return 0
    if options.write is None:
        for name, value in target.environment().items():
            sys.stdout.write(f"{name}={value}\n")
        return 0
    options.write.mkdir(parents=True, exist_ok=True, mode=0o700)
    _write(options.write / "endpoint", target.endpoint)
    _write(options.write / "auth", target.auth)
    return 0


def _wrong(what: str) -> ValueError:
    return ValueError(f"SENTRY_DSN cannot be used: {what}. Its form is {_FORM}")


def _write(path: Path, text: str) -> None:
    """Write a file that only its owner can read, whatever the umask and whatever was there before."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        os.fchmod(file.fileno(), 0o600)
        # No line break: the collector takes a file as it is.
        file.write(text)


if __name__ == "__main__":
    sys.exit(main())
