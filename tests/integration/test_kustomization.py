"""collector/kustomization.yaml, as `kubectl apply -k` reads it, fits the schema and a collector runs on it.

No cluster runs here: the objects were built and checked, not applied.
"""

from __future__ import annotations

import shutil
import socketserver
import subprocess
import sys
import threading
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from tests.support.back_ends import BackEnds
from tests.support.collector import Collector, eventually
from tests.support.otlp_sender import post, record
from tests.support.process import clean_environment
from tests.support.servers import or_skip
from tools.builds.go import build
from tools.builds.targets import KUSTOMIZE, OTELCOL
from tools.paths import COLLECTOR

pytestmark = pytest.mark.integration

CONFIGS = "/etc/otelcol/"
REDIS = "otelcol.redis.yaml"
SENTRY = ("otelcol.sentry.yaml", "otelcol.issues.yaml")


@pytest.fixture(scope="module")
def kustomize() -> Path:
    return or_skip(lambda: build(KUSTOMIZE)) / "kustomize"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The folder collector/, to change something in."""
    skipped = shutil.ignore_patterns("distribution", "runbooks", "grafana")
    return Path(shutil.copytree(COLLECTOR, tmp_path / "collector", ignore=skipped))


def _run(kustomize: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(kustomize), str(folder)], env={}, capture_output=True, text=True, timeout=60, check=False
    )


def _built(kustomize: Path, folder: Path = COLLECTOR) -> list[dict[str, Any]]:
    result = _run(kustomize, folder)
    assert (result.returncode, result.stderr) == (0, "")
    return list(yaml.safe_load_all(result.stdout))


def _named(objects: list[dict[str, Any]], kind: str, name: str) -> dict[str, Any]:
    """The object of this name; what a generator made has a hash of its content behind it."""
    (found,) = [
        one
        for one in objects
        if one["kind"] == kind and (one["metadata"]["name"] + "-").startswith(f"{name}-")
        and len(one["metadata"]["name"]) in {len(name), len(name) + 11}
    ]  # fmt: skip
    return found


def _pod(objects: list[dict[str, Any]]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The collector's pod, and its container."""
    pod: dict[str, Any] = _named(objects, "StatefulSet", "otelcol")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    return pod, container


def _configs(container: dict[str, Any]) -> list[str]:
    return [word.removeprefix(f"--config={CONFIGS}") for word in container["args"]]


def test_every_object_fits_the_schema_strictly(kustomize: Path) -> None:
    objects = _built(kustomize)
    kinds = {one["kind"] for one in objects}
    assert kinds == {"Namespace", "Service", "StatefulSet", "Deployment", "ConfigMap", "NetworkPolicy"}
    for one in objects:
        kubernetes_validate.validate(one, kubernetes_validate.latest_version(), strict=True)
        assert one["kind"] == "Namespace" or one["metadata"]["namespace"] == "ada-telemetry"


def test_what_runs_before_the_collector_is_as_hardened_as_it_is(kustomize: Path) -> None:
    pod, container = _pod(_built(kustomize))
    (init,) = pod["initContainers"]
    assert init["securityContext"] == container["securityContext"]
    assert init["resources"]["limits"].keys() == {"cpu", "memory"}


def test_the_config_maps_hold_the_files_that_everything_else_uses(kustomize: Path) -> None:
    objects = _built(kustomize)
    for row in yaml.safe_load((COLLECTOR / "kustomization.yaml").read_text("utf-8"))["configMapGenerator"]:
        found = _named(objects, "ConfigMap", row["name"])
        assert found["data"] == {
            Path(name).name: (COLLECTOR / name).read_text("utf-8") for name in row["files"]
        }
    maps = {one["metadata"]["name"] for one in objects if one["kind"] == "ConfigMap"}
    mounted = {
        volume["configMap"]["name"]
        for one in objects
        if one["kind"] in {"StatefulSet", "Deployment"}
        for volume in one["spec"]["template"]["spec"].get("volumes", [])
        if "configMap" in volume
    }
    assert mounted == maps


@contextmanager
def _redis() -> Iterator[tuple[str, bytearray]]:
    """A port that keeps what it is told, and hangs up."""
    heard = bytearray()

    class Take(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            heard.extend(self.request.recv(4096))

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Take) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_address[1]}", heard
        server.shutdown()


def test_the_collector_runs_on_it_and_logs_in_everywhere(kustomize: Path, tmp_path: Path) -> None:
    """The very arguments, variables and files of its pod; what they point at is in a folder of the test."""
    program = or_skip(lambda: build(OTELCOL)) / "otelcol"
    objects = _built(kustomize)
    pod, container = _pod(objects)
    assert _configs(container) == ["otelcol.yaml", REDIS, *SENTRY]
    folder = {
        name: tmp_path / name.strip("/").replace("/", "-")
        for name in (CONFIGS, "/run/secrets", "/run/sentry")
    }
    for place in folder.values():
        place.mkdir()
    for name, text in _named(objects, "ConfigMap", "otelcol")["data"].items():
        (folder[CONFIGS] / name).write_text(text, encoding="utf-8")
    (secrets,) = [volume["secret"] for volume in pod["volumes"] if "secret" in volume]
    for item in secrets["items"]:
        (folder["/run/secrets"] / item["path"]).write_text(f"the-{item['key']}", encoding="utf-8")

    def here(text: str) -> str:
        for name, place in folder.items():
            text = text.replace(name.rstrip("/"), str(place))
        return text

    BackEnds.asked.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), BackEnds) as server, _redis() as (redis, heard):
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        (init,) = pod["initContainers"]
        assert [*init["command"]] == ["python"]
        subprocess.run(
            [sys.executable, *map(here, init["args"])],
            env=clean_environment({"SENTRY_DSN": address.replace("//", "//a-key@") + "/42"}),
            timeout=60,
            check=True,
        )
        given = {row["name"]: here(row["value"]) for row in container["env"] if "value" in row}
        for name in ("ELASTICSEARCH", "PROMETHEUS_OTLP", "SENTRY_BRIDGE"):
            given[f"ADA_{name}_ENDPOINT"] = address
        given["ADA_REDIS_ENDPOINT"] = redis
        # Its own addresses are the test's, on free ports.
        own = {"ADA_OTLP_GRPC_ENDPOINT", "ADA_OTLP_HTTP_ENDPOINT", "ADA_HEALTH_ENDPOINT", "ADA_QUEUE_DIR"}
        variables = {
            name: value for name, value in given.items() if name not in {*own, "ADA_SELF_METRICS_HOST"}
        }
        configs = tuple(Path(here(word.partition("=")[2])) for word in container["args"])
        with Collector(program, tmp_path, variables, configs) as collector:
            post(collector.http, "logs", [record("tea is ready")], {"service.name": "shop"})
            wanted = {"/_bulk", "/api/42/integration/otlp/v1/logs", "/v1/logs"}
            eventually("all have been asked", lambda: wanted <= set(BackEnds.asked))
            eventually("Redis has been asked", lambda: b"the-redis_password" in heard)
        server.shutdown()
    login = b64encode(b"elastic:the-elastic_password").decode()
    assert BackEnds.asked["/_bulk"]["Authorization"] == f"Basic {login}"
    assert BackEnds.asked["/api/42/integration/otlp/v1/logs"]["x-sentry-auth"] == "sentry sentry_key=a-key"


@pytest.mark.parametrize("component", ["redis", "sentry"])
def test_without_a_component_nothing_of_it_is_left(kustomize: Path, copy: Path, component: str) -> None:
    path = copy / "kustomization.yaml"
    line = f"  - kubernetes/{component}\n"
    assert path.read_text("utf-8").count(line) == 1
    path.write_text(path.read_text("utf-8").replace(line, ""), encoding="utf-8")
    objects = _built(kustomize, copy)
    pod, container = _pod(objects)
    assert _configs(container) == ["otelcol.yaml", *(SENTRY if component == "redis" else (REDIS,))]
    text = yaml.safe_dump([pod, [one for one in objects if one["kind"] == "Deployment"]])
    assert component not in text
    assert {"redis": "sentry", "sentry": "redis"}[component] in text


def test_a_mistake_is_refused_and_named(kustomize: Path, copy: Path) -> None:
    path = copy / "kubernetes" / "redis" / "kustomization.yaml"
    text = path.read_text("utf-8")
    path.write_text(text.replace("name: otelcol", "name: otelcoll"), encoding="utf-8")
    # A patch whose target is not there changes nothing: that is what the tests above find out.
    assert REDIS not in _configs(_pod(_built(kustomize, copy))[1])
    path.write_text(text.replace("volumes/1/secret", "volumes/7/secret"), encoding="utf-8")
    result = _run(kustomize, copy)
    assert result.returncode == 1
    assert "/spec/template/spec/volumes/7/secret" in result.stderr, result.stderr
    path.write_text(text, encoding="utf-8")
    (copy / REDIS).rename(copy / "elsewhere.yaml")
    result = _run(kustomize, copy)
    assert (result.returncode, REDIS in result.stderr) == (1, True)
