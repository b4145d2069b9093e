"""What one stack is made of, as given by its caller and kept for later commands in ``stack.json``."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tools.errors import ToolError
from tools.stack.process import ProcessId

STATE_FILE = "stack.json"


@dataclass
class StackState:
    """The state of one stack.

    Attributes:
        ports: Each port by its name in :data:`tools.stack.ports.ALL_PORTS`.
        servers: The servers that belong to it, in the order in which they are started.
        otelcol_configs: The collector's configuration files, in place of those in ``collector/``.
        otelcol_overlays: Configuration files that come after those.
        env: Environment variables of every server, over those that the stack sets.
        processes: The process of each server that was started and not yet stopped.
    """

    ports: dict[str, int]
    servers: list[str]
    otelcol_configs: list[str] = field(default_factory=list)
    otelcol_overlays: list[str] = field(default_factory=list)
    env: dict[str, str] = field(default_factory=dict)
    processes: dict[str, ProcessId] = field(default_factory=dict)


def save(state: StackState, folder: Path) -> None:
    """Write ``stack.json``, whole or not at all, readable by its owner only: ``env`` may hold secrets."""
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f".{STATE_FILE}.{os.getpid()}"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(asdict(state), file, indent=2)
    temporary.replace(folder / STATE_FILE)


def load(folder: Path) -> StackState | None:
    """Read ``stack.json``; ``None`` when no stack was ever started there.

    Raises:
        ToolError: The file is damaged.
    """
    file = folder / STATE_FILE
    try:
        read: Mapping[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        processes = {name: ProcessId(**process) for name, process in read["processes"].items()}
        return StackState(**{**read, "processes": processes})
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ToolError(
            f"{file} cannot be read ({error}).\n"
            "    End the servers that it names by hand, delete it, and start the stack again."
        ) from None
