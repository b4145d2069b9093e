"""Where events go: a project of Sentry, read from its DSN."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import urlsplit

from ada_otel import _sentry_dsn
from ada_otel._version import __version__

CLIENT = f"ada-otel.sentry-bridge/{__version__}"


@dataclass(frozen=True)
class Destination:
    """A project of Sentry.

    Attributes:
        url: The address that takes its envelopes.
        auth: Value of the header ``X-Sentry-Auth``. It holds the public key, and is kept out of ``repr``.
    """

    url: str
    auth: str = field(repr=False)

    @classmethod
    def from_dsn(cls, dsn: str) -> Destination:
        """Read a DSN.

        Raises:
            ValueError: Says which part is wrong and what would be right, without the DSN or its key.
        """
        parsed = _sentry_dsn.parse(dsn)
        key = parsed.auth.partition("sentry_key=")[2]
        return cls(
            url=parsed.endpoint.removesuffix("/integration/otlp") + "/envelope/",
            auth=f"Sentry sentry_version=7, sentry_client={CLIENT}, sentry_key={key}",
        )

    @property
    def name(self) -> str:
        """Host and project, for messages: ``sentry.example:9000, project 42``."""
        parts = urlsplit(self.url)
        return f"{parts.netloc}, project {parts.path.rstrip('/').split('/')[-2]}"
