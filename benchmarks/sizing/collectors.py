"""One run of the collector for a measurement, in one of its shapes."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

from typing_extensions import Self

from benchmarks.processes import LOOPBACK, free_port
from tools.builds.go import build
from tools.builds.targets import OTELCOL
from tools.errors import ToolError
from tools.paths import COLLECTOR
from tools.stack.ready import answers_ok, http

_TICKS = os.sysconf("SC_CLK_TCK")
_READY_SECONDS = 60.0
_STOP_SECONDS = 45.0

#: OTLP in, nothing out.
_BARE = """
receivers:
  otlp:
    protocols:
      http: {endpoint: "${env:ADA_OTLP_HTTP_ENDPOINT}"}
exporters:
  debug: {verbosity: basic, sampling_initial: 1, sampling_thereafter: 1000000}
service:
  telemetry:
    metrics:
      readers:
        - pull:
            exporter:
              prometheus:
                host: 127.0.0.1
                port: ${env:ADA_SELF_METRICS_PORT}
                without_type_suffix: false
                without_units: true
                without_scope_info: true
  pipelines:
    traces: {receivers: [otlp], exporters: [debug]}
    logs: {receivers: [otlp], exporters: [debug]}
    metrics: {receivers: [otlp], exporters: [debug]}
"""

#: Over the base: the Elasticsearch exporters hold the queue themselves, as they would without the hop.
_NO_HOP = """
exporters:
  elasticsearch/logs: &queue
    sending_queue:
      enabled: true
      storage: file_storage/queue
      sizer: items
      queue_size: 1000000
      num_consumers: 4
      batch: {sizer: items, flush_timeout: 1s, min_size: 1000, max_size: 5000}
  elasticsearch/traces: *queue
service:
  pipelines:
    traces/queue: {processors: [transform/span_id], exporters: [elasticsearch/traces]}
    logs/queue: {processors: [transform/log_id], exporters: [elasticsearch/logs]}
"""

#: The shapes, and the exporter that each signal leaves by.
_OURS = {
    "spans": "elasticsearch/traces",
    "log_records": "elasticsearch/logs",
    "metric_points": "otlp_http/prometheus",
}
LEAVES_BY: dict[str, dict[str, str]] = {
    "bare": dict.fromkeys(_OURS, "debug"),
    "ours": _OURS,
    "no_hop": _OURS,
}


class Collector:
    """The collector of ``collector/distribution``, in one shape, with back ends that take all.

    Args:
        shape: ``bare``, ``ours`` or ``no_hop``.
        folder: For its queues, configuration and log.
        back_ends: host:port of ``programs/null_back_ends.py``.
    """

    def __init__(self, shape: str, folder: Path, back_ends: str) -> None:
        folder.mkdir(parents=True)
        self.shape = shape
        self.address = f"{LOOPBACK}:{free_port()}"
        port = free_port()
        self._metrics = f"http://{LOOPBACK}:{port}/metrics"
        self._log = folder / "otelcol.log"
        own = folder / "own.yaml"
        own.write_text(_BARE if shape == "bare" else _NO_HOP, encoding="utf-8")
        configs = {"bare": [own], "ours": [COLLECTOR / "otelcol.yaml"]}
        configs["no_hop"] = [COLLECTOR / "otelcol.yaml", own]
        self._command = [
            str(build(OTELCOL) / "otelcol"),
            *(f"--config={file}" for file in configs[shape]),
        ]
        self._environment = {
            "PATH": os.environ["PATH"],
            "GOMEMLIMIT": "800MiB",
            "ADA_MEMORY_LIMIT_MIB": "1000",
            "ADA_OTLP_HTTP_ENDPOINT": self.address,
            "ADA_OTLP_GRPC_ENDPOINT": f"{LOOPBACK}:{free_port()}",
            "ADA_OTLP_ES_HOP_ENDPOINT": f"{LOOPBACK}:{free_port()}",
            "ADA_HEALTH_ENDPOINT": f"{LOOPBACK}:{free_port()}",
            "ADA_SELF_METRICS_PORT": str(port),
            "ADA_QUEUE_DIR": str(folder / "queue"),
            "ADA_ELASTICSEARCH_ENDPOINT": f"http://{back_ends}",
            "ADA_PROMETHEUS_OTLP_ENDPOINT": f"http://{back_ends}",
        }

    def __enter__(self) -> Self:
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                self._command, env=self._environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )
        deadline = time.monotonic() + _READY_SECONDS
        while not answers_ok(self._metrics):
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.__exit__()
                tail = self._log.read_text(errors="replace").splitlines()[-5:]
                raise ToolError(f"the collector ({self.shape}) did not start: {tail}")
            time.sleep(0.1)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def sent(self, kind: str) -> int:
        """How many items of a kind have left so far."""
        name = f"otelcol_exporter_sent_{kind}_total"
        exporter = f'exporter="{LEAVES_BY[self.shape][kind]}"'
        lines = self._scrape().splitlines()
        found = [line for line in lines if line.startswith(f"{name}{{") and exporter in line]
        return int(sum(float(line.rsplit(" ", 1)[1]) for line in found))

    def usage(self) -> dict[str, Any]:
        """CPU seconds so far, and the most memory so far in MiB."""
        stat = Path(f"/proc/{self._process.pid}/stat").read_text(encoding="ascii")
        user, system = stat.rpartition(")")[2].split()[11:13]
        status = Path(f"/proc/{self._process.pid}/status").read_text(encoding="ascii")
        peak = re.search(r"^VmHWM:\s*(\d+) kB", status, re.MULTILINE)
        return {
            "cpu_s": (int(user) + int(system)) / _TICKS,
            "peak_mib": int(peak[1]) / 1024 if peak else 0.0,
        }

    def _scrape(self) -> str:
        status, text = http(self._metrics, timeout=10)
        if status != 200:
            raise ToolError(f"the collector ({self.shape}) does not show its metrics: HTTP {status}")
        return text.decode()
