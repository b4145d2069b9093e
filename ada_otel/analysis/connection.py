"""How to reach Elasticsearch and Prometheus, and what their refusals mean."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ada_otel.analysis.errors import (
    AnalysisError,
    ConnectionFailedError,
    MissingExtraError,
    NothingThereError,
    QueryError,
)

if TYPE_CHECKING:
    from elasticsearch import Elasticsearch

__all__ = ["ClientSettings", "connect", "reported"]

DEFAULT_URL = "http://127.0.0.1:9200"
_KEY_HINT = "set ADA_ELASTICSEARCH_API_KEY, or give --api-key"


@dataclass(frozen=True)
class ClientSettings:
    """How to reach Elasticsearch and Prometheus.

    Attributes:
        url: Base URL of Elasticsearch, ``ADA_ELASTICSEARCH_ENDPOINT``.
        api_key: Its API key, encoded or ``id:key``, ``ADA_ELASTICSEARCH_API_KEY``.
        user: A user, where there is no API key, ``ADA_ELASTICSEARCH_USER``.
        password: The user's password, ``ADA_ELASTICSEARCH_PASSWORD``.
        ca: A file with the certificates of the authorities to trust, ``ADA_ELASTICSEARCH_CA``.
        cloud_id: Elastic Cloud's id of the deployment, in place of ``url``, ``ELASTIC_CLOUD_ID``.
        prometheus: Base URL of Prometheus, ``ADA_PROMETHEUS_URL``; the dashboard asks it.
        timeout: The most seconds that one request may take.
        logs_index: Where the log lines are.
        traces_index: Where the spans are.
    """

    url: str = DEFAULT_URL
    api_key: str | None = field(default=None, repr=False)
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    ca: str | None = None
    cloud_id: str | None = None
    prometheus: str | None = None
    timeout: float = 30.0
    logs_index: str = "ada-logs-*"
    traces_index: str = "ada-traces-*"

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None, **given: Any) -> ClientSettings:
        """The settings of the environment, ``given`` before them; an empty variable counts as not set."""
        variables = os.environ if environ is None else environ
        found: dict[str, Any] = {
            name: variables[variable]
            for name, variable in (
                ("url", "ADA_ELASTICSEARCH_ENDPOINT"),
                ("api_key", "ADA_ELASTICSEARCH_API_KEY"),
                ("user", "ADA_ELASTICSEARCH_USER"),
                ("password", "ADA_ELASTICSEARCH_PASSWORD"),
                ("ca", "ADA_ELASTICSEARCH_CA"),
                ("cloud_id", "ELASTIC_CLOUD_ID"),
                ("prometheus", "ADA_PROMETHEUS_URL"),
            )
            if variables.get(variable)
        }
        found.update({name: value for name, value in given.items() if value is not None})
        if given.get("url"):
            # An address on the command line is meant, whatever the environment says.
            found.pop("cloud_id", None) if not given.get("cloud_id") else None
        return cls(**found)

    @property
    def place(self) -> str:
        """What is spoken of in messages: the address without a password."""
        if self.cloud_id:
            return f"Elastic Cloud {self.cloud_id.split(':', 1)[0]}"
        return _without_user(self.url)


def connect(settings: ClientSettings) -> Elasticsearch:
    """A client of Elasticsearch. Nothing is sent yet.

    Raises:
        MissingExtraError: The ``elasticsearch`` package is not installed.
        AnalysisError: The settings cannot be right; names the one.
    """
    try:
        from elasticsearch import Elasticsearch
    except ImportError:
        raise MissingExtraError("elasticsearch") from None
    # One try: whoever sits in front of a terminal sees the error at once, and tries again.
    arguments: dict[str, Any] = {
        "request_timeout": settings.timeout,
        "max_retries": 0,
        "retry_on_timeout": False,
    }
    if settings.api_key:
        name, colon, key = settings.api_key.strip().partition(":")
        arguments["api_key"] = (name, key) if colon else name
    elif settings.user:
        arguments["basic_auth"] = (settings.user, settings.password or "")
    if settings.ca:
        if not Path(settings.ca).is_file():
            raise AnalysisError(f"--ca (ADA_ELASTICSEARCH_CA): there is no file {settings.ca}")
        arguments["ca_certs"] = settings.ca
    try:
        if settings.cloud_id:
            return Elasticsearch(cloud_id=settings.cloud_id, **arguments)
        return Elasticsearch(_with_port(settings.url), **arguments)
    except AnalysisError:
        raise
    except Exception as error:
        name = "--cloud-id (ELASTIC_CLOUD_ID)" if settings.cloud_id else "--url (ADA_ELASTICSEARCH_ENDPOINT)"
        if settings.ca and "ert" in str(error):
            name = "--ca (ADA_ELASTICSEARCH_CA)"
        raise AnalysisError(f"{name}: {_one_line(error)}") from None


@contextmanager
def reported(settings: ClientSettings, index: str) -> Iterator[None]:
    """Turn the client's exceptions into one line that says what to do."""
    import elasticsearch as client

    try:
        yield
    except client.AuthenticationException:
        raise ConnectionFailedError(f"{settings.place} refuses the key (HTTP 401): {_KEY_HINT}") from None
    except client.AuthorizationException:
        raise ConnectionFailedError(
            f"{settings.place} does not let this key read {index} (HTTP 403): give it the "
            "privileges read and view_index_metadata"
        ) from None
    except client.NotFoundError as error:
        raise NothingThereError(_not_found(error, settings, index)) from None
    except client.BadRequestError as error:
        raise QueryError(f"Elasticsearch does not take the query: {_reason(error)}") from None
    except client.UnsupportedProductError:
        raise ConnectionFailedError(
            f"{settings.place} is no Elasticsearch of version 8 or later: check --url"
        ) from None
    except client.ConnectionTimeout:
        raise ConnectionFailedError(
            f"{settings.place} gave no answer within {settings.timeout:g} s: narrow --since, "
            "or give a longer --timeout"
        ) from None
    except client.TransportError as error:
        raise ConnectionFailedError(_unreachable(error, settings)) from None
    except client.ApiError as error:
        raise ConnectionFailedError(
            f"{settings.place} answered HTTP {error.status_code}: {_reason(error)}; try again, or see its log"
        ) from None


def _not_found(error: Any, settings: ClientSettings, index: str) -> str:
    if "search_context_missing" in str(error.body) or "search_context_missing" in str(error):
        return f"the search took so long that {settings.place} has forgotten it: give a smaller --size"
    return (
        f"{settings.place} has no index {index}: nothing has been logged there yet, or --index is wrong; "
        "has the collector written to this Elasticsearch?"
    )


def _unreachable(error: Exception, settings: ClientSettings) -> str:
    text = _one_line(error)
    if "CERTIFICATE_VERIFY_FAILED" in text or type(error).__name__ == "TlsError":
        return (
            f"the certificate of {settings.place} is not trusted: give its authority with --ca "
            f"(ADA_ELASTICSEARCH_CA); {text[:200]}"
        )
    return (
        f"no Elasticsearch answers at {settings.place}: start it, or give its address with --url "
        "(ADA_ELASTICSEARCH_ENDPOINT); local files are read with --file"
    )


def _reason(error: Any) -> str:
    """The innermost reason in Elasticsearch's answer."""
    body = error.body if isinstance(error.body, dict) else {}
    found = body.get("error", {})
    if not isinstance(found, dict):
        return _one_line(found)
    causes = [
        *(shard.get("reason", {}) for shard in found.get("failed_shards", [])),
        *found.get("root_cause", []),
        found,
    ]
    cause = causes[0]
    while isinstance(cause.get("caused_by"), dict):
        cause = cause["caused_by"]
    return _one_line(cause.get("reason") or error)


def _with_port(url: str) -> str:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise AnalysisError(f"--url (ADA_ELASTICSEARCH_ENDPOINT): {_without_user(url)!r}: {error}") from None
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise AnalysisError(
            f"--url (ADA_ELASTICSEARCH_ENDPOINT): {_without_user(url)!r} is no address; "
            f"write one like {DEFAULT_URL}"
        )
    if port is None:
        port = 443 if parts.scheme == "https" else 80
        url = parts._replace(netloc=f"{parts.netloc.rstrip(':')}:{port}").geturl()
    return url


def _without_user(url: str) -> str:
    before, at, after = url.rpartition("@")
    return f"{before.split('//')[0]}//{after}" if at else url


def _one_line(error: object) -> str:
    return " ".join(str(error).split())[:300]
