"""Each overlay of collector/ on the real collector: this OTLP is sent, exactly that comes out.

What comes out is read where it counts: in files, which a further overlay of the tests puts in the place of
the back ends (so it is what their queues would get), in the real Elasticsearch, or in the real Prometheus.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
import signal
import ssl
import subprocess
import time
import urllib.error
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from ada_otel import catalogue
from tests.support.capture import CAPTURE, captured, overlay, plain, running
from tests.support.collector import BASE, COLLECTOR, Collector, eventually, get_json
from tests.support.otlp_sender import counter, post, record, span, trace_id
from tests.support.ports import free_port
from tools.stack import Stack

pytestmark = pytest.mark.integration

#: Not in the build of distribution/, whose collector runs here.
CONTRIB_ONLY = {"postgresql"}
OVERLAYS = sorted({path.name.split(".")[1] for path in COLLECTOR.glob("otelcol.*.yaml")} - CONTRIB_ONLY)
GOLDEN = Path(__file__).parent / "golden"
HMAC_KEY = "a key of the tests, 32 bytes or more"
SHOP = {"service.name": "shop", "service.instance.id": "worker-1", "deployment.environment.name": "staging"}


@pytest.fixture(scope="module")
def needed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The variables without a default: a key, a token, and a certificate of our own for 127.0.0.1."""
    folder = tmp_path_factory.mktemp("secrets")
    (folder / "token").write_text("token-of-the-tests")
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"),
            *("-nodes", "-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")),
            *("-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"),
        ],
        check=True,
        capture_output=True,
        timeout=60,
    )
    return {
        "ADA_SENTRY_OTLP_ENDPOINT": "http://127.0.0.1:9/api/1/integration/otlp",
        "ADA_SENTRY_AUTH": "sentry sentry_key=k",
        "ADA_REDACTION_HMAC_KEY": HMAC_KEY,
        "ADA_OTLP_TOKEN_FILE": str(folder / "token"),
        "ADA_TLS_CERT_FILE": str(folder / "cert.pem"),
        "ADA_TLS_KEY_FILE": str(folder / "key.pem"),
        "ADA_TIER_CA_FILE": str(folder / "cert.pem"),
        "ADA_TIER_CERT_FILE": str(folder / "cert.pem"),
        "ADA_TIER_KEY_FILE": str(folder / "key.pem"),
    }


# -- All of them --------------------------------------------------------------------------------------------


def _print_config(program: Path, environment: dict[str, str], *configs: Path) -> str:
    command = [str(program), "print-config", *(f"--config={path}" for path in configs)]
    env = {"PATH": os.environ["PATH"], **environment}
    result = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.mark.parametrize(
    "overlays",
    [
        pytest.param([], id="base"),
        pytest.param(["tail_sampling", "redaction", "sentry", "issues"], id="single"),
        pytest.param(["load_balancing", "tier_tls", "secure", "redaction", "environments"], id="two_tiers"),
    ],
)
def test_the_merged_configuration_is_the_golden_one(
    program: Path, needed: dict[str, str], overlays: list[str], request: pytest.FixtureRequest
) -> None:
    fixed = {name: "/secret" if name.endswith("_FILE") else value for name, value in needed.items()}
    merged = _print_config(program, fixed, BASE, *(overlay(name) for name in overlays))
    golden = GOLDEN / f"otelcol.{request.node.callspec.id}.yaml"
    if os.environ.get("ADA_GOLDEN") == "write":
        golden.parent.mkdir(exist_ok=True)
        golden.write_text(merged, encoding="utf-8")
    assert merged == golden.read_text(encoding="utf-8"), "ADA_GOLDEN=write writes it anew"


@pytest.mark.parametrize(
    "overlays",
    [
        pytest.param(
            [
                *("dev", "tail_sampling", "secure", "redaction", "host_metrics", "redis", "environments"),
                *("sentry", "issues"),
            ],
            id="single",
        ),
        pytest.param(["dev", "load_balancing", "tier_tls", "environments"], id="two_tiers"),
    ],
)
def test_no_overlay_logs_a_deprecation_or_an_error_at_start(
    program: Path, needed: dict[str, str], tmp_path: Path, overlays: list[str]
) -> None:
    if "load_balancing" not in overlays:
        assert set(overlays) == set(OVERLAYS) - {"load_balancing", "tier_tls"}
    ports = {"ADA_SAMPLER_ENDPOINT": f"127.0.0.1:{free_port()}", "ADA_REDIS_INTERVAL": "1h"}
    with running(program, tmp_path, {**needed, **ports}, *overlays) as collector:
        text = collector.log.read_text(encoding="utf-8")
    lines = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    assert [
        word
        for word in ("deprecat", "legacy service", "no longer", "will be removed")
        if word in text.lower()
    ] == []
    assert [
        line["msg"]
        for line in lines
        if line["level"] not in {"info", "debug"}
        and "grpc: addrConn" not in line["msg"]
        and "root_path" not in line["msg"]  # said when it runs in a container
    ] == []


# -- Tail sampling ------------------------------------------------------------------------------------------

QUICK = {"ADA_TAIL_DECISION_WAIT": "1s", "ADA_TAIL_PERCENT": "25"}


def _traces(count: int) -> tuple[list[dict[str, Any]], dict[str, set[str]]]:
    """Two spans for each of ``count`` plain traces, 10 with an error and 10 slow ones; the ids by kind."""
    spans: list[dict[str, Any]] = []
    ids: dict[str, set[str]] = {"plain": set(), "error": set(), "slow": set()}
    for kind, number in (("plain", count), ("error", 10), ("slow", 10)):
        for _ in range(number):
            trace = trace_id()
            ids[kind].add(trace)
            root = span(trace, f"GET /{kind}", seconds=2.5 if kind == "slow" else 0.02)
            spans += [root, span(trace, "query", error=kind == "error", parent=root["spanId"])]
    return spans, ids


def _settled(folders: list[Path], seconds: float = 2.5) -> None:
    """Wait until all decisions have been made and nothing more is written."""
    last = -1
    changed = time.monotonic()
    while time.monotonic() - changed < seconds:
        size = sum((folder / "traces.json").stat().st_size for folder in folders)
        if size != last:
            last, changed = size, time.monotonic()
        time.sleep(0.1)


def test_tail_sampling_keeps_errors_and_slow_traces_and_a_share_and_span_metrics_count_all(
    program: Path, tmp_path: Path
) -> None:
    spans, ids = _traces(400)
    spanmetrics = tmp_path / "spanmetrics.yaml"
    spanmetrics.write_text(
        f'exporters: {{file/spans: {{path: "{tmp_path}/spans.json", flush_interval: 100ms}}}}\n'
        "service: {pipelines: {metrics/spans: {exporters: [file/spans]}}}\n"
    )
    configs = (BASE, overlay("tail_sampling"), tmp_path / "capture.yaml", spanmetrics)
    (tmp_path / "capture.yaml").write_text(CAPTURE.replace("FOLDER", str(tmp_path)))
    with Collector(program, tmp_path, QUICK, configs) as collector:
        post(collector.http, "traces", spans, SHOP)
        eventually("a decision", lambda: captured(tmp_path, "traces"))
        _settled([tmp_path], 1.5)
        late = next(iter(ids["error"]))
        post(collector.http, "traces", [span(late, "late")], SHOP)
        eventually(
            "a late span", lambda: [s for s in captured(tmp_path, "traces") if s["name"] == "late"], 10
        )
        calls = eventually("span metrics", lambda: _calls(tmp_path / "spans.json", len(spans) + 1), 10)
    kept = [found for found in captured(tmp_path, "traces") if found["name"] != "late"]
    kept_ids = {found["traceId"] for found in kept}
    assert ids["error"] <= kept_ids
    assert ids["slow"] <= kept_ids
    assert len(kept) == 2 * len(kept_ids)  # whole traces only
    assert 60 <= len(kept_ids & ids["plain"]) <= 140  # 25 % of 400; 100 +- 4.6 standard deviations
    assert calls == len(spans) + 1


def _calls(path: Path, expected: int) -> int:
    """The sum of the last points of traces.span.metrics.calls, once it is ``expected``."""
    last: dict[str, int] = {}
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        try:
            blocks = json.loads(line)["resourceMetrics"]
        except json.JSONDecodeError:
            break
        for block in blocks:
            for scope in block["scopeMetrics"]:
                for metric in scope["metrics"]:
                    if metric["name"] == "traces.span.metrics.calls":
                        for point in metric["sum"]["dataPoints"]:
                            last[json.dumps(point["attributes"], sort_keys=True)] = int(point["asInt"])
    return sum(last.values()) if sum(last.values()) >= expected else 0


def test_a_normal_stop_decides_on_the_traces_that_wait(program: Path, tmp_path: Path) -> None:
    spans, ids = _traces(0)
    with running(program, tmp_path, {"ADA_TAIL_DECISION_WAIT": "60s"}, "tail_sampling") as collector:
        post(collector.http, "traces", spans, SHOP)
        time.sleep(0.5)
        assert collector.stop() < 30
    assert {found["traceId"] for found in captured(tmp_path, "traces")} == ids["error"] | ids["slow"]


def test_with_two_gateways_and_two_samplers_no_trace_is_split(program: Path, tmp_path: Path) -> None:
    addresses = [f"127.0.0.1:{free_port()}" for _ in range(2)]
    tier = {**QUICK, "ADA_SAMPLERS": f"[{', '.join(addresses)}]"}
    folders = [tmp_path / "sampler-0", tmp_path / "sampler-1"]
    spans, ids = _traces(300)
    with ExitStack() as stack:
        for folder, address in zip(folders, addresses, strict=True):
            stack.enter_context(
                running(program, folder, {**tier, "ADA_SAMPLER_ENDPOINT": address}, "load_balancing")
            )
        gateways = [
            stack.enter_context(
                running(
                    program,
                    tmp_path / f"gateway-{number}",
                    {**tier, "ADA_SAMPLER_ENDPOINT": f"127.0.0.1:{free_port()}"},
                    "load_balancing",
                )
            )
            for number in range(2)
        ]
        # The root of each trace goes through one gateway, its child through the other.
        for number, gateway in enumerate(gateways):
            for start in range(number, len(spans), 200):
                post(gateway.http, "traces", spans[start : start + 200 : 2], SHOP)
        eventually("both samplers have decided", lambda: all(captured(each, "traces") for each in folders))
        _settled(folders)
    found = [captured(folder, "traces") for folder in folders]
    kept = [{each["traceId"] for each in spans_of_one} for spans_of_one in found]
    assert kept[0] & kept[1] == set()
    assert ids["error"] | ids["slow"] <= kept[0] | kept[1]
    assert [len(spans_of_one) for spans_of_one in found] == [2 * len(each) for each in kept]
    assert 40 <= len((kept[0] | kept[1]) & ids["plain"]) <= 110  # 25 % of 300
    assert captured(tmp_path / "gateway-0", "traces") == []


# -- Receivers ----------------------------------------------------------------------------------------------


def test_tls_and_token_are_asked_for(program: Path, needed: dict[str, str], tmp_path: Path) -> None:
    trusted = ssl.create_default_context(cafile=needed["ADA_TLS_CERT_FILE"])
    with running(program, tmp_path, needed, "secure") as collector:
        with pytest.raises((urllib.error.HTTPError, OSError)):  # plain HTTP to a TLS port: 400 or a reset
            post(collector.http, "logs", [record("plain")], SHOP)
        with pytest.raises(urllib.error.HTTPError) as refused:
            post(collector.http, "logs", [record("no token")], SHOP, tls=trusted)
        assert refused.value.code == 401
        with pytest.raises(urllib.error.HTTPError) as refused:
            post(collector.http, "logs", [record("wrong token")], SHOP, tls=trusted, token="other")
        assert refused.value.code == 401
        post(collector.http, "logs", [record("good")], SHOP, tls=trusted, token="token-of-the-tests")
        eventually("the log line", lambda: captured(tmp_path, "logs"))
    assert [found["body"]["stringValue"] for found in captured(tmp_path, "logs")] == ["good"]


# -- Redaction ----------------------------------------------------------------------------------------------

CARD = "4111 1111 1111 1111"
KEY = "sk-abcdefghijklmnop1234"


def _digest(value: str) -> str:
    return hmac.new(HMAC_KEY.encode(), value.encode(), hashlib.sha256).hexdigest()


def test_redaction_finds_keys_and_values_in_all_three_signals(
    program: Path, needed: dict[str, str], tmp_path: Path
) -> None:
    secret = {"user.password": "hunter2", "note": f"paid with {CARD} today", "harmless": "1234 items"}
    counts = {"gen_ai.token.type": "input", "gen_ai.usage.input_tokens": 17}
    with running(program, tmp_path, needed, "redaction") as collector:
        post(collector.http, "traces", [span(trace_id(), "pay", values={**secret, **counts})], SHOP)
        post(collector.http, "logs", [record(f"key {KEY} used", values=secret)], SHOP)
        post(collector.http, "metrics", [counter("sales", 3, secret)], SHOP)
        for kind in ("traces", "logs", "metrics"):
            eventually(kind, partial(captured, tmp_path, kind))
        (found,) = captured(tmp_path, "traces")
        (line,) = captured(tmp_path, "logs")
        (metric,) = captured(tmp_path, "metrics")
    redacted = {
        "user.password": _digest("hunter2"),
        "note": f"paid with {_digest(CARD)} today",
        "harmless": "1234 items",
    }
    assert plain(found["attributes"]) == {
        **redacted,
        "gen_ai.token.type": "input",
        "gen_ai.usage.input_tokens": "17",
    }
    assert line["body"]["stringValue"] == f"key {_digest(KEY)} used"
    assert plain(line["attributes"]) == redacted
    assert plain(metric["sum"]["dataPoints"][0]["attributes"]) == redacted
    for leak in ("hunter2", CARD, KEY):
        assert leak not in collector.log.read_text(encoding="utf-8")


def test_without_a_key_it_does_not_start(program: Path, needed: dict[str, str]) -> None:
    command = [str(program), "validate", f"--config={BASE}", f"--config={overlay('redaction')}"]
    for key in ("", "too short"):
        env = {"PATH": os.environ["PATH"], **needed, "ADA_REDACTION_HMAC_KEY": key}
        result = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)
        assert result.returncode != 0
        assert "hmac_key must" in result.stderr


# -- Development --------------------------------------------------------------------------------------------


def test_the_dev_overlay_shows_all_three_signals(program: Path, tmp_path: Path) -> None:
    with running(program, tmp_path, {}, "dev") as collector:
        post(collector.http, "traces", [span(trace_id(), "GET /dev")], SHOP)
        post(collector.http, "logs", [record("a line to look at")], SHOP)
        post(collector.http, "metrics", [counter("dev.count", 3)], SHOP)
        eventually(
            "all three in the output",
            lambda: all(
                word in collector.log.read_text(encoding="utf-8")
                for word in ("GET /dev", "a line to look at", "dev.count")
            ),
            10,
        )


# -- Host and Redis -----------------------------------------------------------------------------------------


def test_host_metrics_are_those_of_the_catalogue(program: Path, tmp_path: Path) -> None:
    environment = {"ADA_HOST_METRICS_INTERVAL": "1s", "ADA_HOST_NAME": "web-1"}
    expected = {
        metric.name: {attribute.name: attribute for attribute in metric.attributes}
        for metric in catalogue.METRICS
        if metric.name.startswith("system.")
    }
    with running(program, tmp_path, environment, "host_metrics"):
        found = eventually(
            "all metrics",
            lambda: (
                seen
                if set(seen := {m["name"]: m for m in captured(tmp_path, "metrics")}) >= set(expected)
                else {}
            ),
            15,
        )
    assert set(found) == set(expected)
    for name, metric in found.items():
        assert metric["resource"]["host.name"] == "web-1"
        assert metric["resource"]["deployment.environment.name"] == "production"
        (points,) = (
            metric[shape]["dataPoints"] for shape in ("sum", "gauge", "histogram") if shape in metric
        )
        series = [plain(point.get("attributes", [])) for point in points]
        assert len({json.dumps(each, sort_keys=True) for each in series}) == len(series), name
        for each in series:
            assert set(each) == set(expected[name]), name
            for key, value in each.items():
                if expected[name][key].values:
                    assert value in expected[name][key].values, (name, key)
        if name.endswith(".utilization"):
            assert all(0 <= point["asDouble"] <= 1 for point in points), name


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[int]:
    """A Redis with room for one megabyte and a password; its port."""
    port = free_port()
    options = ["--bind", "127.0.0.1", "--save", "", "--maxmemory", "2mb", "--requirepass", "secret-of-tests"]
    options += ["--maxmemory-policy", "allkeys-lru", "--dir", str(tmp_path)]
    with (tmp_path / "redis.log").open("wb") as log:
        process = subprocess.Popen(["redis-server", "--port", str(port), *options], stdout=log, stderr=log)
    yield port
    process.send_signal(signal.SIGTERM)
    process.wait(timeout=20)


def _query(stack: Stack, query: str) -> list[dict[str, Any]]:
    result = get_json(f"{stack.url('prometheus')}/api/v1/query", query=query)["data"]["result"]
    assert isinstance(result, list)
    return result


def test_the_redis_rules_find_their_metrics_in_prometheus(
    program: Path, tmp_path: Path, stack: Stack, redis: int
) -> None:
    import redis as client

    environment = {
        "ADA_PROMETHEUS_OTLP_ENDPOINT": stack.url("prometheus") + "/api/v1/otlp",
        "ADA_REDIS_ENDPOINT": f"127.0.0.1:{redis}",
        "ADA_REDIS_PASSWORD": "secret-of-tests",
        "ADA_REDIS_INTERVAL": "1s",
        "ADA_ENVIRONMENT": f"test-{redis}",
    }
    connection = client.Redis(port=redis, password="secret-of-tests")
    for number in range(60):
        connection.set(f"key-{number}", "x" * 50_000)
    connection.close()
    environment_label = f'deployment_environment_name="test-{redis}"'
    rules = (COLLECTOR / "prometheus" / "rules" / "infrastructure.yml").read_text(encoding="utf-8")
    with running(program, tmp_path, environment, "redis"):
        for name in ("redis_memory_used_bytes", "redis_maxmemory_bytes", "redis_keys_evicted_total"):
            assert name in rules
            (series,) = eventually(name, partial(_query, stack, f"{name}{{{environment_label}}}"), 15)
            assert series["metric"]["job"] == "redis"
            assert float(series["value"][1]) > 0
        (ratio,) = _query(
            stack, f"redis_memory_used_bytes{{{environment_label}}} / (redis_maxmemory_bytes > 0)"
        )
        assert 0.3 < float(ratio["value"][1]) < 1.2


# -- Elasticsearch ------------------------------------------------------------------------------------------


def _count(stack: Stack, index: str, query: str) -> int:
    try:
        return int(get_json(f"{stack.url('elasticsearch')}/{index}/_count", q=query)["count"])
    except urllib.error.HTTPError as error:
        assert error.code in {404, 503}, error.read()
        return 0


def test_each_environment_has_its_data_streams(program: Path, tmp_path: Path, stack: Stack) -> None:
    environment = {"ADA_ELASTICSEARCH_ENDPOINT": stack.url("elasticsearch")}
    mark = trace_id()
    names = {
        "production": "production",
        "Staging": "staging",
        "QA/West 2": "qa_west_2",
        "x" * 200: "x" * 60,
        "": "app",
    }
    with running(program, tmp_path, environment, "environments") as collector:
        for name in names:
            resource = {"service.name": mark, **({"deployment.environment.name": name} if name else {})}
            post(collector.http, "logs", [record("by environment")], resource)
            post(collector.http, "traces", [span(mark, f"GET /{name[:10]}")], resource)
        query = f'resource.attributes.service.name:"{mark}"'
        for kind in ("logs", "traces"):
            for stream in names.values():
                index = f"ada-{kind}-{stream}"
                eventually(index, partial(_count, stack, index, query), 20)
            assert _count(stack, f"ada-{kind}-*", query) == len(names)
        hits = get_json(f"{stack.url('elasticsearch')}/ada-logs-*/_search", q=query)["hits"]["hits"]
    assert not re.search(r"elasticsearch\.(index|document_id)", json.dumps([hit["_source"] for hit in hits]))


def test_what_is_sent_twice_is_stored_once(program: Path, tmp_path: Path, stack: Stack) -> None:
    environment = {"ADA_ELASTICSEARCH_ENDPOINT": stack.url("elasticsearch")}
    mark = trace_id()
    resource = {**SHOP, "service.name": mark}
    at = time.time_ns()
    # The same text in the same nanosecond, but for the thread: two records.
    lines = [record("again and again", at=at, values={"thread.id": thread}) for thread in (1, 2)]
    lines += [record(f"line {number}") for number in range(50)]
    events = [{"name": "a", "timeUnixNano": str(at)}, {"name": "a", "timeUnixNano": str(at + 1)}]
    spans = [{**span(mark, "GET /twice"), "events": events} for _ in range(10)]
    query = f'resource.attributes.service.name:"{mark}"'
    with running(program, tmp_path, environment) as collector:
        for _ in range(3):
            post(collector.http, "logs", lines, resource)
            post(collector.http, "traces", spans, resource)
        eventually("the last line", lambda: _count(stack, "ada-logs-app", query) >= 52, 20)
        eventually("all spans", lambda: _count(stack, "ada-traces-app", query) >= 30, 20)
        post(collector.http, "logs", [record("the end")], resource)
        eventually("the end", lambda: _count(stack, "ada-logs-app", f'{query} AND message:"the end"'), 20)
        errors = [line["msg"] for line in collector.lines() if line["level"] == "error"]
        metrics = collector.self_metrics()
    assert _count(stack, "ada-logs-app", query) == 53
    assert _count(stack, "ada-traces-app", query) == 30  # 10 spans with two events each
    assert [msg for msg in errors if "index document" in msg] == []
    assert 'error_type="version_conflict_engine_exception"' in metrics
