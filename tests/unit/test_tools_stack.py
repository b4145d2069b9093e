"""The native stack without its servers: ports, processes, configuration, state, messages."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tools.errors import ToolError
from tools.stack import Stack, StackError, __main__, packages, process, ready, starting
from tools.stack.ports import PORTS, busy_ports, chosen_ports, free_ports, holder, is_free, variable
from tools.stack.server import Context, Server
from tools.stack.servers import SERVERS, alertmanager, otelcol, postgresql, prometheus
from tools.stack.settings import StackState, load, save


def context(folder: Path, **changes: object) -> Context:
    settings: dict[str, object] = {
        "state_dir": folder,
        "ports": {name: 20000 + index for index, name in enumerate(PORTS)},
        "servers": tuple(SERVERS),
        "env": {},
    }
    return Context(**{**settings, **changes})  # type: ignore[arg-type]


@pytest.fixture
def listening() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield int(server.getsockname()[1])


class Sleeper(Server):
    """A server that is a Python program."""

    name = "redis"
    stop_seconds = 0.5
    ready_seconds = 5.0

    def __init__(self, program: str) -> None:
        self.program = program

    def version(self) -> str:
        return "1"

    def ensure(self) -> None:
        pass

    def prepare(self, context: Context) -> None:
        context.data(self.name).mkdir(parents=True, exist_ok=True)

    def command(self, context: Context) -> list[str]:
        return [sys.executable, "-c", self.program]

    def is_ready(self, context: Context) -> bool:
        return "up" in context.log(self.name).read_text()

    def url(self, context: Context) -> str:
        return "nowhere://"


READY = "print('up', flush=True); import time; time.sleep(60)"
DEAF = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {READY}"
CHILD = "import os, time; os.setsid(); time.sleep(60)"
PARENT = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', '{CHILD}']); {READY}"


class TestPorts:
    def test_environment_wins_over_default(self) -> None:
        assert chosen_ports({})["prometheus"] == 9090
        assert chosen_ports({"ADA_STACK_PROMETHEUS_PORT": "19090"})["prometheus"] == 19090

    @pytest.mark.parametrize("text", ["x", "0", "65536", "-1", "9090.0", "٣"])
    def test_a_wrong_number_is_named(self, text: str) -> None:
        with pytest.raises(ToolError, match=r"ADA_STACK_REDIS_PORT is .*a number from 1 to 65535"):
            chosen_ports({"ADA_STACK_REDIS_PORT": text})

    def test_free_ports_are_free_different_and_below_the_ephemeral_range(self) -> None:
        ports = free_ports({"ADA_STACK_REDIS_PORT": "16379"})
        assert set(ports) == set(PORTS)
        assert len(set(ports.values())) == len(PORTS)
        assert ports.pop("redis") == 16379
        assert all(is_free(port) and port < 32768 for port in ports.values())

    def test_busy_port_message(self, listening: int) -> None:
        assert not is_free(listening)
        ports = {**free_ports(), "prometheus": listening}
        (message,) = busy_ports(ports, ["prometheus", "redis"])
        assert f"prometheus needs port {listening}" in message
        assert f"pid {os.getpid()} (" in message
        assert "ADA_STACK_PROMETHEUS_PORT=" in message
        assert busy_ports(ports, ["redis"]) == []

    def test_holder(self, listening: int) -> None:
        assert (holder(listening) or "").startswith(f"pid {os.getpid()} ")
        assert holder(free_ports()["redis"]) is None

    def test_every_port_belongs_to_a_server(self) -> None:
        assert {port.server for port in PORTS.values()} == set(SERVERS)
        assert len({port.default for port in PORTS.values()}) == len(PORTS)
        assert variable("otelcol_grpc") == "ADA_STACK_OTELCOL_GRPC_PORT"


class TestRendering:
    def test_prometheus_targets_become_addresses(self, tmp_path: Path) -> None:
        here = context(tmp_path)
        text = (prometheus._SOURCE / "prometheus.yml").read_text()
        rendered = yaml.safe_load(prometheus.render(text, prometheus.addresses(here)))
        targets = {job["job_name"]: job["static_configs"][0]["targets"] for job in rendered["scrape_configs"]}
        assert targets["otelcol"] == [here.address("otelcol_metrics")]
        assert targets["prometheus"] == [here.address("prometheus")]
        assert targets["alertmanager"] == [here.address("alertmanager")]
        peers = rendered["alerting"]["alertmanagers"][0]["static_configs"][0]["targets"]
        assert peers == [here.address("alertmanager")]

    def test_all_else_of_prometheus_yml_stays(self, tmp_path: Path) -> None:
        text = "otlp: {x: [localhost:9090]}\nscrape_configs: [{static_configs: [{targets: ['app:1']}]}]"
        rendered = yaml.safe_load(prometheus.render(text, prometheus.addresses(context(tmp_path))))
        assert rendered == yaml.safe_load(text)

    def test_no_yaml(self) -> None:
        with pytest.raises(ToolError, match="is not YAML"):
            prometheus.render("a: [", {})

    def test_rules_are_beside_the_rendered_file(self, tmp_path: Path) -> None:
        SERVERS["prometheus"].prepare(context(tmp_path))
        rules = sorted(file.name for file in (tmp_path / "config" / "prometheus" / "rules").glob("*.yml"))
        assert rules == sorted(file.name for file in (prometheus._SOURCE / "rules").glob("*.yml"))
        assert rules

    def test_alertmanager_secrets(self, tmp_path: Path) -> None:
        text = (alertmanager._SOURCE / "alertmanager.yml").read_text()
        rendered = alertmanager.render(text, tmp_path / "secrets")
        assert "/run/secrets/" in text
        assert "/run/secrets/" not in rendered
        assert f"{tmp_path}/secrets/slack_webhook_url" in rendered


class TestCollectorEnvironment:
    def test_every_address_variable_of_the_configuration_is_given(self, tmp_path: Path) -> None:
        text = "".join(file.read_text() for file in otelcol.configs(context(tmp_path)))
        asked = set(re.findall(r"\$\{env:(ADA_[A-Z_]+(?:ENDPOINT|PORT|HOST|DIR|AUTH))", text))
        assert len(asked) >= 9
        assert asked <= set(otelcol.collector_environ(context(tmp_path)))

    def test_sentry_overlay_only_with_a_sentry(self, tmp_path: Path) -> None:
        without = context(tmp_path, servers=("otelcol",))
        assert [file.name for file in otelcol.configs(without)] == ["otelcol.yaml"]
        assert "ADA_SENTRY_AUTH" not in otelcol.collector_environ(without)
        both = ["otelcol.yaml", "otelcol.sentry.yaml"]
        assert [file.name for file in otelcol.configs(context(tmp_path))] == both
        real = context(
            tmp_path, servers=("otelcol",), env={"ADA_SENTRY_OTLP_ENDPOINT": "https://sentry.test/x"}
        )
        assert [file.name for file in otelcol.configs(real)] == both

    def test_own_configuration_replaces_ours(self, tmp_path: Path) -> None:
        own = tmp_path / "own.yaml"
        assert otelcol.configs(context(tmp_path, otelcol_configs=(own,))) == [own]
        ours = otelcol.configs(context(tmp_path))
        assert otelcol.configs(context(tmp_path, otelcol_overlays=(own,))) == [*ours, own]

    def test_servers_do_not_see_the_telemetry_settings_of_the_caller(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "a=b")
        monkeypatch.setenv("ADA_ELASTICSEARCH_ENDPOINT", "https://production.test")
        monkeypatch.setenv("NO_PROXY", "internal.test")
        monkeypatch.delenv("no_proxy", raising=False)
        seen = SERVERS["otelcol"].environ(context(tmp_path, env={"ADA_MEMORY_LIMIT_MIB": "99"}))
        assert "OTEL_RESOURCE_ATTRIBUTES" not in seen
        assert seen["ADA_ELASTICSEARCH_ENDPOINT"].startswith("http://127.0.0.1:")
        assert seen["ADA_MEMORY_LIMIT_MIB"] == "99"
        assert seen["NO_PROXY"] == "internal.test,127.0.0.1,localhost"


class TestState:
    def test_round_trip_for_its_owner_only(self, tmp_path: Path) -> None:
        state = StackState(
            {"redis": 1},
            ["redis"],
            ["/c.yaml"],
            ["/o.yaml"],
            {"A": "b"},
            {"redis": process.ProcessId(7, "99")},
        )
        save(state, tmp_path)
        assert load(tmp_path) == state
        assert stat.S_IMODE((tmp_path / "stack.json").stat().st_mode) == 0o600
        assert [file.name for file in tmp_path.iterdir()] == ["stack.json"]

    def test_none_yet(self, tmp_path: Path) -> None:
        assert load(tmp_path) is None
        assert Stack.load(tmp_path) is None

    @pytest.mark.parametrize("text", ["", "{", "[]", '{"ports": {}}', '{"processes": {"redis": {"pid": 1}}}'])
    def test_damage_is_named(self, tmp_path: Path, text: str) -> None:
        (tmp_path / "stack.json").write_text(text)
        with pytest.raises(ToolError, match=r"stack\.json cannot be read"):
            load(tmp_path)

    def test_unknown_names_are_refused(self, tmp_path: Path) -> None:
        with pytest.raises(ToolError, match=r"no server mongodb; there are: elasticsearch, redis"):
            Stack(tmp_path, servers=["mongodb"])
        with pytest.raises(ToolError, match="no port mongodb"):
            Stack(tmp_path, ports={"mongodb": 1})


class TestProcesses:
    def started(self, tmp_path: Path, program: str) -> process.ProcessId:
        log = tmp_path / "log"
        new = process.launch([sys.executable, "-c", program], log=log, folder=tmp_path, environ=os.environ)
        problem = ready.wait_until(lambda: "up" in log.read_text(), lambda: process.is_running(new), 10)
        assert problem is None
        return new

    def test_orderly_stop(self, tmp_path: Path) -> None:
        new = self.started(tmp_path, READY)
        assert process.stop(new, first_signal=signal.SIGTERM, grace=5) == "stopped"
        assert not process.is_running(new)
        assert process.stop(new, first_signal=signal.SIGTERM, grace=5) == "was not running"

    def test_a_halted_one_is_stopped_all_the_same(self, tmp_path: Path) -> None:
        new = self.started(tmp_path, READY)
        os.kill(new.pid, signal.SIGSTOP)
        assert process.stop(new, first_signal=signal.SIGTERM, grace=5) == "stopped"

    def test_one_that_does_not_listen_is_killed(self, tmp_path: Path) -> None:
        new = self.started(tmp_path, DEAF)
        assert process.stop(new, first_signal=signal.SIGTERM, grace=0.3) == "killed"
        assert not process.is_running(new)

    @pytest.mark.parametrize("end", ["stop", "kill"])
    def test_children_end_too_also_those_in_other_sessions(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: str
    ) -> None:
        monkeypatch.setattr(process, "_CHILDREN_SECONDS", 0.2)
        new = self.started(tmp_path, PARENT)
        (child,) = process.descendants(new.pid)
        if end == "kill":
            assert process.kill(new)
        else:
            process.stop(new, first_signal=signal.SIGTERM, grace=5)
        assert not process.is_running(child)
        assert not process.kill(new)

    def test_another_process_with_the_pid_is_left_alone(self) -> None:
        with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as other:
            impostor = process.ProcessId(other.pid, "1")
            assert not process.is_running(impostor)
            assert process.stop(impostor, first_signal=signal.SIGTERM, grace=0) == "was not running"
            assert not process.kill(impostor)
            assert other.poll() is None
            other.kill()

    def test_a_missing_program_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(ToolError, match=r"/no/such/program cannot be run"):
            process.launch(["/no/such/program"], log=tmp_path / "log", folder=tmp_path, environ={})


class TestStarting:
    def start(self, folder: Path, program: str, cancelled: threading.Event | None = None) -> str | None:
        server = Sleeper(program)
        launched: list[process.ProcessId] = []
        try:
            return starting.start(server, context(folder), launched.append, cancelled or threading.Event())
        finally:
            for new in launched:
                process.kill(new)

    def test_ready(self, tmp_path: Path) -> None:
        assert self.start(tmp_path, READY) is None

    def test_a_crash_shows_the_end_of_this_run_s_log(self, tmp_path: Path) -> None:
        self.start(tmp_path, "print('crash of yesterday')")
        problem = self.start(tmp_path, "raise SystemExit('no such index')") or ""
        assert problem.startswith("it ended while it started")
        assert "no such index" in problem
        assert "yesterday" not in problem
        assert str(tmp_path / "logs" / "redis.log") in problem

    def test_too_slow(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(Sleeper, "ready_seconds", 0.2)
        problem = self.start(tmp_path, "import time; time.sleep(60)") or ""
        assert "was not ready within 0 s" in problem

    def test_an_interrupt_ends_the_wait(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(Sleeper, "ready_seconds", 60.0)
        cancelled = threading.Event()
        threading.Timer(0.5, cancelled.set).start()
        began = time.monotonic()
        assert self.start(tmp_path, "import time; time.sleep(60)", cancelled) is not None
        assert time.monotonic() - began < 20

    def test_a_large_log_is_put_aside(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(starting, "_LOG_BYTES", 3)
        log = tmp_path / "logs" / "redis.log"
        log.parent.mkdir()
        log.write_text("from earlier runs")
        assert self.start(tmp_path, READY) is None
        assert log.read_text().strip() == "up"
        assert log.with_suffix(".log.1").read_text() == "from earlier runs"


class TestStack:
    @pytest.fixture
    def stack(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stack]:
        monkeypatch.setitem(SERVERS, "redis", Sleeper(READY))
        stack = Stack(
            tmp_path, ports=free_ports(), servers=["redis"], secrets={"slack_webhook_url": "s3cret"}
        )
        yield stack
        stack.down()

    def test_another_program_can_ask_and_stop(self, stack: Stack, tmp_path: Path) -> None:
        stack.up()
        pid = stack.pid("redis")
        other = Stack.load(tmp_path)
        assert other is not None
        (row,) = other.status()
        assert (row.state, row.pid) == ("ready", pid)
        assert other.ports == stack.ports
        assert other.down() == {"redis": "stopped"}
        assert stack.pid("redis") is None

    def test_up_twice_starts_nothing_twice(self, stack: Stack) -> None:
        stack.up()
        pid = stack.pid("redis")
        stack.up()
        assert stack.pid("redis") == pid

    def test_kill_start_and_ended_by_itself(self, stack: Stack) -> None:
        stack.up()
        first = stack.pid("redis")
        assert stack.kill("redis")
        assert stack.status()[0].state == "stopped"
        stack.start("redis")
        second = stack.pid("redis")
        assert second not in (None, first)
        os.kill(second or 0, signal.SIGKILL)
        deadline = time.monotonic() + 5
        while stack.pid("redis") and time.monotonic() < deadline:
            time.sleep(0.02)
        assert stack.status()[0].state == "ended by itself"

    def test_secrets_are_files_for_their_owner(self, stack: Stack, tmp_path: Path) -> None:
        stack.up()
        secret = tmp_path / "secrets" / "slack_webhook_url"
        assert secret.read_text() == "s3cret"
        assert stat.S_IMODE(secret.stat().st_mode) == 0o600
        assert "s3cret" not in (tmp_path / "stack.json").read_text()
        stack.down(purge=True)
        assert not secret.exists()
        assert not (tmp_path / "data").exists()
        assert (tmp_path / "logs" / "redis.log").exists()

    def test_one_failure_stops_what_this_call_started(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        good, bad = Sleeper(READY), Sleeper("raise SystemExit('no')")
        good.name, bad.name = "redis", "prometheus"
        monkeypatch.setitem(SERVERS, "redis", good)
        monkeypatch.setitem(SERVERS, "prometheus", bad)
        stack = Stack(tmp_path, ports=free_ports(), servers=["redis", "prometheus"])
        with pytest.raises(StackError) as caught:
            stack.up()
        assert set(caught.value.failures) == {"prometheus"}
        assert stack.pid("redis") is None
        failures = stack.up(keep_going=True)
        assert set(failures) == {"prometheus"}
        assert stack.pid("redis") is not None
        assert stack.down()["redis"] == "stopped"

    def test_a_busy_port_keeps_all_from_starting(self, stack: Stack, listening: int, tmp_path: Path) -> None:
        busy = Stack(tmp_path, ports={**stack.ports, "redis": listening}, servers=["redis"])
        with pytest.raises(StackError, match=rf"redis needs port {listening}(?s:.*)ADA_STACK_REDIS_PORT"):
            busy.up()
        assert not (tmp_path / "logs").exists()


class TestMissing:
    def test_redis(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("PATH", str(tmp_path))
        assert "apt-get install redis-server" in (starting.missing(SERVERS["redis"]) or "")
        assert SERVERS["redis"].version() == ">= 6.0"

    def test_postgresql(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("PATH", str(tmp_path))
        assert postgresql.find_programs((f"{tmp_path}/*/bin",)) is None
        monkeypatch.setattr(postgresql, "find_programs", lambda: None)
        assert "apt-get install postgresql" in (starting.missing(SERVERS["postgresql"]) or "")

    def test_newest_postgresql_is_taken(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PATH", "/usr/bin:/bin")
        for version in ("9.6", "15.18", "14.2"):
            folder = tmp_path / version / "bin"
            folder.mkdir(parents=True)
            for name in ("initdb", "postgres", "psql"):
                (folder / name).write_text(f"#!/bin/sh\necho 'postgres (PostgreSQL) {version}'\n")
                (folder / name).chmod(0o755)
        assert postgresql.find_programs((f"{tmp_path}/*/bin",)) == tmp_path / "15.18" / "bin"

    def test_without_apt_the_command_is_named(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("PATH", str(tmp_path))
        with pytest.raises(ToolError, match="apt-get install --yes --no-install-recommends redis-server"):
            packages.install(["redis"])

    def test_folders_that_another_user_may_not_enter(self, tmp_path: Path) -> None:
        shut = tmp_path / "shut"
        shut.mkdir(mode=0o700)
        assert not postgresql.can_enter(shut / "not yet there", "nobody")
        assert postgresql.can_enter(Path("/usr/lib"), "nobody")


class TestCommandLine:
    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("ADA_OTEL_STATE", str(tmp_path))
        monkeypatch.setitem(SERVERS, "redis", Sleeper(READY))
        for name in ("SENTRY_DSN", "SLACK_WEBHOOK_URL", "ADA_STACK_REDIS_PORT"):
            monkeypatch.delenv(name, raising=False)

    def test_up_status_logs_down(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SLACK_WEBHOOK_URL", "https://hooks.test/x")
        try:
            assert __main__.main(["up", "--free-ports", "redis"]) == 0
            assert "ready" in capsys.readouterr().out
            assert __main__.main(["status", "--json"]) == 0
            (row,) = json.loads(capsys.readouterr().out)
            assert (row["name"], row["version"], row["state"]) == ("redis", "1", "ready")
            assert __main__.main(["logs", "redis"]) == 0
            assert "up" in capsys.readouterr().out.splitlines()
            assert (
                Path(row["log"]).parents[1] / "secrets" / "slack_webhook_url"
            ).read_text() == "https://hooks.test/x"
        finally:
            assert __main__.main(["down"]) == 0
        assert "redis: stopped" in capsys.readouterr().err
        assert __main__.main(["status"]) == 3

    def test_nothing_there(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert __main__.main(["down"]) == 0
        assert __main__.main(["status"]) == 3
        assert "no stack was started" in capsys.readouterr().err

    def test_errors_are_one_message_without_traceback(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("ADA_STACK_REDIS_PORT", "many")
        assert __main__.main(["up", "redis"]) == 1
        assert capsys.readouterr().err.startswith("ada-otel: ADA_STACK_REDIS_PORT is 'many'")

    def test_a_dsn_takes_the_place_of_the_sink(self) -> None:
        added, replaced = __main__._sentry({"SENTRY_DSN": "https://abc@o1.ingest.sentry.test/7"})
        assert added["ADA_SENTRY_OTLP_ENDPOINT"] == "https://o1.ingest.sentry.test/api/7/integration/otlp"
        assert replaced == {"sentry_sink"}
        with pytest.raises(ToolError, match="SENTRY_DSN"):
            __main__._sentry({"SENTRY_DSN": "sentry"})
        assert __main__._sentry({}) == ({}, set())
