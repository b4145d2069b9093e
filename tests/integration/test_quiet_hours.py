"""Quiet hours, with the real Alertmanager on the shipped routes: what can wait waits, what cannot does not.

Its working hours are put where this test needs them, before or around now, and all its durations are divided.
"""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.drills.servers import running
from tests.support.notified import DEADMANSSWITCH, PAGERDUTY, SLACK, NotifiedServices
from tests.support.ports import free_port
from tests.support.servers import or_skip
from tests.support.shortened import shortened_config
from tools.builds.go import build
from tools.builds.targets import ALERTMANAGER
from tools.paths import COLLECTOR
from tools.stack.servers import alertmanager

pytestmark = pytest.mark.integration

FACTOR = 60  # a group that was held back is looked at again after 5 s
WARNING = {"alertname": "HostCpuHigh", "severity": "warning", "host_name": "h1"}
CRITICAL = {"alertname": "ErrorRateHigh", "severity": "critical", "deployment_environment_name": "prod"}


def _hours(now: datetime, *, open_now: bool) -> list[dict[str, Any]]:
    """Working hours that are all day today and tomorrow, or only on a day that is far."""
    days = [now, now + timedelta(days=1)] if open_now else [now + timedelta(days=3)]
    names = [day.strftime("%A").lower() for day in days]
    return [{"weekdays": names, "location": "UTC"}]


class _Alertmanager:
    def __init__(self, folder: Path, services: NotifiedServices) -> None:
        self._folder = folder
        self._services = services
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        for name, secret in {
            "slack_webhook_url": services.url(SLACK),
            "pagerduty_routing_key": "a-routing-key-of-32-characters..",
            "deadmansswitch_url": services.url(DEADMANSSWITCH),
        }.items():
            (folder / name).write_text(secret, encoding="utf-8")

    def configure(self, *, open_now: bool) -> Path:
        """Write the shipped configuration with other working hours."""
        shipped = (COLLECTOR / "alertmanager" / "alertmanager.yml").read_text(encoding="utf-8")
        config = shortened_config(yaml.safe_load(alertmanager.render(shipped, self._folder)), FACTOR)
        (hours,) = config["time_intervals"]
        hours["time_intervals"] = _hours(datetime.now(timezone.utc), open_now=open_now)
        config["templates"] = [str(COLLECTOR / "alertmanager" / "templates" / "*.tmpl")]
        config["global"]["pagerduty_url"] = self._services.url(PAGERDUTY)
        path = self._folder / "alertmanager.yml"
        path.write_text(yaml.safe_dump(config), encoding="utf-8")
        return path

    def ask(self, path: str, body: Any = None) -> None:
        """POST to it, until it answers."""
        data = json.dumps(body).encode() if body is not None else b""
        request = urllib.request.Request(self.url + path, data, {"Content-Type": "application/json"})
        end = time.monotonic() + 30
        while True:
            try:
                with urllib.request.urlopen(request, timeout=5):
                    return
            except OSError:  # noqa: PERF203 - that is what is waited for
                if time.monotonic() > end:
                    raise
                time.sleep(0.1)

    def fire(self, labels: Mapping[str, str]) -> None:
        """Let an alert fire for an hour."""
        now = datetime.now(timezone.utc)
        annotations = {"summary": "s", "description": "d", "runbook": "r", "dashboard": "/d/x"}
        times = {"startsAt": now.isoformat(), "endsAt": (now + timedelta(hours=1)).isoformat()}
        self.ask("/api/v2/alerts", [{"labels": dict(labels), "annotations": annotations, **times}])


@contextmanager
def _running(folder: Path, services: NotifiedServices) -> Iterator[_Alertmanager]:
    server = _Alertmanager(folder, services)
    config = server.configure(open_now=False)
    command = [
        str(or_skip(lambda: build(ALERTMANAGER)) / "alertmanager"),
        f"--config.file={config}",
        f"--storage.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{server.port}",
        "--cluster.listen-address=",
    ]
    place = folder / "run"
    place.mkdir()
    with running(command, place, server.port, {}):
        yield server


def test_a_warning_waits_for_working_hours_and_a_critical_alert_does_not(tmp_path: Path) -> None:
    with NotifiedServices() as services, _running(tmp_path, services) as server:
        server.fire(WARNING)
        server.fire(CRITICAL)
        for path in (SLACK, PAGERDUTY):
            services.wait_for(path, lambda one: "ErrorRateHigh" in one.title, 30, f"page at {path}")
        time.sleep(300 / FACTOR + 2)  # in which a warning of working hours would have come
        assert [one.title for one in services.received(SLACK) if "HostCpuHigh" in one.title] == []
        server.configure(open_now=True)
        server.ask("/-/reload")
        # What still fires when they begin is sent then.
        services.wait_for(SLACK, lambda one: "HostCpuHigh" in one.title, 30, "warning in working hours")
        assert [one.title for one in services.received(PAGERDUTY) if "HostCpuHigh" in one.title] == []


def test_the_shipped_hours_are_those_of_the_page() -> None:
    config = yaml.safe_load((COLLECTOR / "alertmanager" / "alertmanager.yml").read_text("utf-8"))
    assert config["time_intervals"] == [
        {
            "name": "working hours",
            "time_intervals": [
                {
                    "weekdays": ["monday:friday"],
                    "times": [{"start_time": "07:00", "end_time": "19:00"}],
                    "location": "UTC",
                }
            ],
        }
    ]
    page = (COLLECTOR.parent / "docs" / "alerts.md").read_text("utf-8")
    assert page.count("Monday to Friday, 07:00 to 19:00 UTC") == 1
    quiet = {
        route["matchers"][0]: route["active_time_intervals"]
        for route in config["route"]["routes"]
        if "active_time_intervals" in route
    }
    assert quiet == {
        'severity = "warning"': ["working hours"],
        'severity = "info"': ["working hours"],
    }
