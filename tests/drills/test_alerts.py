"""From a real fault to a notification: the example app fails, and Slack and PagerDuty hear of it.

Everything between is real: the app under the launcher, the collector, Prometheus with the shipped rules, and
Alertmanager with the shipped routes and templates. Slack and PagerDuty are stand-ins on loopback. All
durations of the two configurations are divided by :data:`FACTOR`, those of Prometheus' look-back, the app's
exports and health checks too; thresholds and everything else are as shipped. There is one real fault for each
class of alert, all in one run.
"""

from __future__ import annotations

import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import requests
import yaml
from werkzeug.security import generate_password_hash

from examples.ada.driver.user import PASSWORD
from tests.drills.servers import running
from tests.support.notified import (
    DEADMANSSWITCH,
    PAGERDUTY,
    SLACK,
    Notification,
    NotifiedServices,
)
from tests.support.otlp_sender import counter, post
from tests.support.servers import or_skip
from tests.support.shortened import shortened_config, shortened_duration, shortened_rules
from tools.builds.go import build
from tools.builds.targets import ALERTMANAGER, PROMETHEUS
from tools.demo.app import AdaApp, get_json, running_app
from tools.paths import COLLECTOR
from tools.stack import Stack, StackError, free_ports
from tools.stack.ports import LOOPBACK
from tools.stack.servers import alertmanager, prometheus

pytestmark = pytest.mark.integration

#: What every duration is divided by: 5 minutes become 7.5 seconds, in which the app sends 15 times.
FACTOR = 40
_HOUR_SECONDS = 3600 // FACTOR
#: How long one notification may take, on a machine that is busy with something else too.
_SECONDS = 60.0
_ENVIRONMENT = "prod"
_SERVICE = "ada-alerts"
#: The user whose password is guessed.
_VICTIM = "guest"
_RUNBOOKS = "https://git.example.com/ada-otel/blob/main/collector/runbooks"
_GRAFANA = "http://127.0.0.1:3000"


@dataclass(frozen=True)
class Expected:
    """One class of alert, and how its notification must read.

    Attributes:
        alert: Its name.
        severity: Its severity.
        service: The service that it names.
        environment: The environment that it names; empty for the monitoring itself.
        summary: The first line of its text.
        description: What the second line must contain.
        dashboard: The uid of the dashboard that it links to.
    """

    alert: str
    severity: str
    service: str
    environment: str
    summary: str
    description: str
    dashboard: str


EXPECTED = {
    "infrastructure": Expected(
        "DependencyUnreachable", "critical", _SERVICE, _ENVIRONMENT,
        f"{_SERVICE} cannot reach redis", "open a connection to redis", "ada-system-overview",
    ),
    "application": Expected(
        "ErrorRateHigh", "critical", _SERVICE, _ENVIRONMENT,
        f"Requests to {_SERVICE} fail", "of the requests have ended in a server error", "ada-error-analysis",
    ),
    "business": Expected(
        "AiSuccessRateLow", "critical", _SERVICE, _ENVIRONMENT,
        f"AI operations of {_SERVICE} on ada-small fail", "have succeeded within 15 minutes (bound: 90 %)",
        "ada-business-metrics",
    ),
    "security": Expected(
        "SignInFailures", "critical", _SERVICE, _ENVIRONMENT,
        f"Many sign-ins to {_SERVICE} fail", "failed sign-ins within 5 minutes (bound: 30)",
        "ada-user-activity",
    ),
    "telemetry": Expected(
        "OtelCollectorDown", "critical", "otelcol", "",
        "The OpenTelemetry collector does not answer", "no answer from the collector",
        "ada-system-overview",
    ),
}  # fmt: skip


class Monitoring:
    """The servers of the drill, and what they have notified."""

    def __init__(self, folder: Path, services: NotifiedServices) -> None:
        self.ports = free_ports()
        self.services = services
        self.stack = Stack(folder / "stack", ports=self.ports, servers=["otelcol", "redis"])
        self.folder = folder
        self.prometheus = f"http://{LOOPBACK}:{self.ports['prometheus']}"

    def query(self, promql: str) -> list[dict[str, Any]]:
        """The series of an instant query."""
        answer = get_json(f"{self.prometheus}/api/v1/query?{urlencode({'query': promql})}")
        found: list[dict[str, Any]] = answer["data"]["result"]
        return found

    def wait_until(self, promql: str, seconds: float = _SECONDS) -> list[dict[str, Any]]:
        """Until a query has a result."""
        end = time.monotonic() + seconds
        while not (found := self.query(promql)):
            assert time.monotonic() < end, f"no result within {seconds} s: {promql}"
            time.sleep(0.2)
        return found

    def start_again(self, server: str, seconds: float = 20) -> None:
        """Start a server that was killed: the kernel may still be closing its ports."""
        end = time.monotonic() + seconds
        while True:
            try:
                self.stack.start(server)
            except StackError:  # noqa: PERF203 - that is what is waited for
                if time.monotonic() > end:
                    raise
                time.sleep(0.2)
            else:
                return

    def prometheus_command(self) -> list[str]:
        """Write Prometheus' configuration, and give what starts it."""
        config = self.folder / "prometheus"
        shortened_rules(COLLECTOR / "prometheus" / "rules", config / "rules", FACTOR)
        hosts = {
            "otelcol:8888": f"{LOOPBACK}:{self.ports['otelcol_metrics']}",
            "localhost:9090": f"{LOOPBACK}:{self.ports['prometheus']}",
            "alertmanager:9093": f"{LOOPBACK}:{self.ports['alertmanager']}",
        }
        shipped = (COLLECTOR / "prometheus" / "prometheus.yml").read_text(encoding="utf-8")
        text = shortened_config(yaml.safe_load(prometheus.render(shipped, hosts)), FACTOR)
        (config / "prometheus.yml").write_text(yaml.safe_dump(text), encoding="utf-8")
        return [
            str(build(PROMETHEUS) / "prometheus"),
            f"--config.file={config / 'prometheus.yml'}",
            f"--storage.tsdb.path={self.folder / 'prometheus-data'}",
            f"--web.listen-address={LOOPBACK}:{self.ports['prometheus']}",
            "--web.enable-otlp-receiver",
            "--enable-feature=exemplar-storage",
            f"--query.lookback-delta={shortened_duration('5m', FACTOR)}",
        ]

    def alertmanager_command(self) -> list[str]:
        """Write Alertmanager's configuration and its secrets, and give what starts it."""
        config = self.folder / "alertmanager"
        shutil.copytree(COLLECTOR / "alertmanager", config)
        secrets = self.folder / "secrets"
        secrets.mkdir(mode=0o700)
        for name, secret in {
            "slack_webhook_url": self.services.url(SLACK),
            "pagerduty_routing_key": "a-routing-key-of-32-characters..",
            "deadmansswitch_url": self.services.url(DEADMANSSWITCH),
        }.items():
            (secrets / name).write_text(secret, encoding="utf-8")
        shipped = (COLLECTOR / "alertmanager" / "alertmanager.yml").read_text(encoding="utf-8")
        text = shortened_config(yaml.safe_load(alertmanager.render(shipped, secrets)), FACTOR)
        text["global"]["pagerduty_url"] = self.services.url(PAGERDUTY)
        (config / "alertmanager.yml").write_text(yaml.safe_dump(text), encoding="utf-8")
        return [
            str(build(ALERTMANAGER) / "alertmanager"),
            f"--config.file={config / 'alertmanager.yml'}",
            f"--storage.path={self.folder / 'alertmanager-data'}",
            f"--web.listen-address={LOOPBACK}:{self.ports['alertmanager']}",
            "--cluster.listen-address=",
        ]

    def app_environment(self) -> dict[str, str]:
        """Of the app: its two periods divided as the rules' are, and no release between them."""
        return {
            **self.stack.env(),
            "DATABASE_URL": f"sqlite:///{self.folder / 'ada.db'}",
            "OTEL_METRIC_EXPORT_INTERVAL": "500",
            "OTEL_RESOURCE_ATTRIBUTES": f"deployment.environment.name={_ENVIRONMENT}",
            "ADA_OTEL_HEALTH_INTERVAL": "0.5",
            "ADA_SIGN_IN_FAILURES": "100000",  # the bound is reached under one name, without a lock before it
            "LOG_LEVEL": "CRITICAL",  # printing tracebacks takes longer than all the rest
        }


@pytest.fixture(scope="module")
def monitoring(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Monitoring]:
    """The servers, ready; none is left when the tests are done."""
    folder = tmp_path_factory.mktemp("alerts")
    with ExitStack() as cleanup:
        services = cleanup.enter_context(NotifiedServices())
        servers = Monitoring(folder, services)
        for name, command in (
            ("alertmanager", or_skip(servers.alertmanager_command)),
            ("prometheus", or_skip(servers.prometheus_command)),
        ):
            place = folder / f"run-{name}"
            place.mkdir()
            cleanup.enter_context(running(command, place, servers.ports[name], {}))
        or_skip(servers.stack.up)
        cleanup.callback(servers.stack.down, purge=True)
        # An orderly stop would try for 20 s to hand its queue to Elasticsearch, which has no part in this.
        cleanup.callback(servers.stack.kill, "otelcol")
        for name in ("alertmanager", "prometheus"):
            _answers(f"http://{LOOPBACK}:{servers.ports[name]}/-/ready")
        yield servers


@dataclass
class Drill:
    """What was notified in one run: by class, when it fired and when it was over."""

    services: NotifiedServices
    monitoring: Monitoring

    def slack(self, name: str, *, resolved: bool = False) -> Notification:
        """Slack's message of one alert."""
        return self._find(SLACK, name, lambda one: one.title.startswith("RESOLVED") is resolved)

    def pagerduty(self, name: str, *, resolved: bool = False) -> Notification:
        """PagerDuty's event of one alert."""
        action = "resolve" if resolved else "trigger"
        return self._find(PAGERDUTY, name, lambda one: one.body["event_action"] == action)

    def dedup_key(self, name: str) -> str:
        """The key under which PagerDuty knows one alert."""
        return str(self.pagerduty(name).body["dedup_key"])

    def _find(self, path: str, name: str, wanted: Callable[[Notification], bool]) -> Notification:
        def matches(one: Notification) -> bool:
            return f"· {name} ·" in f"{one.title} ·" and wanted(one)

        return self.services.wait_for(path, matches, _SECONDS, f"notification of {name} at {path}")


@pytest.fixture(scope="module")
def drill(monitoring: Monitoring) -> Drill:
    """Make the faults happen, one of each class, and mend them."""
    run = Drill(monitoring.services, monitoring)
    with running_app(monitoring.folder / "app", monitoring.app_environment(), service=_SERVICE) as app:
        _has_been_there(monitoring)
        user = _signed_in(app)
        _make_guessing_cheap(monitoring.folder / "ada.db")
        # A counter that appears with its first event has no increase yet: each has one before the fault.
        _fail(app, user, sign_ins=1, chats=1, requests_=1)
        monitoring.wait_until('ada_security_events_total{ada_security_event="sign_in_failed"}')
        monitoring.wait_until('ada_ai_operations_total{ada_outcome="failure"}')
        monitoring.wait_until('http_server_request_duration_seconds_count{http_response_status_code="500"}')
        _fail_until("SignInFailures", monitoring, lambda: _fail(app, user, sign_ins=20))
        monitoring.stack.stop("redis")
        for alert in ("ErrorRateHigh", "AiSuccessRateLow"):
            _fail_until(alert, monitoring, lambda: _fail(app, user, chats=5, requests_=5))
        run.slack(EXPECTED["security"].alert)
        for name in ("infrastructure", "application", "business"):
            run.slack(EXPECTED[name].alert)
        monitoring.stack.start("redis")
        monitoring.stack.kill("otelcol")
        run.slack(EXPECTED["telemetry"].alert)
        monitoring.wait_until('ALERTS{alertname="ServiceSilent", alertstate="firing"}')
        monitoring.start_again("otelcol")
        for name in ("infrastructure", "telemetry"):
            run.slack(EXPECTED[name].alert, resolved=True)
            run.pagerduty(EXPECTED[name].alert, resolved=True)
    return run


@pytest.mark.parametrize("expected", EXPECTED.values(), ids=EXPECTED)
def test_slack_is_told_what_where_and_what_to_do(drill: Drill, expected: Expected) -> None:
    (attachment,) = drill.slack(expected.alert).body["attachments"]
    where = f" · {expected.service}" + (f" · {expected.environment}" if expected.environment else "")
    assert attachment["title"] == f"{expected.severity.upper()} · {expected.alert}{where}"
    assert attachment["color"] == "danger"
    assert attachment["title_link"] == f"{_RUNBOOKS}/{expected.alert}.md"
    summary, description, since = attachment["text"].strip().split("\n")
    assert summary == f"*{expected.summary}*"
    assert expected.description in description
    assert since.startswith("since ")
    assert since.endswith(" UTC")
    links = {button["text"]: button["url"] for button in attachment["actions"]}
    assert links["Runbook"] == attachment["title_link"]
    assert links["Dashboard"].split("?")[0] == f"{_GRAFANA}/d/{expected.dashboard}"
    if expected.environment:
        assert f"?var-service={expected.service}&var-environment={expected.environment}" in links["Dashboard"]
    assert expected.alert in links["Silence"]


@pytest.mark.parametrize(("name", "expected"), EXPECTED.items(), ids=EXPECTED)
def test_pagerduty_is_told_the_same_under_a_key_of_its_own(
    drill: Drill, name: str, expected: Expected
) -> None:
    event = drill.pagerduty(expected.alert).body
    assert event["event_action"] == "trigger"
    assert event["routing_key"] == "a-routing-key-of-32-characters.."
    payload = event["payload"]
    assert payload["summary"] == drill.slack(expected.alert).title
    assert payload["severity"] == expected.severity
    assert payload["class"] == name
    assert payload["component"] == expected.service
    assert payload.get("group", "") == expected.environment
    assert expected.summary in payload["custom_details"]["alerts"]
    assert payload["custom_details"]["runbook"] == f"{_RUNBOOKS}/{expected.alert}.md"
    assert {link["text"] for link in event["links"]} == {"Runbook", "Dashboard"}


def test_each_incident_has_its_own_key_and_keeps_it(drill: Drill) -> None:
    keys = {name: drill.dedup_key(expected.alert) for name, expected in EXPECTED.items()}
    assert len(set(keys.values())) == len(EXPECTED)
    for name in ("infrastructure", "telemetry"):
        resolved = drill.pagerduty(EXPECTED[name].alert, resolved=True).body
        assert resolved["dedup_key"] == keys[name]


@pytest.mark.parametrize("name", ["infrastructure", "telemetry"])
def test_the_end_is_told_too(drill: Drill, name: str) -> None:
    expected = EXPECTED[name]
    (attachment,) = drill.slack(expected.alert, resolved=True).body["attachments"]
    assert attachment["title"].startswith(f"RESOLVED · {expected.alert} · {expected.service}")
    assert attachment["color"] == "good"
    assert " to " in attachment["text"].strip().split("\n")[-1]


def test_the_dead_mans_switch_hears_the_watchdog(drill: Drill) -> None:
    # What Prometheus sends before it has found Alertmanager is lost, and sent again after its minute.
    services = drill.services
    services.wait_for(
        DEADMANSSWITCH,
        lambda _: len(services.received(DEADMANSSWITCH)) >= 3,
        60 + _SECONDS,
        "third beat of the watchdog",
    )
    beats = services.received(DEADMANSSWITCH)
    assert {alert["labels"]["alertname"] for beat in beats for alert in beat.body["alerts"]} == {"Watchdog"}


def test_nobody_is_told_what_another_alert_explains(drill: Drill) -> None:
    """The collector is down: that the app is silent fires, but says nothing of the app."""
    fired = 'count_over_time(ALERTS{alertname="ServiceSilent", alertstate="firing"}[1h])'
    assert drill.monitoring.query(fired)
    told = {one.title.split(" · ")[1] for one in drill.services.received(SLACK)}
    assert {expected.alert for expected in EXPECTED.values()} <= told
    assert "ServiceSilent" not in told


def test_no_rule_failed(drill: Drill) -> None:
    failed = drill.monitoring.query("prometheus_rule_evaluation_failures_total > 0")
    assert failed == []


def _has_been_there(monitoring: Monitoring) -> None:
    """Tell Prometheus of the hour before (here 90 s), without which a service that stops is no alert."""
    now = time.time_ns()
    points = [counter("drill.history", 1, at=now - second * 10**9) for second in range(_HOUR_SECONDS + 10)]
    resource = {
        "service.name": _SERVICE,
        "service.instance.id": "before",
        "deployment.environment.name": _ENVIRONMENT,
    }
    post(f"{LOOPBACK}:{monitoring.ports['otelcol_http']}", "metrics", points, resource)
    monitoring.wait_until(f'count_over_time(count(target_info{{job="{_SERVICE}"}})[3m:1s]) > {_HOUR_SECONDS}')


def _signed_in(app: AdaApp) -> requests.Session:
    user = _session()
    answer = user.post(f"{app.url}/auth/sign-in", json={"name": "ada", "password": PASSWORD}, timeout=30)
    assert answer.status_code == 200, answer.text
    return user


def _make_guessing_cheap(file: Path) -> None:
    """A hash that takes little CPU: a drill on a busy machine cannot guess as fast as attackers."""
    cheap = generate_password_hash(PASSWORD, method="pbkdf2:sha256:1000")
    with closing(sqlite3.connect(file, timeout=30)) as database, database:
        changed = database.execute("UPDATE users SET password_hash = ? WHERE name = ?", (cheap, _VICTIM))
        assert changed.rowcount == 1


def _session() -> requests.Session:
    session = requests.Session()
    session.trust_env = False  # no proxy on loopback
    return session


def _fail(
    app: AdaApp, user: requests.Session, *, sign_ins: int = 0, chats: int = 0, requests_: int = 0
) -> None:
    """Wrong passwords, AI calls that fail, and requests that fail."""
    for _ in range(sign_ins):
        wrong = {"name": _VICTIM, "password": "wrong"}
        assert user.post(f"{app.url}/auth/sign-in", json=wrong, timeout=30).status_code == 401
    for _ in range(chats):
        assert user.post(f"{app.url}/chat", json={"text": "[ai:error]"}, timeout=30).status_code == 502
    for _ in range(requests_):
        assert user.get(f"{app.url}/boom", timeout=30).status_code == 500


def _fail_until(alert: str, monitoring: Monitoring, fail: Callable[[], None]) -> None:
    end = time.monotonic() + _SECONDS
    while not monitoring.query(f'ALERTS{{alertname="{alert}", alertstate="firing"}}'):
        assert time.monotonic() < end, f"{alert} did not fire within {_SECONDS} s"
        fail()
        time.sleep(0.2)


def _answers(url: str) -> None:
    end = time.monotonic() + 30
    while True:
        try:
            _session().get(url, timeout=5).raise_for_status()
        except requests.RequestException:  # noqa: PERF203 - that is what is waited for
            assert time.monotonic() < end, f"{url} does not answer"
            time.sleep(0.1)
        else:
            return
