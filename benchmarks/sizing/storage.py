"""What the example app's telemetry takes in each back end, in bytes, on real servers."""

from __future__ import annotations

import json
import subprocess
import time
import urllib.parse
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.processes import LOOPBACK, free_port
from tools.builds.go import build
from tools.builds.targets import PROMETHEUS
from tools.demo.app import get_json, running_app
from tools.errors import ToolError
from tools.progress import say
from tools.stack import Stack, free_ports
from tools.stack.ready import answers_ok, http

_SERVERS = ("otelcol", "prometheus", "elasticsearch", "sentry_sink", "redis", "postgresql")
_STREAMS = {"logs": "ada-logs-app", "traces": "ada-traces-app"}
_SERVICE = "sizing"
#: Each user keeps a thread of the app busy with its WebSocket.
_USERS, _THREADS = 4, 24
_SETTLED_SECONDS = 5.0
_LONGEST_SECONDS = 120.0


def measure(folder: Path, seconds: int, rate: int) -> dict[str, Any]:
    """Drive the example app, and look at what each back end then holds.

    Args:
        folder: For the servers' data.
        seconds: How long; metrics are exported each second, so that a series gets so many samples.
        rate: Requests per second.

    Returns:
        ``requests``; by stream of Elasticsearch ``documents`` and ``bytes``; of Prometheus ``samples``,
        ``bytes`` of the block that holds them, and ``series`` by who makes them; of ``sentry`` items and
        bytes by signal.
    """
    stack = Stack(folder / "stack", ports=free_ports(optional=True), servers=list(_SERVERS))
    try:
        stack.up()
        requests = _drive(stack, folder / "app", seconds, rate)
        elasticsearch = {name: _stream(stack, index) for name, index in _STREAMS.items()}
        elasticsearch["traces"]["spans"] = _count(stack, _STREAMS["traces"], "_exists_:name")
        series = _series(stack)
        sentry = _sentry(stack)
        stack.stop("prometheus")
        prometheus = {**_block(stack.state_dir / "data" / "prometheus", folder), "series": series}
    finally:
        stack.down(purge=True)
    return {
        "requests": requests,
        "seconds": seconds,
        "elasticsearch": elasticsearch,
        "prometheus": prometheus,
        "sentry": sentry,
    }


def _drive(stack: Stack, folder: Path, seconds: int, rate: int) -> int:
    environment = {
        **stack.env(),
        "OTEL_METRIC_EXPORT_INTERVAL": "1000",
        "APP_VERSION": "1.2.3",
        "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=benchmark",
    }
    gunicorn = ("--workers", "1", "--threads", str(_THREADS))
    with running_app(folder, environment, gunicorn=gunicorn, service=_SERVICE) as app:
        say(f"   the example app serves {rate} requests per second for {seconds} s")
        once = app.drive("--plan", "once")
        pace = ("--users", str(_USERS), "--rate", str(rate), "--seconds", str(seconds), "--seed", "7")
        load = app.drive(*pace)
        _settled(lambda: sum(_count(stack, index) for index in _STREAMS.values()))
        _settled(lambda: len(_received(stack)))
    return int(once["requests_total"]) + int(load["requests_total"])


def _settled(look: Callable[[], int]) -> None:
    """Until ``look`` has given the same for a while.

    Raises:
        ToolError: It kept changing.
    """
    begun = changed = time.monotonic()
    last = look()
    while time.monotonic() - changed < _SETTLED_SECONDS:
        if time.monotonic() - begun > _LONGEST_SECONDS:
            raise ToolError("the back ends did not come to rest")
        time.sleep(0.5)
        if (now := look()) != last:
            last, changed = now, time.monotonic()


def _count(stack: Stack, index: str, query: str = "*:*") -> int:
    words = urllib.parse.urlencode({"q": f'({query}) AND resource.attributes.service.name:"{_SERVICE}"'})
    return int(get_json(f"{stack.url('elasticsearch')}/{index}/_count?{words}")["count"])


def _stream(stack: Stack, index: str) -> dict[str, int]:
    """Documents and bytes of a stream, merged to one segment as Elasticsearch does by and by."""
    base = f"{stack.url('elasticsearch')}/{index}"
    for step in ("_refresh", "_forcemerge?max_num_segments=1", "_flush?force=true"):
        _post(f"{base}/{step}")
    total = get_json(f"{base}/_stats/docs,store")["_all"]["primaries"]
    return {"documents": int(total["docs"]["count"]), "bytes": int(total["store"]["size_in_bytes"])}


def _post(url: str) -> Any:
    status, answer = http(url, method="POST", timeout=300)
    if status != 200:
        raise ToolError(f"{url} answered HTTP {status}: {answer[:200]!r}")
    return json.loads(answer)


def _series(stack: Stack) -> dict[str, int]:
    """Series by who makes them: the app, the collector out of its spans, each scraped job, the rules."""
    query = urllib.parse.urlencode({"query": 'count by (job, __name__) ({__name__!=""})'})
    found: Counter[str] = Counter()
    for row in get_json(f"{stack.url('prometheus')}/api/v1/query?{query}", timeout=60)["data"]["result"]:
        name, job = row["metric"]["__name__"], row["metric"].get("job", "")
        if ":" in name or name.startswith(("ALERTS", "ada_requests", "ada_request_", "ada_errors_total")):
            kind = "rules"
        elif name.startswith("traces_span_metrics_"):
            kind = "span metrics"
        else:
            kind = "app" if job == _SERVICE else job or "rules"
        found[kind] += int(row["value"][1])
    return dict(found.most_common())


def _received(stack: Stack) -> list[str]:
    file = stack.state_dir / "data" / "sentry_sink" / "received.jsonl"
    return file.read_text(encoding="utf-8").splitlines() if file.exists() else []


def _sentry(stack: Stack) -> dict[str, dict[str, int]]:
    """Items and bytes on the wire (gzip) that Sentry's endpoints were sent, by signal."""
    found = {signal: {"items": 0, "bytes": 0} for signal in ("traces", "logs")}
    for line in _received(stack):
        request = json.loads(line)
        row = found[request["signal"]]
        row["items"] += len(request["spans"]) + len(request["logs"])
        row["bytes"] += request["bytes"]
    return found


def _block(data: Path, folder: Path) -> dict[str, int]:
    """Samples and bytes of what a stopped Prometheus holds, written as the blocks it would become."""
    address = f"{LOOPBACK}:{free_port()}"
    config = folder / "prometheus.yml"
    config.write_text("{}\n", encoding="utf-8")
    command = [str(build(PROMETHEUS) / "prometheus"), f"--config.file={config}"]
    command += [f"--storage.tsdb.path={data}", f"--web.listen-address={address}", "--web.enable-admin-api"]
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    try:
        _wait_for(f"http://{address}/-/ready", process)
        name = _post(f"http://{address}/api/v1/admin/tsdb/snapshot")["data"]["name"]
        blocks = [path.parent for path in (data / "snapshots" / name).glob("*/meta.json")]
        stats = [json.loads((block / "meta.json").read_text(encoding="utf-8"))["stats"] for block in blocks]
        files = [file for block in blocks for file in block.rglob("*") if file.is_file()]
        return {
            "samples": sum(each["numSamples"] for each in stats),
            "block_series": max(each["numSeries"] for each in stats),
            "bytes": sum(file.stat().st_size for file in files),
        }
    finally:
        process.terminate()
        process.wait(30)


def _wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while not answers_ok(url):
        if process.poll() is not None or time.monotonic() > deadline:
            raise ToolError("Prometheus did not start on what it had stored")
        time.sleep(0.2)
