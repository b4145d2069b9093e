"""What the example app says of its business, at the other end; and users over hosts, by a real Redis."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from ada_otel.business._folder import Folder
from ada_otel.business._hosts import Hosts
from ada_otel.business._users import Users
from tests.support.process import clean_environment
from tools.demo.app import running_app
from tools.demo.arrivals import BackEnds, wait_for
from tools.paths import REPOSITORY
from tools.stack import Stack

pytestmark = pytest.mark.integration


def test_the_example_app_arrives_in_prometheus_and_elasticsearch(stack: Stack, tmp_path: Path) -> None:
    service = f"business-{time.time_ns()}"
    environment = {
        **stack.env(),
        "OTEL_METRIC_EXPORT_INTERVAL": "1000",
        "ADA_OTEL_BUSINESS_FOLDER": str(tmp_path / "business"),
    }
    with running_app(tmp_path, environment, service=service) as app:
        report = app.drive("--plan", "once")
    requests = {(row["method"], row["route"], row["status"]): row["count"] for row in report["requests"]}
    back_ends = BackEnds(
        stack.url("prometheus"), stack.url("elasticsearch"), stack.url("sentry_sink"), service
    )

    def sums(metric: str, *labels: str) -> dict[tuple[str, ...], float]:
        query = f'sum by ({",".join(labels)}) ({metric}{{service_name="{service}"}})'
        return {
            tuple(series["metric"].get(name, "") for name in labels): float(series["value"][1])
            for series in back_ends.query(query)
        }

    def purchases() -> dict[tuple[str, ...], float]:
        return sums("ada_purchases_total", "ada_outcome")

    bought = requests["POST", "/purchases", 201]
    assert wait_for(purchases, lambda found: found.get(("success",)) == bought)[("success",)] == bought
    assert sum(sums("ada_revenue_total", "ada_currency").values()) > 0
    security = sums("ada_security_events_total", "ada_security_event")
    failed = sum(requests.get(("POST", "/auth/sign-in", status), 0) for status in (401, 403))
    assert security["sign_in_failed",] == failed > 0
    assert security["rate_limited",] == requests["POST", "/auth/sign-in", 429]
    uploads = sums("ada_uploads_total", "ada_outcome", "ada_upload_type")
    assert (
        sum(count for (outcome, _), count in uploads.items() if outcome == "success")
        == (requests["POST", "/files", 201])
    )
    assert sum(count for (outcome, _), count in uploads.items() if outcome == "failure") > 0
    operations = sums("ada_ai_operations_total", "ada_outcome", "gen_ai_request_model")
    assert operations["success", "ada-small"] >= requests["POST", "/chat", 200]
    assert operations["failure", "ada-small"] >= requests["POST", "/chat", 502]
    assert sum(sums("gen_ai_client_token_usage_sum", "gen_ai_token_type").values()) > 0
    assert sums("ada_cost_total", "ada_currency", "ada_cost_kind")["USD", "ai"] > 0
    users = back_ends.query(f'max by (ada_window) (ada_users_active{{service_name="{service}"}})')
    assert {series["metric"]["ada_window"] for series in users} == {"5m", "1h", "1d"}
    assert all(float(series["value"][1]) >= 1 for series in users)

    def spans() -> list[dict[str, object]]:
        return back_ends.search("ada-traces-*", {"term": {"name": "chat ada-small"}}, size=100)

    found = wait_for(spans, bool)
    assert {"CLIENT", "Client"} & {str(span["kind"]) for span in found}

    # What the runbooks of the two alerts say to run shows each of these events.
    for alert, event, count in (
        ("SignInFailures", "sign_in_failed", failed),
        ("RateLimiting", "rate_limited", requests["POST", "/auth/sign-in", 429]),
    ):
        shown = wait_for(partial(_run_from_runbook, alert, stack, service), partial(_are, count))
        assert len(shown) == count
        for line in shown:
            assert line["message"] == f"ada.security.{event}"
            assert line["trace_id"]


def _are(count: int, lines: list[dict[str, Any]]) -> bool:
    return len(lines) >= count


def _run_from_runbook(alert: str, stack: Stack, service: str) -> list[dict[str, Any]]:
    """The lines that a runbook's first log command prints."""
    text = (REPOSITORY / f"collector/runbooks/{alert}.md").read_text(encoding="utf-8")
    (command,) = re.findall(r"^ +ada-otel (logs search .*--json)$", text, re.MULTILINE)
    result = subprocess.run(
        [sys.executable, "-m", "ada_otel.cli", *shlex.split(command), "--service", service],
        env=clean_environment({"ADA_ELASTICSEARCH_ENDPOINT": stack.url("elasticsearch")}),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_users_and_sessions_of_two_hosts_are_counted_together(stack: Stack, tmp_path: Path) -> None:
    service = f"hosts-{time.time_ns()}"
    url = stack.env()["REDIS_URL"]
    made = []
    for name in ("one", "two"):
        users = Users(Folder(str(tmp_path / name)))
        made.append((users, Hosts(url, service, name, users)))
    (first, one), (second, two) = made
    for user in range(300):
        first.active(f"u{user}")
        second.active(f"u{user + 200}")
    one.publish(3)
    two.publish(4)
    one.exchange()
    two.exchange()
    one.exchange()
    assert one.counts() == two.counts()
    # Three standard errors of Redis's HyperLogLog (0.81 %).
    assert all(abs(count - 500) <= 0.0243 * 500 for count in one.counts().values())
    assert one.sessions() == two.sessions() == 7
    assert max(first.counts().values()) < 330


def test_redis_that_is_away_loses_no_user(stack: Stack, tmp_path: Path) -> None:
    users = Users(Folder(str(tmp_path)))
    hosts = Hosts("redis://127.0.0.1:1/0", f"away-{time.time_ns()}", "one", users)
    users.active("u1")
    hosts.exchange()
    assert hosts.counts() == {}
    assert hosts.sessions() is None
    hosts._url, hosts._client = stack.env()["REDIS_URL"], None
    hosts.exchange()
    assert hosts.counts() == {"5m": 1, "1h": 1, "1d": 1}
