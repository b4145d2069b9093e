"""Every file that has to repeat a version says what ``tools/versions.yaml`` says."""

from __future__ import annotations

import re

import yaml

from tools.builds.elasticsearch_node import SOURCES
from tools.builds.go import GoBuild
from tools.builds.targets import ALERTMANAGER, COMPOSE, GO_BUILDS, KUSTOMIZE, OTELCOL, PROMETHEUS
from tools.versions import at_least, pinned


def required(target: GoBuild, module: str) -> str:
    found = re.search(rf"{re.escape(module)} v(\S+)", (target.module / "go.mod").read_text())
    assert found is not None, module
    return found.group(1)


def test_collector_manifest_and_generated_code() -> None:
    manifest = yaml.safe_load((OTELCOL.module / "builder.yaml").read_text())
    assert manifest["dist"]["version"] == pinned("otelcol")
    assert f'"{pinned("otelcol")}"' in (OTELCOL.module / "main.go").read_text()
    assert required(OTELCOL, "go.opentelemetry.io/collector/otelcol") == pinned("otelcol")


def test_every_component_of_the_manifest_is_in_the_generated_module() -> None:
    manifest = yaml.safe_load((OTELCOL.module / "builder.yaml").read_text())
    components = (OTELCOL.module / "components.go").read_text()
    modules = [
        component["gomod"].split()
        for kind in ("receivers", "processors", "connectors", "exporters", "extensions")
        for component in manifest[kind]
    ]
    assert len(modules) > 20
    for name, version in modules:
        assert f'"{name}"' in components
        assert f"v{required(OTELCOL, name)}" == version


def test_prometheus_and_alertmanager() -> None:
    # Prometheus 3.16.0 is the Go module v0.316.0.
    major, minor, patch = pinned("prometheus").split(".")
    as_module = f"0.{major}{int(minor):02}.{patch}"
    assert required(PROMETHEUS, "github.com/prometheus/prometheus") == as_module
    assert required(ALERTMANAGER, "github.com/prometheus/alertmanager") == pinned("alertmanager")


def test_the_loader_of_compose() -> None:
    assert required(COMPOSE, "github.com/compose-spec/compose-go/v2") == pinned("compose_go")


def test_the_engine_of_kustomize() -> None:
    assert required(KUSTOMIZE, "sigs.k8s.io/kustomize/api") == pinned("kustomize")


def test_elasticsearch_version_is_given_on_the_command_line() -> None:
    assert (SOURCES / "pom.xml").read_text().count("${elasticsearch.version}") == 2
    assert pinned("elasticsearch") not in (SOURCES / "pom.xml").read_text()


def test_the_go_that_is_installed_is_new_enough_for_each_module() -> None:
    assert at_least(pinned("go", "package"), pinned("go", "minimum"))
    for target in GO_BUILDS:
        directive = re.search(r"^go (\S+)$", (target.module / "go.mod").read_text(), re.MULTILINE)
        assert directive is not None
        assert at_least(pinned("go", "minimum"), directive.group(1))
