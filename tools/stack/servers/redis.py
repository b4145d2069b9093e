"""Redis, from the system's packages."""

# ruff: noqa: D102 - what each method is for is said once, in Server

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

from tools.errors import ToolError
from tools.stack.packages import missing_program
from tools.stack.ports import LOOPBACK
from tools.stack.ready import tcp_says
from tools.stack.server import Context, Server
from tools.versions import at_least, pinned


class Redis(Server):
    """A Redis that keeps nothing on disk."""

    name = "redis"

    def version(self) -> str:
        program = _program()
        if program is None:
            return f">= {pinned('redis')}"
        said = subprocess.run([str(program), "--version"], capture_output=True, text=True, check=False).stdout
        found = re.search(r"v=(\S+)", said)
        return found.group(1) if found else "unknown"

    def ensure(self) -> None:
        if _program() is None:
            raise missing_program("Redis", "redis")
        if not at_least(self.version(), pinned("redis")):
            raise ToolError(f"Redis {self.version()} is too old: {pinned('redis')} or newer is needed")

    def prepare(self, context: Context) -> None:
        context.data(self.name).mkdir(parents=True, exist_ok=True)

    def command(self, context: Context) -> list[str]:
        program = _program()
        if program is None:
            raise missing_program("Redis", "redis")
        port = str(context.ports["redis"])
        return [str(program), "--bind", LOOPBACK, "--port", port, "--save", "", "--appendonly", "no"]

    def is_ready(self, context: Context) -> bool:
        return tcp_says(context.ports["redis"], b"PING\r\n", b"+PONG")

    def url(self, context: Context) -> str:
        return f"redis://{context.address('redis')}/0"


def _program() -> Path | None:
    found = shutil.which("redis-server")
    return Path(found) if found else None
