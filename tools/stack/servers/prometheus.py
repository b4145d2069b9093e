"""Prometheus, with the OTLP receiver and exemplars switched on."""

# ruff: noqa: D102 - what each method is for is said once, in Server

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from tools.builds import go
from tools.builds.targets import PROMETHEUS
from tools.errors import ToolError
from tools.stack.ready import answers_ok
from tools.stack.server import Context, Server, configuration
from tools.versions import pinned

_SOURCE = configuration("prometheus")


class Prometheus(Server):
    """Prometheus, which takes metrics from the collector by OTLP."""

    name = "prometheus"

    def version(self) -> str:
        return pinned("prometheus")

    def ensure(self) -> None:
        go.build(PROMETHEUS)

    def prepare(self, context: Context) -> None:
        context.data(self.name).mkdir(parents=True, exist_ok=True)
        target = context.config(self.name)
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(_SOURCE, target)
        source = _SOURCE / "prometheus.yml"
        if not source.is_file():
            raise ToolError(f"{source} is missing: Prometheus has nothing to be started with")
        (target / "prometheus.yml").write_text(render(source.read_text(encoding="utf-8"), addresses(context)))

    def command(self, context: Context) -> list[str]:
        return [
            str(go.build(PROMETHEUS) / "prometheus"),
            f"--config.file={context.config(self.name) / 'prometheus.yml'}",
            f"--storage.tsdb.path={context.data(self.name)}",
            f"--web.listen-address={context.address('prometheus')}",
            "--web.enable-otlp-receiver",
            "--enable-feature=exemplar-storage",
        ]

    def is_ready(self, context: Context) -> bool:
        return answers_ok(f"{self.url(context)}/-/ready")

    def url(self, context: Context) -> str:
        return f"http://{context.address('prometheus')}"


def addresses(context: Context) -> dict[str, str]:
    """From the names of ``prometheus.yml``, which hold in Docker Compose, to the addresses of this stack."""
    return {
        "otelcol:8888": context.address("otelcol_metrics"),
        "prometheus:9090": context.address("prometheus"),
        "localhost:9090": context.address("prometheus"),
        "alertmanager:9093": context.address("alertmanager"),
        "elasticsearch:9200": context.address("elasticsearch"),
    }


def render(text: str, hosts: Mapping[str, str]) -> str:
    """``prometheus.yml`` with each target of ``hosts`` replaced; targets that are not in it stay as they are.

    Args:
        text: The file as it is for Docker Compose.
        hosts: The address for each ``host:port``.

    Raises:
        ToolError: The text is not YAML.
    """
    try:
        config = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ToolError(f"{_SOURCE / 'prometheus.yml'} is not YAML: {error}") from None
    _replace_targets(config, hosts)
    return yaml.safe_dump(config, sort_keys=False)


def _replace_targets(node: Any, hosts: Mapping[str, str]) -> None:
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "targets" and isinstance(value, list):
                node[key] = [hosts.get(target, target) for target in value]
            else:
                _replace_targets(value, hosts)
    elif isinstance(node, list):
        for item in node:
            _replace_targets(item, hosts)


def promtool() -> Path:
    """The built ``promtool``, for checks of rules and configuration."""
    return go.build(PROMETHEUS) / "promtool"
