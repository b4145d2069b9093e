"""The command ``ada-otel sentry-bridge``."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ada_otel.sentry_bridge.server import Bridge

NAME = "sentry-bridge"
_STOP_SECONDS = 15.0
_LEVELS = {"trace": 1, "debug": 5, "info": 9, "warn": 13, "error": 17, "fatal": 21}
_VARIABLES = {
    "host": "ADA_SENTRY_BRIDGE_HOST",
    "port": "ADA_SENTRY_BRIDGE_PORT",
    "timeout": "ADA_SENTRY_BRIDGE_TIMEOUT",
    "level": "ADA_SENTRY_BRIDGE_LEVEL",
    "in-app": "ADA_SENTRY_BRIDGE_IN_APP",
}

_EPILOG = """environment variables:
  SENTRY_DSN                 the project that gets the Issues, https://PUBLIC_KEY@HOST/PROJECT_ID (needed)
  ADA_SENTRY_BRIDGE_HOST     --host
  ADA_SENTRY_BRIDGE_PORT     --port
  ADA_SENTRY_BRIDGE_TIMEOUT  --timeout
  ADA_SENTRY_BRIDGE_LEVEL    --level
  ADA_SENTRY_BRIDGE_IN_APP   --in-app, separated by commas
  HTTPS_PROXY, NO_PROXY      the proxy on the way to Sentry
"""


def add_parser(subparsers: Any) -> None:
    """Add the command's parser."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        NAME,
        help="take OTLP log records from the collector, and make Sentry Issues of the errors among them",
        description="Takes OTLP log records from the collector, and sends each with an exception\n"
        "to Sentry as an event, so that it becomes an Issue. It answers the collector only after Sentry\n"
        "took it.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--host", help="address to listen on (default: 127.0.0.1)")
    parser.add_argument("--port", help="port to listen on (default: 4390)")
    parser.add_argument("--timeout", help="seconds for connecting to Sentry, and for each read (default: 10)")
    parser.add_argument(
        "--level",
        help=f"lowest level of an exception that is sent: {', '.join(_LEVELS)} (default: trace, all)",
    )
    parser.add_argument(
        "--in-app",
        action="append",
        metavar="MODULE",
        help="a module that is the app's own although it is installed as a package; may be given again",
    )
    parser.add_argument(
        "--no-source", action="store_true", help="do not read lines of source from files on this machine"
    )


def run(args: argparse.Namespace, environ: Mapping[str, str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT.

    Returns:
        0 after a signal; 2 for a setting that cannot be used.
    """
    try:
        bridge, name = _bridge(args, os.environ if environ is None else environ)
    except ValueError as error:
        sys.stderr.write(f"ada-otel {NAME}: {error}\n")
        return 2

    def stop(_signal: int, _frame: Any) -> None:
        # shutdown() waits for the loop that this handler interrupts.
        threading.Thread(target=bridge.shutdown, daemon=True).start()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    logger = logging.getLogger("ada_otel.sentry_bridge")
    logger.info("listening on %s, for %s", bridge.url, name)
    bridge.serve_forever(poll_interval=0.2)
    bridge.server_close()
    if not bridge.wait_until_idle(_STOP_SECONDS):
        logger.warning("stopped with a request under way; the collector has it still")
    return 0


def _bridge(args: argparse.Namespace, environ: Mapping[str, str]) -> tuple[Bridge, str]:
    """A bridge that listens, by all settings, and the name of where it sends to."""
    from ada_otel.sentry_bridge.destination import Destination
    from ada_otel.sentry_bridge.events import EventSettings
    from ada_otel.sentry_bridge.sender import Sender
    from ada_otel.sentry_bridge.server import Bridge

    dsn = environ.get("SENTRY_DSN", "")
    if not dsn.strip():
        raise ValueError("SENTRY_DSN is not set. Give the project's DSN: https://PUBLIC_KEY@HOST/PROJECT_ID")
    destination = Destination.from_dsn(dsn)
    host = _text(args.host, environ, "host", "127.0.0.1")
    port = _number(args.port, environ, "port", "4390", 0, 65535)
    timeout = _number(args.timeout, environ, "timeout", "10", 1, 30)
    level = _text(args.level, environ, "level", "trace").lower()
    if level not in _LEVELS:
        raise ValueError(_wrong("level", level, f"one of {', '.join(_LEVELS)}"))
    modules = args.in_app or environ.get(_VARIABLES["in-app"], "").split(",")
    settings = EventSettings(
        in_app=tuple(name.strip() for name in modules if name.strip()),
        source=not args.no_source,
        level=_LEVELS[level],
    )
    try:
        bridge = Bridge((host, int(port)), Sender(destination, timeout=timeout), settings)
    except OSError as error:
        raise ValueError(
            f"cannot listen on {host}:{int(port)}: {error.strerror or error}. "
            f"Choose another --host ({_VARIABLES['host']}) or --port ({_VARIABLES['port']})"
        ) from None
    return bridge, destination.name


def _text(argument: str | None, environ: Mapping[str, str], name: str, default: str) -> str:
    return (argument or environ.get(_VARIABLES[name], "") or default).strip()


def _number(
    argument: str | None, environ: Mapping[str, str], name: str, default: str, low: float, high: float
) -> float:
    text = _text(argument, environ, name, default)
    try:
        number = float(text) if name == "timeout" else int(text)
    except ValueError:
        number = low - 1
    if not low <= number <= high:
        kind = "a number of seconds" if name == "timeout" else "a whole number"
        raise ValueError(_wrong(name, text, f"{kind} from {low} to {high}"))
    return number


def _wrong(name: str, text: str, right: str) -> str:
    return f"--{name} ({_VARIABLES[name]}) is {text!r}; it must be {right}"
