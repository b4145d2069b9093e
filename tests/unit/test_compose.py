"""docker-compose.yml against the compose schema, and against the files, settings and names that it leans on.

No Docker engine runs where these tests run: they show that the file is well formed and agrees with the rest
of the repository, not that the containers come up.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import socket
import stat
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jsonschema
import pytest
import yaml

from examples.ada import drive
from tests.support.ports import free_port
from tests.support.process import clean_environment
from tools.builds.go import find_go
from tools.versions import pinned

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
COMPOSE: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
COMPOSE_GO = f"github.com/compose-spec/compose-go/v2@v{pinned('compose_go')}"
VARIABLE = re.compile(r"(?<!\$)\$\{(?P<name>\w+)(?:(?P<mark>:?[-+?])(?P<rest>[^}]*))?\}")
# Elasticsearch writes its keystore beside its configuration.
WRITABLE = {"elasticsearch"}


@pytest.fixture(scope="session")
def schema() -> dict[str, Any]:
    """The compose specification's schema, from the Go module that docker compose itself uses."""
    go = find_go(os.environ).program
    reason = "the compose schema comes with a Go module, and there is no Go on PATH"
    if go is not None:
        command = [str(go), "mod", "download", "-json", COMPOSE_GO]
        result = subprocess.run(command, cwd="/", capture_output=True, text=True, timeout=300, check=False)
        if result.returncode == 0:
            folder = Path(json.loads(result.stdout)["Dir"])
            loaded = json.loads((folder / "schema" / "compose-spec.json").read_text(encoding="utf-8"))
            assert isinstance(loaded, dict)
            return loaded
        reason = f"go mod download {COMPOSE_GO} failed: {result.stderr.strip() or result.stdout.strip()}"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def _problems(schema: dict[str, Any], document: dict[str, Any]) -> list[str]:
    validator = jsonschema.Draft202012Validator(schema)
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(document)]


def test_the_file_is_valid_by_the_compose_schema(schema: dict[str, Any]) -> None:
    assert _problems(schema, COMPOSE) == []


def test_the_schema_check_finds_a_misspelt_key(schema: dict[str, Any]) -> None:
    document = {"services": {"app": {"image": "app:1", "readonly": True}}}
    assert any("readonly" in problem for problem in _problems(schema, document))


def _settings() -> dict[str, str]:
    lines = (ROOT / ".env.example").read_text(encoding="utf-8").splitlines()
    pairs = [line.partition("=")[::2] for line in lines if line and not line.startswith("#")]
    assert len({name for name, _ in pairs}) == len(pairs)
    return dict(pairs)


def test_every_variable_is_in_the_example_settings_with_the_same_default() -> None:
    settings = _settings()
    used = list(VARIABLE.finditer(TEXT))
    assert {match["name"] for match in used} - set(settings) == set()
    for match in used:
        if match["mark"] == ":-":
            assert match["rest"] == settings[match["name"]], match["name"]
        if match["mark"] == ":?":
            assert settings[match["name"]], match["name"]


def test_every_example_setting_is_used() -> None:
    elsewhere = (ROOT / "docker" / "secrets.sh").read_text(encoding="utf-8")
    unused = [name for name in _settings() if f"${{{name}" not in TEXT and name not in elsewhere]
    assert unused == []


def test_every_version_is_in_the_settings_and_not_in_the_file() -> None:
    for name, service in SERVICES.items():
        image = service.get("image", "")
        assert image == "ada-app:local" or re.fullmatch(r"[\w./-]+:\$\{\w+_VERSION:\?[^}]+\}", image), name


def test_the_versions_are_those_of_the_native_stack() -> None:
    pinned = yaml.safe_load((ROOT / "tools" / "versions.yaml").read_text(encoding="utf-8"))
    settings = _settings()
    for name in ("otelcol", "prometheus", "alertmanager", "elasticsearch"):
        assert settings[f"{name.upper()}_VERSION"].removeprefix("v") == pinned[name], name


def test_every_mounted_file_and_folder_is_there() -> None:
    mounted = [
        entry.split(":")[0]
        for service in SERVICES.values()
        for entry in service.get("volumes", [])
        if entry.startswith(".")
    ]
    assert len(mounted) >= 8
    assert [path for path in mounted if not (ROOT / path).exists()] == []
    for service in SERVICES.values():
        for entry in service.get("volumes", []):
            assert not entry.startswith(".") or entry.endswith(":ro"), entry


def test_every_named_volume_network_and_secret_is_declared_and_used() -> None:
    volumes = {
        entry.split(":")[0]
        for service in SERVICES.values()
        for entry in service.get("volumes", [])
        if not entry.startswith(".")
    }
    assert volumes == set(COMPOSE["volumes"])
    assert {name for service in SERVICES.values() for name in service.get("networks", [])} == set(
        COMPOSE["networks"]
    )
    assert {name for service in SERVICES.values() for name in service.get("secrets", [])} == set(
        COMPOSE["secrets"]
    )


def test_ports_are_published_on_loopback_only() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert len(ports) == 9
    assert [port for port in ports if not port.startswith("127.0.0.1:")] == []


def test_a_service_with_a_published_port_is_on_a_network_that_is_not_internal() -> None:
    for name, service in SERVICES.items():
        if "ports" in service:
            networks = [COMPOSE["networks"][network] for network in service["networks"]]
            assert any(not network.get("internal") for network in networks), name
    for name in ("redis", "postgres"):
        assert SERVICES[name]["networks"] == ["data"]


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_every_service_is_hardened_and_limited(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is (name not in WRITABLE)
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["logging"]["options"].keys() == {"max-size", "max-file"}
    assert service["deploy"]["resources"]["limits"].keys() == {"cpus", "memory", "pids"}
    assert "privileged" not in service
    if service["image"] == "ada-app:local":
        dockerfile = (ROOT / service["build"]["dockerfile"]).read_text(encoding="utf-8")
        assert re.search(r"^USER 10001:10001$", dockerfile, re.MULTILINE)
    else:
        assert service["user"].split(":")[0] not in {"", "0", "root"}


def test_every_lasting_service_is_checked_and_stops_in_its_own_time() -> None:
    lasting = {name: service for name, service in SERVICES.items() if service["restart"] != "no"}
    unchecked = {name for name, service in lasting.items() if "healthcheck" not in service}
    # Its image holds no program to check with; otelcol-health checks it from beside. Nobody asks the others.
    assert unchecked == {"otelcol", "probe", "load"}
    assert SERVICES["otelcol-health"]["depends_on"] == {"otelcol": {"condition": "service_started"}}
    assert "http://otelcol:13133/" in SERVICES["otelcol-health"]["healthcheck"]["test"][-1]
    for name, service in lasting.items():
        assert name == "otelcol-health" or "stop_grace_period" in service, name


def test_what_a_service_waits_for_can_come_about() -> None:
    for name, service in SERVICES.items():
        for other, wait in service.get("depends_on", {}).items():
            if wait["condition"] == "service_healthy":
                assert "healthcheck" in SERVICES[other], (name, other)
            if wait["condition"] == "service_completed_successfully":
                assert SERVICES[other]["restart"] == "no", (name, other)


def test_what_starts_without_a_profile_waits_for_nothing_that_needs_one() -> None:
    optional = {name for name, service in SERVICES.items() if service.get("profiles")}
    assert optional == {"kibana-password", "kibana", "kibana-init", "load"}
    assert {profile for name in optional for profile in SERVICES[name]["profiles"]} == {"kibana", "load"}
    for name in set(SERVICES) - optional:
        assert optional.isdisjoint(SERVICES[name].get("depends_on", {})), name


def test_the_programs_of_the_app_image_take_their_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    """The driver and the probe read them as they stand in the file; nothing is driven or asked."""
    driven: list[argparse.Namespace] = []

    def took(options: argparse.Namespace) -> dict[str, Any]:
        driven.append(options)
        return {"requests_total": 1}

    monkeypatch.setattr(drive, "_drive", took)
    monkeypatch.setattr(drive, "summary", lambda _result: "")
    with socket.create_server(("127.0.0.1", 0)) as app:
        words = SERVICES["load"]["entrypoint"]
        assert words[:3] == ["python", "-m", "examples.ada.drive"]
        assert drive.main([*words[3:], "--url", f"http://127.0.0.1:{app.getsockname()[1]}"]) == 0
    assert (driven[0].users, driven[0].rate, driven[0].seconds) == (3, 5.0, 3600.0)
    # Without --url it asks where the app listens, whose network it shares.
    assert drive._parser().parse_args([]).url.netloc == "127.0.0.1:8000"
    assert SERVICES["load"]["network_mode"] == "service:app"
    words = [word.replace("app:8000", "127.0.0.1:1") for word in SERVICES["probe"]["entrypoint"][1:]]
    command = [sys.executable, "-m", "ada_otel.cli", *words, "--once"]
    environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_SDK_DISABLED": "true"}
    shown = subprocess.run(
        command, env=clean_environment(environment), capture_output=True, text=True, timeout=60, check=False
    )
    assert (shown.returncode, "front" in shown.stdout + shown.stderr) == (1, True)


def test_kibana_is_of_the_version_of_elasticsearch() -> None:
    version = SERVICES["elasticsearch"]["image"].split(":", 1)[1]
    assert SERVICES["kibana"]["image"] == f"docker.elastic.co/kibana/kibana:{version}"


def _addresses() -> set[str]:
    """Host names in the files that the containers read, and in their environment."""
    found = set()
    prometheus = yaml.safe_load((ROOT / "collector/prometheus/prometheus.yml").read_text(encoding="utf-8"))
    groups = [group for job in prometheus["scrape_configs"] for group in job["static_configs"]]
    groups += [g for manager in prometheus["alerting"]["alertmanagers"] for g in manager["static_configs"]]
    found |= {target.rsplit(":", 1)[0] for group in groups for target in group["targets"]}
    for path in (ROOT / "collector/grafana/provisioning/datasources").glob("*.yml"):
        sources = yaml.safe_load(path.read_text(encoding="utf-8"))["datasources"]
        found |= {urlsplit(source["url"]).hostname or "" for source in sources}
    for service in SERVICES.values():
        for name, value in service.get("environment", {}).items():
            if re.match(r"https?://", str(value)):
                found.add(urlsplit(value).hostname or "")
            if name.endswith("_HOST") and value != "0.0.0.0":
                found.add(value)
    return found


def test_every_host_name_in_a_configuration_is_a_service() -> None:
    hosts = _addresses()
    assert {"elasticsearch", "prometheus", "alertmanager", "otelcol", "postgres", "redis"} <= hosts
    assert hosts - {"localhost"} - set(SERVICES) == set()


def test_two_services_that_talk_share_a_network() -> None:
    for one, other in (
        ("app", "otelcol"),
        ("app", "postgres"),
        ("app", "redis"),
        ("otelcol", "redis"),
        ("probe", "app"),
        ("probe", "otelcol"),
        ("otelcol", "elasticsearch"),
        ("otelcol", "prometheus"),
        ("otelcol-health", "otelcol"),
        ("prometheus", "otelcol"),
        ("prometheus", "alertmanager"),
        ("grafana", "prometheus"),
        ("grafana", "elasticsearch"),
        ("elasticsearch-init", "elasticsearch"),
        ("kibana-password", "elasticsearch"),
        ("kibana", "elasticsearch"),
        ("kibana-init", "kibana"),
    ):
        shared = set(SERVICES[one]["networks"]) & set(SERVICES[other]["networks"])
        assert any(COMPOSE["networks"][network].get("internal") for network in shared), (one, other)


def test_only_the_collector_can_reach_the_sentry_bridge() -> None:
    # It asks nobody who they are. The network is not internal: it is also the bridge's way to Sentry.
    assert SERVICES["sentry-bridge"]["networks"] == ["issues"]
    assert {name for name, service in SERVICES.items() if "issues" in service.get("networks", [])} == {
        "otelcol",
        "sentry-bridge",
    }
    assert "ports" not in SERVICES["sentry-bridge"]
    assert SERVICES["otelcol"]["environment"]["ADA_SENTRY_BRIDGE_ENDPOINT"] == "http://sentry-bridge:4390"


def _interpolated(value: str, **variables: str) -> str:
    """``value`` as compose hands it to a container."""

    def filled(match: re.Match[str]) -> str:
        given = variables.get(match["name"], "")
        if match["mark"] == ":+":
            return match["rest"] if given else ""
        return given or match["rest"] or ""

    return VARIABLE.sub(filled, value).replace("$$", "$")


def test_one_variable_switches_both_ways_to_sentry_on() -> None:
    def files(**variables: str) -> list[str]:
        return [_interpolated(word, **variables).partition("=")[2] for word in SERVICES["otelcol"]["command"]]

    base, redis = "/etc/otelcol/otelcol.yaml", "/etc/otelcol/otelcol.redis.yaml"
    assert files() == [base, redis, base, base]
    assert files(SENTRY_DSN="https://key@host/1") == [
        base,
        redis,
        "/etc/otelcol/otelcol.sentry.yaml",
        "/etc/otelcol/otelcol.issues.yaml",
    ]
    mounted = {entry.split(":")[1] for entry in SERVICES["otelcol"]["volumes"]}
    assert set(files(SENTRY_DSN="https://key@host/1")) <= mounted
    for name in ("otelcol-init", "sentry-bridge"):
        assert _interpolated(SERVICES[name]["environment"]["SENTRY_DSN"], SENTRY_DSN="x") == "x"


@pytest.mark.parametrize("dsn", ["", "https://0123456789abcdef0123456789abcdef@sentry.test/42"])
def test_the_sentry_bridge_serves_with_a_dsn_and_waits_without_one(dsn: str) -> None:
    """The very command and health check, run here on a free port."""
    bridge, port = SERVICES["sentry-bridge"], str(free_port())

    def own(words: list[str]) -> list[str]:
        found = [_interpolated(word).replace("4390", port).replace("0.0.0.0", "127.0.0.1") for word in words]
        return [sys.executable if word == "python" else word for word in found]

    scripts = sysconfig.get_path("scripts")
    environment = {
        "PATH": f"{scripts}:{os.environ['PATH']}",
        **{name: _interpolated(value, SENTRY_DSN=dsn) for name, value in bridge["environment"].items()},
    }
    process = subprocess.Popen(
        own(bridge["entrypoint"]),
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert process.stdout is not None
        said = process.stdout.readline()
        assert "listening on" in said if dsn else said == "SENTRY_DSN is not set: no Issues are made\n"
        kind, *check = bridge["healthcheck"]["test"]
        assert kind == "CMD"

        def healthy(where: str) -> bool:
            command = [word.replace(port, where) for word in own(check)]
            return (
                subprocess.run(
                    command, env=environment, capture_output=True, timeout=60, check=False
                ).returncode
                == 0
            )

        assert healthy(port)
        # With a DSN it asks the bridge; without one there is none to ask.
        assert healthy(str(free_port())) is not bool(dsn)
    finally:
        process.terminate()
        process.communicate(timeout=30)


def test_every_secret_that_a_file_names_is_given_to_the_service() -> None:
    alertmanager = (ROOT / "collector/alertmanager/alertmanager.yml").read_text(encoding="utf-8")
    assert set(re.findall(r"/run/secrets/(\w+)", alertmanager)) == set(SERVICES["alertmanager"]["secrets"])
    grafana = "".join(p.read_text("utf-8") for p in (ROOT / "collector/grafana/provisioning").rglob("*.yml"))
    assert set(re.findall(r"/run/secrets/(\w+)", grafana)) <= set(SERVICES["grafana"]["secrets"])
    for name, service in SERVICES.items():
        text = json.dumps({key: value for key, value in service.items() if key != "secrets"})
        assert set(re.findall(r"/run/secrets/(\w+)", text)) <= set(service.get("secrets", [])), name


def test_the_collector_gets_only_variables_that_its_configuration_reads() -> None:
    read = "".join(path.read_text("utf-8") for path in (ROOT / "collector").glob("otelcol*.yaml"))
    given = {name for name in SERVICES["otelcol"]["environment"] if name.startswith("ADA_")}
    assert [name for name in given if f"${{env:{name}" not in read] == []


def test_the_secrets_script_writes_every_secret_and_keeps_passwords(tmp_path: Path) -> None:
    (tmp_path / "docker").mkdir()
    shutil.copy(ROOT / "docker" / "secrets.sh", tmp_path / "docker")
    shutil.copy(ROOT / ".env.example", tmp_path)
    webhook = "https://hooks.slack.example/services/T0/B0/x"
    environment = {"PATH": os.environ["PATH"]}

    def run(**extra: str) -> str:
        command = ["sh", str(tmp_path / "docker" / "secrets.sh")]
        result = subprocess.run(
            command, env={**environment, **extra}, capture_output=True, text=True, timeout=60, check=True
        )
        return result.stdout

    first = run(SLACK_WEBHOOK_URL=webhook)
    secrets = {path.name: path.read_text(encoding="utf-8") for path in (tmp_path / "secrets").iterdir()}
    declared = {Path(secret["file"]).name for secret in COMPOSE["secrets"].values()}
    assert set(secrets) == declared
    assert secrets["slack_webhook_url.txt"] == webhook
    # The collector takes a file as it is: a line break would be part of the password.
    assert [name for name, text in secrets.items() if text != text.strip()] == []
    assert webhook not in first
    assert "PAGERDUTY_ROUTING_KEY is not set" in first
    assert stat.S_IMODE((tmp_path / "secrets").stat().st_mode) == 0o700
    passwords = {
        name: text
        for name, text in secrets.items()
        if name.endswith(("_password.txt", "_key.txt", "_token.txt"))
    }
    assert all(
        re.fullmatch(r"p[0-9a-f]{48}", text) for name, text in passwords.items() if "routing" not in name
    )

    password = tmp_path / "secrets" / "elastic_password.txt"
    password.write_text(password.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    (tmp_path / ".env").write_text('PAGERDUTY_ROUTING_KEY="R0"\n', encoding="utf-8")
    run()
    # A file of an earlier version, which wrote a line break, is put right and keeps its password.
    again = {path.name: path.read_text(encoding="utf-8") for path in (tmp_path / "secrets").iterdir()}
    assert again == {**secrets, "pagerduty_routing_key.txt": "R0"}
