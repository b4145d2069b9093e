"""``python -m tools.demo [--once]``: set up, drive, and show what arrived where.

Exit status: 0 when every row arrived, 1 when one did not, 2 when nothing could be run.
"""

from __future__ import annotations

import argparse
import base64
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from tools.demo.app import REPOSITORY, drive, running_app
from tools.demo.arrivals import BackEnds, wait_for
from tools.demo.table import Row, render
from tools.errors import ToolError
from tools.progress import say, step
from tools.stack import Stack, chosen_ports

#: SPAN_KIND_SERVER of OTLP.
_SERVER_KIND = 2
#: What tells the span of a request from that of a Socket.IO event, a server's span as well.
_HTTP_METHOD = "attributes.http.request.method"
_FOLDER = REPOSITORY / ".demo"
_SERVERS_OF = {
    "prometheus": "Prometheus",
    "elasticsearch": "Elasticsearch",
    "sentry_sink": "Sentry (our own sink for its OTLP endpoints, not Sentry)",
}


def main() -> int:
    """Run the demo; see the module."""
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument(
        "--once", action="store_true", help="do not wait for a person; write .demo/report.json"
    )
    parser.add_argument("--free-ports", action="store_true", help="take free ports instead of the usual ones")
    options = parser.parse_args()
    if _docker_answers():
        return _with_docker()
    try:
        return _natively(once=options.once, any_port=options.free_ports)
    except ToolError as error:
        say(f"demo: {error}")
        return 2


def _docker_answers() -> bool:
    if shutil.which("docker") is None:
        return False
    try:
        probe = subprocess.run(["docker", "info"], capture_output=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return probe.returncode == 0


def _with_docker() -> int:
    say("== Docker answers: starting docker-compose.yml (docker compose down stops it)")
    subprocess.run(["sh", "docker/secrets.sh"], cwd=REPOSITORY, check=True)
    up = subprocess.run(
        ["docker", "compose", "up", "--build", "--detach", "--wait"], cwd=REPOSITORY, check=False
    )
    if up.returncode:
        say("demo: docker compose could not start everything; see: docker compose ps, docker compose logs")
        return 2
    _FOLDER.mkdir(exist_ok=True)
    say("== driving ADA for 20 seconds")
    report = drive("http://127.0.0.1:8000", _FOLDER, "--users", "4", "--rate", "10", "--seconds", "20")
    password = (REPOSITORY / "secrets" / "elastic_password.txt").read_text().strip()
    login = base64.b64encode(f"elastic:{password}".encode()).decode()
    back_ends = BackEnds("http://127.0.0.1:9090", "http://127.0.0.1:9200", "", authorization=f"Basic {login}")
    failures = {"sentry_sink": "compose has no stand-in for Sentry; set SENTRY_DSN and look there"}
    # The container's health check asks for pages, too: what arrives is at least what was driven.
    rows = [replace(row, exact=False) for row in _look(back_ends, [report], failures)]
    arrived = _conclude(rows)
    say("Grafana: http://127.0.0.1:3000   app: http://127.0.0.1:8000   docker compose down stops them")
    return 0 if arrived else 1


def _conclude(rows: list[Row]) -> bool:
    """Show the table, write the report, and say whether every row arrived."""
    arrived = all(row.arrived for row in rows)
    report = {"rows": [row.as_dict() for row in rows], "arrived": arrived}
    (_FOLDER / "report.json").write_text(json.dumps(report, indent=2) + "\n")
    sys.stdout.write(render(rows))
    return arrived


def _natively(*, once: bool, any_port: bool) -> int:
    from tools.stack import free_ports

    say("== no Docker engine answers: starting the servers on this machine, on loopback")
    stack = Stack(state_dir=_FOLDER / "stack", ports=free_ports() if any_port else chosen_ports())
    failures = stack.up(keep_going=True)
    try:
        for server, reason in failures.items():
            say(f"   {server} is not there: {reason}")
        if "otelcol" in failures:
            raise ToolError("without the collector there is nothing to show")
        rows = _run(stack, failures)
        arrived = _conclude(rows)
        say(f"\nlogs of all servers: {stack.log('otelcol').parent}   report: {_FOLDER / 'report.json'}")
        if not once and sys.stdin.isatty():
            input("the servers go on; press Enter to stop them ")
        return 0 if arrived else 1
    finally:
        with step("stopping the servers"):
            stack.down(purge=True)


def _run(stack: Stack, failures: dict[str, str]) -> list[Row]:
    # A service name of its own per run, so that counts are this run's also in a stack with a past.
    service = f"ada-demo-{int(time.time())}"
    back_ends = BackEnds(
        stack.url("prometheus"), stack.url("elasticsearch"), stack.url("sentry_sink"), service
    )
    environment = {
        key: text
        for key, text in stack.env().items()
        if not (key == "DATABASE_URL" and "postgresql" in failures)
    }
    environment |= {
        "APP_VERSION": "demo",
        "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=demo",
        "OTEL_METRIC_EXPORT_INTERVAL": "2000",
    }
    folder = _FOLDER / "app"
    shutil.rmtree(folder, ignore_errors=True)
    say("== starting ADA: opentelemetry-instrument gunicorn, no line in the app")
    with running_app(folder, environment, service=service) as app:
        say("== driving it: every route with every outcome once, then some users for 10 seconds")
        reports = [
            app.drive("--plan", "once"),
            app.drive("--users", "4", "--rate", "10", "--seconds", "10", "--seed", "1"),
        ]
    say("== ADA has stopped; looking for what it sent")
    return _look(back_ends, reports, failures)


def _look(back_ends: BackEnds, reports: list[dict[str, Any]], failures: dict[str, str]) -> list[Row]:
    sent = sum(report["requests_total"] for report in reports)
    failed = sum(
        row["count"]
        for report in reports
        for row in report["requests"]
        if row["route"] == "/boom" and row["status"] == 500
    )
    unknown = sum(row["count"] for report in reports for row in report["errors"])
    es, service = back_ends.elasticsearch, back_ends.service
    of_service = f"resource.attributes.service.name:{service}"

    def http_requests() -> int:
        # Socket.IO's own transport requests are not in the driver's count.
        return sum(
            count for (_, route, _), count in back_ends.request_counts().items() if "socket.io" not in route
        )

    def server_spans() -> int:
        return back_ends.count(
            "ada-traces-*",
            {"term": {"kind": "Server"}},
            {"exists": {"field": _HTTP_METHOD}},
            {"bool": {"must_not": {"prefix": {"attributes.url.path": "/socket.io"}}}},
        )

    def error_lines() -> int:
        return back_ends.count(
            "ada-logs-*",
            {"term": {"severity_text": "ERROR"}},
            {"exists": {"field": "attributes.exception.type"}},
        )

    def sentry_spans() -> int:
        return sum(
            1
            for span in back_ends.sentry()["spans"]
            if span["kind"] == _SERVER_KIND
            and _HTTP_METHOD.removeprefix("attributes.") in span["attributes"]
            and span["resource"].get("service.name") == service
            and "/socket.io" not in span["name"]
        )

    def sentry_logs() -> int:
        return sum(1 for log in back_ends.sentry()["logs"] if log["resource"].get("service.name") == service)

    rows = [
        (
            "metrics",
            "prometheus",
            "requests, as a histogram count",
            sent,
            http_requests,
            True,
            f"curl '{back_ends.prometheus}/api/v1/query?query=http_server_request_duration_seconds_count'",
        ),
        (
            "traces",
            "elasticsearch",
            "server spans",
            sent,
            server_spans,
            True,
            f"curl '{es}/ada-traces-*/_search?q={of_service}'",
        ),
        (
            "logs",
            "elasticsearch",
            "ERROR lines with an exception",
            failed,
            error_lines,
            False,
            f"curl '{es}/ada-logs-*/_search?q={of_service}%20AND%20level:ERROR'",
        ),
        (
            "traces",
            "sentry_sink",
            "server spans",
            sent,
            sentry_spans,
            True,
            f"curl {back_ends.sentry_sink}/received",
        ),
        (
            "logs",
            "sentry_sink",
            "log records",
            failed,
            sentry_logs,
            False,
            f"curl {back_ends.sentry_sink}/received",
        ),
    ]
    return [_row(*row, failures, unknown) for row in rows]


def _row(
    signal: str,
    server: str,
    what: str,
    sent: int,
    look: Callable[[], int],
    exact: bool,
    command: str,
    failures: dict[str, str],
    unknown: int,
) -> Row:
    name = _SERVERS_OF[server]
    if server in failures:
        return Row(signal, name, what, sent, None, exact, f"not started: {failures[server].splitlines()[0]}")
    try:
        found = wait_for(look, lambda count: count >= sent)
    except OSError as error:
        return Row(signal, name, what, sent, None, exact, f"could not be asked: {error}")
    return Row(signal, name, what, sent, found, exact, command, unknown if exact else 0)


if __name__ == "__main__":
    sys.exit(main())
