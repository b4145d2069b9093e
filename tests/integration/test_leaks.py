"""Secrets, sent through every channel of the example app on real servers, and looked for byte by byte.

ADA runs under the launcher, twice, with secrets of its own each time: once as users run it, and once with
``ADA_OTEL_REDACTION=false``, which shows that each secret would have been found where it was looked for.
"""

from __future__ import annotations

import json
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from examples.ada.ai_stub import AiStub
from tests.support.leaks import NEVER_SHOWN, Client, looked_for, new_secrets
from tests.unit.sentry_bridge.fake_sentry import FakeSentry, fake_sentry
from tools.demo.app import running_app
from tools.demo.arrivals import BackEnds, wait_for
from tools.stack import Stack, free_ports
from tools.stack.ports import is_free

pytestmark = pytest.mark.integration

#: The file with further routes; it is imported by the app's process alone.
LEAKY = Path(__file__).parents[1] / "support" / "leaky.py"

#: How many Issues' events one run makes: a line with an exception each, and the critical one.
EVENTS = 18

#: Messages that are waited for: errors go before the others, in batches of their own.
LAST = {"failed", "not connected", "stored", "event", "config", "signed out", "disconnected"}


@dataclass
class Run:
    """What one run of the app left behind, in bytes, by place."""

    secrets: dict[str, str]
    places: dict[str, bytes]

    def leaks(self) -> dict[str, set[str]]:
        """By secret, the places where it was found."""
        found = {
            name: {
                place
                for place, data in self.places.items()
                if any(form in data for form in looked_for(name, secret))
            }
            for name, secret in self.secrets.items()
        }
        return {name: places for name, places in found.items() if places}


@dataclass
class Servers:
    """All that the runs share.

    Attributes:
        back_ends: Elasticsearch, Prometheus, Redis and PostgreSQL.
        own: The collector, the Sentry bridge, and a sink for Sentry's OTLP endpoints, of these tests alone.
        sentry: Where the bridge sends to.
    """

    back_ends: Stack
    own: Stack
    sentry: FakeSentry


@dataclass
class Driven:
    """A run whose app has ended."""

    client: Client
    back_ends: BackEnds
    logs: Path
    documents: list[dict[str, Any]]


def drive(servers: Servers, folder: Path, redaction: str) -> Driven:
    """Run the app, send it the secrets, and wait until Elasticsearch has all that came of it."""
    service = f"leaks-{redaction}-{time.time_ns()}"
    hidden = new_secrets()
    (folder / "run").mkdir(parents=True)
    source = LEAKY.read_text().replace("SOURCE_LINE", hidden["source_line"])
    (folder / "run" / "leaky.py").write_text(source)
    stack, own = servers.back_ends, servers.own
    with AiStub() as stub:
        environment = {
            **stack.app_env(),
            "OTEL_EXPORTER_OTLP_ENDPOINT": own.url("otelcol"),
            "AI_URL": with_password(stub.url, "ada", hidden["ai_url"]),
            "AI_API_KEY": hidden["ai_key"],
            "OTEL_METRIC_EXPORT_INTERVAL": "2000",
            "ADA_OTEL_REDACTION": redaction,
            "ADA_OTEL_LOG_FILE": str(folder / "logs" / "ada_app.log"),
            "ADA_OTEL_LOG_LEVEL": "DEBUG",
            "LOG_LEVEL": "DEBUG",
            "SECRETS": json.dumps(hidden),
            **{
                f"OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_{side}": ".*"
                for side in ("SERVER_REQUEST", "SERVER_RESPONSE", "CLIENT_REQUEST", "CLIENT_RESPONSE")
            },
        }
        with running_app(folder, environment, service=service, application="leaky:app") as app:
            client = Client(app.url, hidden, stack.url("redis"))
            client.send_all()
    back_ends = BackEnds(stack.url("prometheus"), stack.url("elasticsearch"), own.url("sentry_sink"), service)
    sizes: list[int] = []

    def good(found: list[dict[str, Any]]) -> bool:
        sizes.append(len(found))
        return (
            len(set(sizes[-4:])) == 1 < len(sizes) - 2
            and {one["body"]["text"] for one in found if "body" in one} >= LAST
            and sum(map(of_a_route, found)) == 2 * client.requests
        )

    documents = wait_for(lambda: back_ends.search("ada-*", size=9000), good)
    assert good(documents), (sizes, sum(map(of_a_route, documents)), client.requests)
    return Driven(client, back_ends, folder / "logs", documents)


def with_password(url: str, user: str, password: str) -> str:
    """``url`` with a user and a password in it."""
    return url.replace("://", f"://{user}:{password}@", 1)


def gather(servers: Servers, driven: Driven, queue: bytes) -> Run:
    """Wait until Sentry and Prometheus have it all too, and read all places."""
    stack, own, back_ends = servers.back_ends, servers.own, driven.back_ends

    def at_sentry() -> dict[str, Any]:
        received = back_ends.sentry()
        return {
            kind: [one for one in received[kind] if one["resource"].get("service.name") == back_ends.service]
            for kind in ("spans", "logs")
        }

    spans = sum("kind" in one for one in driven.documents)
    found = wait_for(at_sentry, lambda found: len(found["spans"]) == spans and bool(found["logs"]))
    assert len(found["spans"]) == spans

    def issues() -> list[dict[str, Any]]:
        return [event for event in servers.sentry.events if back_ends.service in str(event)]

    events = wait_for(issues, lambda found: len(found) >= EVENTS)
    assert len(events) == EVENTS
    series = wait_for(lambda: in_prometheus(stack, back_ends.service), lambda found: b"/boom" in found)
    return Run(
        driven.client.secrets,
        {
            "log file": b"".join(file.read_bytes() for file in driven.logs.iterdir()),
            "elasticsearch": json.dumps(driven.documents, ensure_ascii=False).encode(),
            "prometheus": series,
            "sentry, by OTLP": json.dumps(at_sentry(), ensure_ascii=False).encode(),
            "sentry, by the bridge": json.dumps(events, ensure_ascii=False).encode(),
            "the collector's log": own.log("otelcol").read_bytes(),
            "the bridge's log": own.log("sentry_bridge").read_bytes(),
            "the collector's queue": queue,
        },
    )


def of_a_route(document: dict[str, Any]) -> bool:
    """Whether it is the line or the span at the end of a request, other than of Socket.IO's transports."""
    attributes = document.get("attributes", {})
    ended = document.get("body", {}).get("text") == "Request completed" or document.get("kind") == "Server"
    path = attributes.get("url.path")
    return ended and path is not None and not path.startswith("/socket.io/")


def in_prometheus(stack: Stack, service: str) -> bytes:
    """All labels and exemplars of the service, as Prometheus answers."""
    selector = f'{{service_name="{service}"}}'
    now = time.time()
    queries: dict[str, dict[str, Any]] = {
        "series": {"match[]": selector},
        "query_exemplars": {"query": selector, "start": now - 600, "end": now},
    }
    found = b""
    for path, arguments in queries.items():
        url = f"{stack.url('prometheus')}/api/v1/{path}?{urllib.parse.urlencode(arguments)}"
        with urllib.request.urlopen(url, timeout=10) as answer:
            found += answer.read()
    return found


@pytest.fixture(scope="module")
def servers(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """A collector and a Sentry of these tests' own, before the back ends that all tests share."""
    with fake_sentry() as sentry:
        shared = {name: stack.ports[name] for name in ("elasticsearch", "prometheus")}
        own = Stack(
            tmp_path_factory.mktemp("own"),
            ports={**free_ports(optional=True), **shared},
            servers=["otelcol", "sentry_bridge", "sentry_sink"],
            env={"SENTRY_DSN": sentry.dsn},
        )
        own.up()
        yield Servers(stack, own, sentry)
        own.down(purge=True)


@pytest.fixture(scope="module")
def runs(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    """By the setting of redaction. Sentry is away at first, so that something waits in the queue."""
    folder, own = tmp_path_factory.mktemp("leaks"), servers.own
    for server in ("sentry_bridge", "sentry_sink"):
        own.stop(server)
    with ThreadPoolExecutor() as pool:
        under_way = {
            redaction: pool.submit(drive, servers, folder / redaction, redaction)
            for redaction in ("true", "false")
        }
        driven = {redaction: one.result() for redaction, one in under_way.items()}
    files = (own.state_dir / "data" / "otelcol").rglob("*")
    queue = b"".join(file.read_bytes() for file in files if file.is_file())
    # A collector that starts anew sends what waits at once; this one would try again after up to a minute.
    assert own.kill("otelcol")
    wait_for(lambda: is_free(own.ports["otelcol_grpc"]), bool, 10)
    own.up()
    return {redaction: gather(servers, one, queue) for redaction, one in driven.items()}


def test_no_secret_is_anywhere(runs: dict[str, Run]) -> None:
    assert runs["true"].leaks() == {}


def test_without_redaction_each_would_have_been_found(runs: dict[str, Run]) -> None:
    run = runs["false"]
    leaks = run.leaks()
    assert set(run.secrets) - set(leaks) == NEVER_SHOWN
    spans = {"elasticsearch", "sentry, by OTLP", "the collector's queue"}
    everywhere = {*spans, "log file", "sentry, by the bridge"}
    assert leaks["exception"] >= everywhere
    # The bridge redacts the lines of source that it reads itself, by its own settings.
    assert leaks["source_line"] >= everywhere - {"sentry, by the bridge"}
    assert leaks["span_attribute"] >= spans


def test_what_is_no_secret_is_still_there(runs: dict[str, Run]) -> None:
    places = runs["true"].places
    assert all(places.values())
    for text in (
        b"postgresql://app:[redacted]@db.internal:5432/shop",
        b"no connection",
        b"The report failed",
    ):
        assert text in places["elasticsearch"]
        assert text in places["log file"]
