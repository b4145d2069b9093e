"""Alertmanager, with its secrets as files in the stack's folder."""

# ruff: noqa: D102 - what each method is for is said once, in Server

from __future__ import annotations

import shutil
from pathlib import Path

from tools.builds import go
from tools.builds.targets import ALERTMANAGER
from tools.errors import ToolError
from tools.stack.ready import answers_ok
from tools.stack.server import Context, Server, configuration
from tools.versions import pinned

_SOURCE = configuration("alertmanager")
#: Where containers find their secrets; the rendered copy names the stack's folder in its place.
_CONTAINER_SECRETS = "/run/secrets/"


class Alertmanager(Server):
    """Alertmanager. A secret that is missing fails the notification that needs it, and nothing else."""

    name = "alertmanager"

    def version(self) -> str:
        return pinned("alertmanager")

    def ensure(self) -> None:
        go.build(ALERTMANAGER)

    def prepare(self, context: Context) -> None:
        context.data(self.name).mkdir(parents=True, exist_ok=True)
        target = context.config(self.name)
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(_SOURCE, target)
        source = _SOURCE / "alertmanager.yml"
        if not source.is_file():
            raise ToolError(f"{source} is missing: Alertmanager has nothing to be started with")
        text = render(source.read_text(encoding="utf-8"), secrets_folder(context.state_dir))
        (target / "alertmanager.yml").write_text(text, encoding="utf-8")

    def command(self, context: Context) -> list[str]:
        return [
            str(go.build(ALERTMANAGER) / "alertmanager"),
            f"--config.file={context.config(self.name) / 'alertmanager.yml'}",
            f"--storage.path={context.data(self.name)}",
            f"--web.listen-address={context.address('alertmanager')}",
            "--cluster.listen-address=",  # one instance has no peers to gossip with
        ]

    def is_ready(self, context: Context) -> bool:
        return answers_ok(f"{self.url(context)}/-/ready")

    def url(self, context: Context) -> str:
        return f"http://{context.address('alertmanager')}"


def secrets_folder(state_dir: Path) -> Path:
    """Where the stack keeps secrets, one file each."""
    return state_dir / "secrets"


def render(text: str, secrets: Path) -> str:
    """``alertmanager.yml`` with its secret files in folder ``secrets``."""
    return text.replace(_CONTAINER_SECRETS, f"{secrets}/")


def amtool() -> Path:
    """The built ``amtool``, for checks of the configuration and its routes."""
    return go.build(ALERTMANAGER) / "amtool"
