"""collector/kubernetes/: by the schema of Kubernetes, and with the configuration that everything else uses.

No cluster runs here: the manifests were checked, not applied. What the kustomization makes of them is in
tests/integration/test_kustomization.py.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from tools.versions import pinned

COLLECTOR = Path(__file__).resolve().parents[2] / "collector"
FOLDER = COLLECTOR / "kubernetes"
COMPONENTS = sorted(FOLDER.glob("*/kustomization.yaml"))
MANIFESTS = sorted(path for path in FOLDER.rglob("*.yaml") if path not in COMPONENTS)
KUSTOMIZATION = yaml.safe_load((COLLECTOR / "kustomization.yaml").read_text("utf-8"))


def _objects() -> list[dict[str, Any]]:
    return [found for path in MANIFESTS for found in yaml.safe_load_all(path.read_text("utf-8"))]


def _containers() -> list[tuple[str, dict[str, Any]]]:
    return [
        (found["metadata"]["name"], container)
        for found in _objects()
        if found["kind"] in {"StatefulSet", "Deployment"}
        for container in found["spec"]["template"]["spec"]["containers"]
    ]


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.name)
def test_manifests_fit_the_schema_strictly(path: Path) -> None:
    for found in yaml.safe_load_all(path.read_text("utf-8")):
        kubernetes_validate.validate(found, kubernetes_validate.latest_version(), strict=True)


def test_the_schema_check_can_fail() -> None:
    found = yaml.safe_load((COLLECTOR / "kubernetes" / "namespace.yaml").read_text("utf-8"))
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(
            {**found, "specs": {}}, kubernetes_validate.latest_version(), strict=True
        )


def test_the_kustomization_names_every_manifest_and_every_rule_file() -> None:
    named = {COLLECTOR / name for name in KUSTOMIZATION["resources"]}
    components = [COLLECTOR / name for name in KUSTOMIZATION["components"]]
    assert sorted(folder / "kustomization.yaml" for folder in components) == COMPONENTS
    for folder in components:
        component = yaml.safe_load((folder / "kustomization.yaml").read_text("utf-8"))
        assert component["kind"] == "Component", folder
        named |= {folder / name for name in component.get("resources", [])}
    assert named == set(MANIFESTS)
    maps = {row["name"]: set(row["files"]) for row in KUSTOMIZATION["configMapGenerator"]}
    for files in maps.values():
        for name in files:
            assert (COLLECTOR / name).is_file(), name
    rules = {f"prometheus/rules/{path.name}" for path in (COLLECTOR / "prometheus" / "rules").glob("*.yml")}
    assert maps["prometheus-rules"] == rules


def test_what_is_mounted_is_there() -> None:
    maps = {row["name"] for row in KUSTOMIZATION["configMapGenerator"]}
    for found in _objects():
        if found["kind"] not in {"StatefulSet", "Deployment"}:
            continue
        spec = found["spec"]["template"]["spec"]
        volumes = {volume["name"]: volume for volume in spec.get("volumes", [])}
        claims = {claim["metadata"]["name"] for claim in found["spec"].get("volumeClaimTemplates", [])}
        for container in spec["containers"]:
            mounted = {mount["name"] for mount in container.get("volumeMounts", [])}
            assert mounted == set(volumes) | claims, found["metadata"]["name"]
        assert {volume["configMap"]["name"] for volume in volumes.values() if "configMap" in volume} <= maps


def test_versions_are_those_of_the_stack() -> None:
    images = {name: container["image"].rpartition(":")[2].lstrip("v") for name, container in _containers()}
    for name in ("otelcol", "prometheus", "alertmanager"):
        assert images[name] == pinned(name).lstrip("v"), name


def test_no_container_runs_as_root_or_writes_to_its_image() -> None:
    for name, container in _containers():
        context = container["securityContext"]
        assert context["runAsNonRoot"], name
        assert context["readOnlyRootFilesystem"], name
        assert not context["allowPrivilegeEscalation"], name
        assert container["resources"]["limits"]["memory"], name


def test_the_collector_is_given_only_variables_that_its_configuration_reads() -> None:
    overlays = {"redis": ["otelcol.redis.yaml"], "sentry": ["otelcol.sentry.yaml", "otelcol.issues.yaml"]}
    (container,) = [found for name, found in _containers() if name == "otelcol"]
    base = {row["name"] for row in container["env"] if row["name"].startswith("ADA_")}
    assert base <= _read(["otelcol.yaml"])
    assert {path.parent.name for path in COMPONENTS} == set(overlays)
    for name, files in overlays.items():
        text = (FOLDER / name / "kustomization.yaml").read_text("utf-8")
        assert re.findall(r"--config=/etc/otelcol/(\S+)", text) == files
        given = set(re.findall(r"name: (ADA_\w+)", text))
        assert given
        assert given <= _read(files), name


def _read(files: list[str]) -> set[str]:
    text = "".join((COLLECTOR / name).read_text("utf-8") for name in files)
    return set(re.findall(r"\$\{env:(ADA_\w+)", text))
