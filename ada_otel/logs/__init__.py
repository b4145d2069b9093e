"""Logs: from a line of code to an OTLP log record, a line of the log file, and the console.

The launcher and :func:`ada_otel.setup` switch on what the settings say. :func:`configure` is for an app that
wants more from its code; :mod:`ada_otel.logs.processors` is for one with a structlog chain of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ada_otel import settings as _settings
from ada_otel._diagnostics import contained
from ada_otel.logs._json import JSONFormatter
from ada_otel.logs._logger import get_logger
from ada_otel.settings import _parsers

if TYPE_CHECKING:
    from ada_otel.settings import Settings

__all__ = ["JSONFormatter", "configure", "get_logger", "start"]

ConsoleStyle = Literal["auto", "pretty", "json", "off"]


@dataclass
class _Chosen:
    """What the app asked for in code; it wins over the settings."""

    asked: bool = False
    level: str | None = None
    console: str | None = None
    file: str | None = None


_chosen = _Chosen()


def configure(
    *,
    level: str | None = None,
    console: ConsoleStyle | bool | None = None,
    file: str | Path | bool | None = None,
) -> None:
    """Take up what the app logs, through ``logging`` and structlog alike. May be called again.

    What is not given is as before, or as the settings say. Never raises.

    Args:
        level: The lowest level; ``ADA_OTEL_LOG_LEVEL``.
        console: Whether and how lines are printed to standard error; ``ADA_OTEL_LOG_CONSOLE``. ``True`` is
            ``auto``: readable in a terminal, JSON elsewhere, and only lines for which the app has no handler.
        file: Whether lines are written to a file of JSON lines, or to which; ``ADA_OTEL_LOG_FILE``. ``True``
            is ``logs/ada_app.log``.
    """
    with contained("ada_otel.logs.configure"):
        _chosen.asked = True
        if level is not None:
            _chosen.level = _parsers.level(level)
        if console is not None:
            style = ("auto" if console else "off") if isinstance(console, bool) else console
            _chosen.console = _parsers.choice("auto", "pretty", "json", "off")(style)
        if file is not None:
            _chosen.file = _parsers.log_file(str(file))
        _apply(_settings.load())
        start_structlog()


def start(settings: Settings) -> None:
    """Switch on what the settings say, but for structlog."""
    _apply(settings)


def start_structlog() -> None:
    """Take up structlog's lines, from now or from when structlog is imported."""
    from ada_otel.logs import _structlog
    from ada_otel.logs._hub import hub

    if not hub.idle:
        _structlog.watch()


def stop() -> None:
    """Undo all of it; for tests."""
    from ada_otel.logs import _structlog, bridge
    from ada_otel.logs._hub import hub

    bridge.uninstall()
    _structlog.release()
    if hub.file is not None:
        hub.file.close()
    hub.__init__()  # type: ignore[misc]  # other modules hold this very object
    _chosen.__init__()  # type: ignore[misc]


def _apply(settings: Settings) -> None:
    from ada_otel.logs import bridge
    from ada_otel.logs._console import Console
    from ada_otel.logs._hub import hub
    from ada_otel.logs._metrics import Counts
    from ada_otel.logs._otlp import OTLPSink

    style = _chosen.console or settings.log_console
    # Left at its default, the console is for apps that ask for it in code: others print what they always did.
    shown = style != "off" and (style != "auto" or _chosen.asked)
    hub.console = Console(style) if shown else None
    hub.console_defers = style == "auto"
    path = settings.log_file if _chosen.file is None else _chosen.file
    _use_file(path, settings)
    # Made anew each time: a provider may have come meanwhile.
    hub.otlp = OTLPSink() if settings.logs else None
    hub.counts = Counts() if settings.logs else None
    if not hub.idle:
        bridge.install(_chosen.level or settings.log_level)


def _use_file(path: str, settings: Settings) -> None:
    from ada_otel.logs._file import RotatingFile
    from ada_otel.logs._hub import hub

    if hub.file is not None:
        if path and hub.file.path == Path(path).absolute():
            return
        hub.file.close()
    hub.file = (
        RotatingFile(Path(path), settings.log_file_max_bytes, settings.log_file_backups) if path else None
    )
