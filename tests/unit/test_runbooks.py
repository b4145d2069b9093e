"""The commands of the runbooks, from where the person on call stands: the host of docker-compose.yml."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import flask
import pytest
import yaml
from werkzeug.serving import make_server

from ada_otel import settings
from ada_otel.web import health

ROOT = Path(__file__).resolve().parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
PROGRAMS = (
    "curl", "docker", "df", "du", "dmesg", "getent", "kill", "ls", "nc", "pgrep", "ps", "psql", "py-spy",
    "python", "redis-cli", "sudo",
)  # fmt: skip
#: What the images hold that a command may start in them. The collector's holds nothing but the collector.
IN_IMAGES = {"app": {"python", "getent"}, "postgres": {"psql"}, "redis": {"sh"}}


def _commands() -> Iterator[tuple[str, str]]:
    """The runbooks' shell commands, each with the name of its alert."""
    for path in sorted((ROOT / "collector" / "runbooks").glob("*.md")):
        text = path.read_text("utf-8")
        found = re.findall(r"^(?: {4}| {6})(\S.*)$", text, re.MULTILINE)
        found += re.findall(r"`([^`\n]+)`", re.sub(r"^ {4}.*$", "", text, flags=re.MULTILINE))
        yield from (
            (path.stem, command)
            for command in found
            if re.match(rf"(?:{'|'.join(PROGRAMS)})\b", command) and " " in command
        )


COMMANDS = list(_commands())


def _words(command: str) -> list[str]:
    return shlex.split(command)


def test_commands_are_found() -> None:
    programs = {_words(command)[0] for _, command in COMMANDS}
    assert {"curl", "docker", "sudo"} <= programs
    assert len(COMMANDS) >= 25


@pytest.mark.parametrize(("alert", "command"), COMMANDS)
def test_a_command_is_one_for_the_shell(alert: str, command: str) -> None:
    result = subprocess.run(["sh", "-n", "-c", command], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, ""), alert


@pytest.mark.parametrize(("alert", "command"), COMMANDS)
def test_a_command_reaches_what_it_asks(alert: str, command: str) -> None:
    words = _words(command)
    # Neither has a port on the host, and Redis wants its password.
    assert words[0] not in {"redis-cli", "psql", "nc", "getent", "python"}, alert
    for port in re.findall(r"http://127\.0\.0\.1:(\d+)", command):
        published = {entry.rpartition(":")[2] for one in SERVICES.values() for entry in one.get("ports", ())}
        assert port in published, alert
    for secret in re.findall(r"\bsecrets/(\w+)\.txt", command):
        assert secret in COMPOSE["secrets"], alert
    for volume in re.findall(rf"\b{COMPOSE['name']}_([\w-]+)", command):
        assert volume in COMPOSE["volumes"], alert
    if "127.0.0.1:9200" in command:
        assert "--user elastic" in command, alert
    if words[:2] == ["docker", "compose"]:
        named = [word for word in words[2:] if not word.startswith("-")]
        assert named[1] in SERVICES, alert
        if named[0] == "exec":
            assert named[2] in IN_IMAGES[named[1]], alert
        for secret in re.findall(r"/run/secrets/(\w+)", command):
            assert secret in SERVICES[named[1]]["secrets"], alert


@pytest.fixture
def through_a_port() -> Iterator[str]:
    """An app to which whoever asks is another machine, with the token that compose gives it; its address."""
    token = "p0123456789abcdef"
    health.stop()
    health.start(settings.load({"ADA_OTEL_HEALTH_TOKEN": token}))
    app = flask.Flask("ada")

    def outside(environ: dict[str, Any], start_response: Any) -> Any:
        return app({**environ, "REMOTE_ADDR": "172.18.0.1"}, start_response)

    server = make_server("127.0.0.1", 0, outside)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    health.stop()


def test_the_detail_of_health_is_shown_through_the_port_of_a_container(
    through_a_port: str, tmp_path: Path
) -> None:
    (command,) = [
        command for alert, command in COMMANDS if alert == "HealthCheckFailing" if "curl" in command
    ]
    given = SERVICES["app"]["environment"]["HEALTH_TOKEN_FILE"]
    secret = Path(given).name
    assert secret in SERVICES["app"]["secrets"]
    (tmp_path / "secrets").mkdir()
    file = tmp_path / COMPOSE["secrets"][secret]["file"].replace("${ADA_SECRETS_DIR:-./secrets}", "secrets")
    file.write_text("p0123456789abcdef", encoding="utf-8")

    def shown(text: str) -> dict[str, Any]:
        here = text.replace("127.0.0.1:8000", through_a_port)
        result = subprocess.run(
            ["sh", "-c", here], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True
        )
        found = json.loads(result.stdout)
        assert isinstance(found, dict)
        return found

    assert "host" in shown(command)["checks"]
    assert "checks" not in shown(re.sub(r' -H "[^"]*\)"', "", command))
    # What starts the app in its container reads that very file into the app's setting.
    said = subprocess.run(
        ["sh", str(ROOT / "docker" / "app-entrypoint.sh"), "env"],
        env={"PATH": os.environ["PATH"], "HEALTH_TOKEN_FILE": str(file)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert "ADA_OTEL_HEALTH_TOKEN=p0123456789abcdef" in said.stdout.splitlines()
