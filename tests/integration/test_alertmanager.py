"""Where an alert goes, and how it reads there: checked with Alertmanager's own amtool."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.support.servers import or_skip
from tools.builds.go import build
from tools.builds.targets import ALERTMANAGER
from tools.paths import REPOSITORY

pytestmark = pytest.mark.integration

COLLECTOR = REPOSITORY / "collector"


@pytest.fixture(scope="module")
def amtool() -> Path:
    return or_skip(lambda: build(ALERTMANAGER)) / "amtool"


@pytest.mark.parametrize(
    ("labels", "receivers"),
    [
        ("alertname=Watchdog severity=none", "deadmansswitch"),
        ("alertname=OtelCollectorDown severity=critical", "pagerduty,slack"),
        ("alertname=ErrorRateHigh severity=critical deployment_environment_name=prod", "pagerduty,slack"),
        ("alertname=ErrorRateHigh severity=critical deployment_environment_name=staging", "slack"),
        ("alertname=HostCpuHigh severity=warning", "slack"),
        ("alertname=AppRaisedAlertMedium severity=info", "slack"),
        ("alertname=Other severity=none", "none"),
    ],
)
def test_alertmanager_routes_by_severity(amtool: Path, labels: str, receivers: str) -> None:
    config = str(COLLECTOR / "alertmanager" / "alertmanager.yml")
    check = subprocess.run(
        [str(amtool), "check-config", config], capture_output=True, text=True, timeout=60, check=False
    )
    assert check.returncode == 0, check.stdout + check.stderr
    verify = f"--verify.receivers={receivers}"
    command = [str(amtool), "config", "routes", "test", f"--config.file={config}", verify, *labels.split()]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("ada.title", "CRITICAL x2 · ErrorRateHigh · ada · prod"),
        ("ada.colour", "danger"),
        (
            "ada.text",
            "*ada fails*\n6% failed\nsince 01:00 UTC\n*shop fails*\n7% failed\nsince 01:00 UTC",
        ),
        ("ada.runbook", "https://git.example.com/ada-otel/blob/main/collector/runbooks/ErrorRateHigh.md"),
        ("ada.dashboard", "http://127.0.0.1:3000/d/ada-error-analysis?var-service=ada"),
    ],
)
def test_notifications_read_well(amtool: Path, tmp_path: Path, template: str, text: str) -> None:
    alerts = [
        {
            "status": "firing",
            "startsAt": "2026-11-24T01:00:00Z",
            "labels": {"alertname": "ErrorRateHigh"},
            "annotations": {
                "summary": f"{service} fails",
                "description": f"{percent}% failed",
                "runbook": "collector/runbooks/ErrorRateHigh.md",
                "dashboard": "/d/ada-error-analysis?var-service=ada",
            },
        }
        for service, percent in (("ada", 6), ("shop", 7))
    ]
    labels = {"alertname": "ErrorRateHigh", "service": "ada", "severity": "critical"}
    data = {
        "status": "firing",
        "externalURL": "http://127.0.0.1:9093",
        "commonLabels": {**labels, "deployment_environment_name": "prod"},
        "alerts": alerts,
    }
    (tmp_path / "data.json").write_text(json.dumps(data), encoding="utf-8")
    command = [
        str(amtool),
        "template",
        "render",
        f"--template.glob={COLLECTOR}/alertmanager/templates/*.tmpl",
        f'--template.text={{{{ template "{template}" . }}}}',
        f"--template.data={tmp_path / 'data.json'}",
    ]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 0, result.stderr
    assert result.stdout.rstrip("\n") == text.rstrip("\n")
