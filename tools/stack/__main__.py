"""The command line of the native stack: ``python -m tools.stack up|status|down|logs|ensure|install|env``."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from collections.abc import Mapping, Sequence

from tools import paths
from tools.errors import ToolError
from tools.progress import say
from tools.stack.packages import PACKAGES, install
from tools.stack.ports import ALL_PORTS, chosen_ports, free_ports, variable
from tools.stack.servers import KNOWN, OPTIONAL, SERVERS
from tools.stack.stack import ServerStatus, Stack
from tools.stack.starting import missing

#: The environment variables of Alertmanager's secrets, and the names of the files that they become.
_SECRETS = {
    "SLACK_WEBHOOK_URL": "slack_webhook_url",
    "PAGERDUTY_ROUTING_KEY": "pagerduty_routing_key",
    "DEADMANSSWITCH_URL": "deadmansswitch_url",
}
#: Variables of these tools themselves, which are not for the servers.
_OWN_VARIABLES = ("ADA_STACK_", "ADA_OTEL_")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Returns:
        0; 1 when something went wrong; for ``status``, 3 when not all servers are ready.
    """
    options = _parser().parse_args(arguments)
    try:
        return int(_COMMANDS[options.command](options))
    except ToolError as error:
        say(f"ada-otel: {error}")
        return 1
    except KeyboardInterrupt:
        say("ada-otel: interrupted")
        return 130


def _parser() -> argparse.ArgumentParser:
    ports = "\n".join(
        f"  {variable(name):34} {port.default:6}  {port.server}: {port.purpose}"
        for name, port in ALL_PORTS.items()
    )
    parser = argparse.ArgumentParser(
        prog="python -m tools.stack",
        description="Real servers on this machine, without Docker.",
        epilog="environment variables:\n"
        "  ADA_OTEL_STATE    folder of logs, data and settings (default: .stack in the work tree)\n"
        "  ADA_OTEL_CACHE    folder of built servers (default: ~/.cache/ada-otel)\n"
        "  ES_JAVA_HOME      the JDK for Elasticsearch\n"
        "  SENTRY_DSN        send to this Sentry in place of the sink\n"
        f"  {', '.join(_SECRETS)}    Alertmanager's secrets\n\nports:\n{ports}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True)
    up = commands.add_parser("up", help="start the servers and wait until they answer")
    up.add_argument(
        "--free-ports", action="store_true", help="take ports that are free now, in place of the usual ones"
    )
    up.add_argument("--keep-going", action="store_true", help="start what can be started")
    up.add_argument(
        "--config", action="append", default=[], help="the collector's configuration, in place of ours"
    )
    up.add_argument("--overlay", action="append", default=[], help="configuration that comes after it")
    commands.add_parser("status", help="what runs, and where").add_argument("--json", action="store_true")
    down = commands.add_parser("down", help="stop the servers")
    down.add_argument("--purge", action="store_true", help="delete their data too")
    logs = commands.add_parser("logs", help="the end of each log")
    logs.add_argument("--lines", type=int, default=20)
    commands.add_parser("ensure", help="build or find all servers, as root also install them, and start none")
    commands.add_parser("install", help="install Redis and PostgreSQL with apt-get (as root)")
    commands.add_parser("env", help="print the variables of an app that uses the stack, for `eval`")
    for name in ("up", "ensure", "logs"):
        commands.choices[name].add_argument(
            "servers", nargs="*", help=f"of: {', '.join(KNOWN)} (default: all but {', '.join(OPTIONAL)})"
        )
    return parser


def _up(options: argparse.Namespace) -> int:
    running = Stack.load()
    asked = options.servers or list(SERVERS)
    already = [name for name in running.servers if running.pid(name)] if running is not None else []
    if running is not None and already:
        # Its servers know each other by these.
        ports = running.ports
    else:
        ports = free_ports(optional=True) if options.free_ports else chosen_ports()
    added, replaced = _sentry(os.environ)
    stack = Stack(
        ports=ports,
        servers=[name for name in {*asked, *already} if name not in replaced],
        otelcol_configs=options.config,
        otelcol_overlays=options.overlay,
        env={**_for_collector(os.environ), **added},
        secrets={file: os.environ[name] for name, file in _SECRETS.items() if os.environ.get(name)},
    )
    failures = stack.up(keep_going=options.keep_going)
    _print_table(stack.status())
    for name, failure in failures.items():
        say(f"ada-otel: {name}: {failure}")
    return 1 if failures else 0


def _status(options: argparse.Namespace) -> int:
    stack = Stack.load()
    if stack is None:
        say(f"no stack was started in {paths.state_folder()}")
        return 3
    rows = stack.status()
    if options.json:
        print(json.dumps([{**vars(row), "log": str(row.log)} for row in rows], indent=2))
    else:
        _print_table(rows)
    return 0 if all(row.state == "ready" for row in rows) else 3


def _down(options: argparse.Namespace) -> int:
    stack = Stack.load()
    if stack is None:
        say(f"no stack was started in {paths.state_folder()}")
        return 0
    for name, outcome in stack.down(purge=options.purge).items():
        say(f"   {name}: {outcome}")
    return 0


def _logs(options: argparse.Namespace) -> int:
    stack = Stack.load()
    if stack is None:
        say(f"no stack was started in {paths.state_folder()}")
        return 3
    for name in options.servers or stack.servers:
        log = stack.log(name)
        print(f"== {log}")
        if log.is_file():
            print("\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-options.lines :]))
    return 0


def _ensure(options: argparse.Namespace) -> int:
    if os.geteuid() == 0 and shutil.which("apt-get"):
        _install_absent(options.servers or list(SERVERS))
    Stack(servers=options.servers or None).ensure()
    say("all servers can be started")
    return 0


def _install(_options: argparse.Namespace) -> int:
    _install_absent(list(PACKAGES))
    say("Redis and PostgreSQL are installed")
    return 0


def _install_absent(servers: Sequence[str]) -> None:
    absent = [name for name in servers if name in PACKAGES and missing(SERVERS[name])]
    if absent:
        install(absent)


def _env(_options: argparse.Namespace) -> int:
    stack = Stack.load() or Stack()
    for name, value in stack.app_env().items():
        print(f"export {name}='{value}'")
    return 0


def _for_collector(environ: Mapping[str, str]) -> dict[str, str]:
    """The ``ADA_*`` variables that the caller set for the collector's configuration."""
    return {
        name: value
        for name, value in environ.items()
        if name.startswith("ADA_") and not name.startswith(_OWN_VARIABLES)
    }


def _sentry(environ: Mapping[str, str]) -> tuple[dict[str, str], set[str]]:
    """With ``SENTRY_DSN``: the collector's variables for it, and the sink, which is then not started."""
    if not environ.get("SENTRY_DSN", "").strip():
        return {}, set()
    from ada_otel._sentry_dsn import parse

    try:
        return parse(environ["SENTRY_DSN"]).environment(), {"sentry_sink"}
    except ValueError as error:
        raise ToolError(str(error)) from None


def _print_table(rows: Sequence[ServerStatus]) -> None:
    cells = [("SERVER", "VERSION", "STATE", "PID", "URL")]
    cells += [(row.name, row.version, row.state, str(row.pid or "-"), row.url) for row in rows]
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    for row in cells:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    if rows:
        print(f"logs: {rows[0].log.parent}")


_COMMANDS = {
    "up": _up,
    "status": _status,
    "down": _down,
    "logs": _logs,
    "ensure": _ensure,
    "install": _install,
    "env": _env,
}


if __name__ == "__main__":
    sys.exit(main())
