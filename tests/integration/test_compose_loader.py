"""docker-compose.yml as docker compose's own loader reads it: variables, profiles, merges and conditions."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import threading
from base64 import b64encode
from collections.abc import Mapping, Sequence
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.support.back_ends import BackEnds
from tests.support.collector import Collector, eventually
from tests.support.otlp_sender import post, record
from tests.support.process import clean_environment
from tests.support.servers import or_skip
from tools.builds.go import build
from tools.builds.targets import COMPOSE, OTELCOL
from tools.paths import REPOSITORY

pytestmark = pytest.mark.integration

FILE = REPOSITORY / "docker-compose.yml"
SETTINGS = REPOSITORY / ".env.example"
DSN = "https://0123456789abcdef0123456789abcdef@sentry.test/42"

DEFAULT = {
    "app", "ai-stub", "otelcol-init", "otelcol", "otelcol-health", "probe", "sentry-bridge", "prometheus",
    "alertmanager", "elasticsearch", "elasticsearch-init", "grafana", "redis", "postgres",
}  # fmt: skip
KIBANA = {"kibana-password", "kibana", "kibana-init"}

#: Who waits for whom, and for what of it.
WAITS = {
    "app": {"postgres": "service_healthy", "redis": "service_healthy"},
    "ai-stub": {"app": "service_started"},
    "otelcol": {
        "otelcol-init": "service_completed_successfully",
        "elasticsearch-init": "service_completed_successfully",
    },
    "otelcol-health": {"otelcol": "service_started"},
    "elasticsearch-init": {"elasticsearch": "service_healthy"},
    "grafana": {"prometheus": "service_healthy", "elasticsearch": "service_healthy"},
}
KIBANA_WAITS = {
    "kibana-password": {"elasticsearch": "service_healthy"},
    "kibana": {"kibana-password": "service_completed_successfully"},
    "kibana-init": {"kibana": "service_healthy"},
}
LOAD_WAITS = {"load": {"app": "service_healthy", "ai-stub": "service_healthy"}}
SECRETS = {
    "app": {"postgres_password", "redis_password", "app_secret_key", "health_token"},
    "otelcol": {"elastic_password", "redis_password"},
    "alertmanager": {"slack_webhook_url", "pagerduty_routing_key", "deadmansswitch_url"},
    "elasticsearch": {"elastic_password"},
    "elasticsearch-init": {"elastic_password"},
    "grafana": {"grafana_password", "elastic_password"},
    "redis": {"redis_password"},
    "postgres": {"postgres_password"},
}
KIBANA_SECRETS = {
    "kibana-password": {"elastic_password", "kibana_password"},
    "kibana": {"kibana_password"},
    "kibana-init": {"elastic_password"},
}
PORTS = {
    "app": {8000},
    "otelcol": {4317, 4318, 13133},
    "prometheus": {9090},
    "alertmanager": {9093},
    "elasticsearch": {9200},
    "grafana": {3000},
}
KIBANA_PORTS = {"kibana": {5601}}


@pytest.fixture(scope="module")
def loader() -> Path:
    return or_skip(lambda: build(COMPOSE)) / "compose"


def _run(
    loader: Path,
    file: Path = FILE,
    profiles: Sequence[str] = (),
    settings: Path | None = SETTINGS,
    variables: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    command = [str(loader), *(f"-profile={name}" for name in profiles)]
    command += [f"-env-file={settings}"] if settings else []
    # Nothing of the environment of whoever runs the tests: it would win over the file.
    return subprocess.run(
        [*command, str(file)],
        env=dict(variables or {}),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def _loaded(loader: Path, **given: Any) -> dict[str, Any]:
    result = _run(loader, **given)
    assert result.returncode == 0, result.stderr
    # Warnings, as of a variable that is not set, go there.
    assert result.stderr == ""
    loaded = json.loads(result.stdout)
    assert isinstance(loaded, dict)
    return loaded


def _each(project: Mapping[str, Any], key: str) -> dict[str, Any]:
    return {name: service[key] for name, service in project["services"].items() if service.get(key)}


def _documented() -> set[tuple[str, ...]]:
    """The profiles of every command line of docker compose in pages and files, each as it is combined."""
    places = [FILE, SETTINGS, REPOSITORY / "README.md", *(REPOSITORY / "docs").glob("*.md")]
    text = "\n".join(path.read_text(encoding="utf-8") for path in places)
    lines = re.findall(r"docker compose( .*)? up\b", text)
    return {tuple(re.findall(r"--profile[ =](\w+)", line)) for line in lines}


def test_the_profiles_that_are_documented_are_those_that_are_loaded_here() -> None:
    assert _documented() == {(), ("kibana",), ("load",)}


@pytest.mark.parametrize("dsn", ["", DSN], ids=["no Sentry", "Sentry"])
@pytest.mark.parametrize("profiles", [(), ("kibana",), ("load",), ("kibana", "load")], ids=str)
def test_the_project_is_what_is_meant(loader: Path, profiles: tuple[str, ...], dsn: str) -> None:
    project = _loaded(loader, profiles=profiles, variables={"SENTRY_DSN": dsn})
    kibana, load = "kibana" in profiles, "load" in profiles
    assert project["name"] == "ada"
    assert set(project["services"]) == DEFAULT | (KIBANA if kibana else set()) | ({"load"} if load else set())
    waits = {
        name: {other: wait["condition"] for other, wait in others.items()}
        for name, others in _each(project, "depends_on").items()
    }
    assert waits == WAITS | (KIBANA_WAITS if kibana else {}) | (LOAD_WAITS if load else {})
    assert all(
        wait["required"] for others in _each(project, "depends_on").values() for wait in others.values()
    )
    secrets = _each(project, "secrets")
    sources = {name: {secret["source"] for secret in given} for name, given in secrets.items()}
    assert sources == SECRETS | (KIBANA_SECRETS if kibana else {})
    assert {(secret["source"], secret["target"]) for given in secrets.values() for secret in given} == {
        (name, f"/run/secrets/{name}") for names in sources.values() for name in names
    }
    files = {name: secret["file"] for name, secret in project["secrets"].items()}
    assert files == {name: str(REPOSITORY / "secrets" / f"{name}.txt") for name in files}
    assert set(files) >= set().union(*sources.values())
    ports = _each(project, "ports")
    assert {port["host_ip"] for published in ports.values() for port in published} == {"127.0.0.1"}
    targets = {name: {port["target"] for port in published} for name, published in ports.items()}
    assert targets == PORTS | (KIBANA_PORTS if kibana else {})
    assert {int(p["published"]) for published in ports.values() for p in published} == set().union(
        *targets.values()
    )
    internal = {name for name, network in project["networks"].items() if network.get("internal")}
    assert internal == {"ingest", "data", "telemetry"}


@pytest.mark.parametrize("dsn", ["", DSN], ids=["no Sentry", "Sentry"])
def test_one_variable_decides_what_goes_to_sentry(loader: Path, dsn: str) -> None:
    services = _loaded(loader, variables={"SENTRY_DSN": dsn})["services"]
    base, redis, sentry, issues = (
        f"/etc/otelcol/otelcol{part}.yaml" for part in ("", ".redis", ".sentry", ".issues")
    )
    files = [word.removeprefix("--config=") for word in services["otelcol"]["command"]]
    assert files == ([base, redis, sentry, issues] if dsn else [base, redis, base, base])
    for name in ("otelcol-init", "sentry-bridge"):
        assert services[name]["environment"]["SENTRY_DSN"] == dsn
    # What the collector and the shells are to read for themselves reaches them as it is meant.
    given = services["otelcol"]["environment"]
    assert given["ADA_ELASTICSEARCH_PASSWORD"] == "${file:/run/secrets/elastic_password}"
    assert given["ADA_REDIS_PASSWORD"] == "${file:/run/secrets/redis_password}"
    assert given["ADA_SENTRY_AUTH"] == "${file:/var/lib/otelcol/sentry/auth}"
    assert '[ -n "$SENTRY_DSN" ]' in services["sentry-bridge"]["entrypoint"][-1]


def test_the_collector_logs_in_with_the_secrets_that_were_written(loader: Path, tmp_path: Path) -> None:
    """The very files and variables of compose, with what they point at in a folder of this test."""
    program = or_skip(lambda: build(OTELCOL)) / "otelcol"
    (tmp_path / "docker").mkdir()
    shutil.copy(REPOSITORY / "docker" / "secrets.sh", tmp_path / "docker")
    shutil.copy(SETTINGS, tmp_path)
    environment = {"PATH": os.environ["PATH"]}
    subprocess.run(["sh", str(tmp_path / "docker/secrets.sh")], env=environment, timeout=60, check=True)
    BackEnds.asked.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), BackEnds) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"127.0.0.1:{server.server_port}"
        services = _loaded(loader, variables={"SENTRY_DSN": f"http://a-key@{address}/42"})["services"]
        service, init = services["otelcol"], services["otelcol-init"]

        def here(text: str) -> str:
            for secret in service["secrets"]:
                name = secret["source"]
                text = text.replace(secret["target"], str(tmp_path / "secrets" / f"{name}.txt"))
            return text.replace("/var/lib/otelcol", str(tmp_path))

        command = [sys.executable, *map(here, init["entrypoint"][1:])]
        subprocess.run(command, env=clean_environment(init["environment"]), timeout=60, check=True)
        given = {name: here(value) for name, value in service["environment"].items()}
        for name in ("ELASTICSEARCH", "PROMETHEUS_OTLP", "SENTRY_BRIDGE"):
            given[f"ADA_{name}_ENDPOINT"] = f"http://{address}"
        given["ADA_REDIS_ENDPOINT"] = "127.0.0.1:1"
        # Its own addresses are the test's, on free ports.
        own = {name for name in given if name.endswith(("_GRPC_ENDPOINT", "_HTTP_ENDPOINT", "_HOST"))}
        own |= {"ADA_HEALTH_ENDPOINT", "ADA_QUEUE_DIR"}
        mounts = {mount["target"]: mount["source"] for mount in service["volumes"]}
        configs = tuple(Path(mounts[word.removeprefix("--config=")]) for word in service["command"])
        variables = {name: value for name, value in given.items() if name not in own}
        with Collector(program, tmp_path, variables, configs) as collector:
            post(collector.http, "logs", [record("tea is ready")], {"service.name": "shop"})
            wanted = {"/_bulk", "/api/42/integration/otlp/v1/logs"}
            eventually("both have been asked", lambda: wanted <= set(BackEnds.asked))
        server.shutdown()
    password = (tmp_path / "secrets" / "elastic_password.txt").read_text(encoding="utf-8").strip()
    login = b64encode(f"elastic:{password}".encode()).decode()
    assert BackEnds.asked["/_bulk"]["Authorization"] == f"Basic {login}"
    assert BackEnds.asked["/api/42/integration/otlp/v1/logs"]["x-sentry-auth"] == "sentry sentry_key=a-key"


def test_settings_reach_the_services(loader: Path) -> None:
    variables = {
        "ADA_GRAFANA_PORT": "3300",
        "ADA_ENVIRONMENT": "staging",
        "APP_VERSION": "7.1",
        "ADA_ELASTICSEARCH_HEAP": "3g",
        "ADA_LOGS_RETENTION": "7d",
        "ADA_SECRETS_DIR": "/etc/ada/secrets",
        "OTELCOL_VERSION": "0.999.0",
    }
    project = _loaded(loader, variables=variables)
    services = project["services"]
    (port,) = services["grafana"]["ports"]
    assert (port["host_ip"], port["published"], port["target"]) == ("127.0.0.1", "3300", 3000)
    app = services["app"]["environment"]
    assert app["OTEL_RESOURCE_ATTRIBUTES"] == "deployment.environment.name=staging"
    assert app["APP_VERSION"] == "7.1"
    assert services["elasticsearch"]["environment"]["ES_JAVA_OPTS"] == "-Xms3g -Xmx3g"
    assert services["elasticsearch-init"]["environment"]["ADA_LOGS_RETENTION"] == "7d"
    assert services["otelcol"]["image"] == "otel/opentelemetry-collector-contrib:0.999.0"
    assert project["secrets"]["elastic_password"]["file"] == "/etc/ada/secrets/elastic_password.txt"


def test_without_settings_it_is_refused_with_what_to_do(loader: Path, tmp_path: Path) -> None:
    copy = tmp_path / "docker-compose.yml"
    copy.write_text(FILE.read_text(encoding="utf-8"), encoding="utf-8")
    result = _run(loader, copy, settings=None)
    assert result.returncode == 1
    assert "required variable OTELCOL_VERSION is missing a value: copy .env.example to .env" in result.stderr
    # As docker compose does, it takes the .env that lies beside the file.
    (tmp_path / ".env").write_text(SETTINGS.read_text(encoding="utf-8"), encoding="utf-8")
    assert set(_loaded(loader, file=copy, settings=None)["services"]) == DEFAULT


@pytest.mark.parametrize(
    ("written", "instead", "said"),
    [
        ("  read_only: true\n", "  readonly: true\n", ".readonly "),
        (
            "elasticsearch: {condition: service_healthy}",
            "elasticsaerch: {condition: service_healthy}",
            'depends on undefined service "elasticsaerch"',
        ),
        ("condition: service_healthy}", "condition: healthy}", "condition"),
        (
            "secrets: [redis_password]",
            "secrets: [redis_pasword]",
            "refers to undefined secret redis_pasword",
        ),
        ("networks: [data]", "networks: [date]", "refers to undefined network date"),
        ('["redis-data:/data"]', '["redisdata:/data"]', "refers to undefined volume redisdata"),
        # Without its profile, what waits for it could not start.
        (
            "      redis: {condition: service_healthy}",
            "      kibana: {condition: service_healthy}",
            'depends on undefined service "kibana"',
        ),
    ],
)
def test_a_mistake_is_refused_and_named(
    loader: Path, tmp_path: Path, written: str, instead: str, said: str
) -> None:
    text = FILE.read_text(encoding="utf-8")
    assert written in text
    copy = tmp_path / "docker-compose.yml"
    copy.write_text(text.replace(written, instead), encoding="utf-8")
    result = _run(loader, copy)
    assert result.returncode == 1, result.stdout[:300]
    assert said in result.stderr
