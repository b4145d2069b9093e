"""Small programs under our export pipeline, run as processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from tests.support.process import clean_environment

ROOT = Path(__file__).resolve().parents[2]

#: Sets up all three signals as the package does; ``record(name)`` records a span and a log record.
SETUP = """
import logging, os, sys, threading, time, signal
if os.environ.get("GEVENT") == "early":
    from gevent import monkey
    monkey.patch_all()
logging.basicConfig(level=logging.WARNING)
from opentelemetry._logs import LogRecord
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.trace import TracerProvider
from ada_otel.pipeline import exit as leaving
from ada_otel.pipeline.export import stats
from ada_otel.pipeline.export.batch import BatchLogRecordProcessor, BatchSpanProcessor
from ada_otel.pipeline.export.otlp import OTLPLogExporter, OTLPMetricExporter, OTLPSpanExporter

spans = BatchSpanProcessor(OTLPSpanExporter())
records = BatchLogRecordProcessor(OTLPLogExporter())
metric_exporter = OTLPMetricExporter()
reader = PeriodicExportingMetricReader(metric_exporter, export_interval_millis=3600_000)
traces = TracerProvider(shutdown_on_exit=False)
traces.add_span_processor(spans)
logs = LoggerProvider(shutdown_on_exit=False)
logs.add_log_record_processor(records)
meters = MeterProvider([reader], shutdown_on_exit=False)
tracer, logger = traces.get_tracer("drill"), logs.get_logger("drill")
counter = meters.get_meter("drill").create_counter("drill.count")

def end_metrics(left):
    metric_exporter.hurry(time.monotonic() + left)
    reader.force_flush(left * 1000)

leaving.install([
    lambda left: spans.shutdown(left * 1000),
    lambda left: records.shutdown(left * 1000),
    end_metrics,
], budget=float(os.environ.get("BUDGET", "3")))

def record(name):
    tracer.start_span(name).end()
    logger.emit(LogRecord(body=name))
    counter.add(1)
"""

#: The same by the public way in: the pipeline as it is really assembled, with all instrumentations.
ASSEMBLED = """
import logging, os, signal, sys, threading, time
import ada_otel
ada_otel.setup()
from opentelemetry import metrics, trace
tracer, lines = trace.get_tracer("drill"), logging.getLogger("drill")
counter = metrics.get_meter("drill").create_counter("drill.count")

def record(name):
    tracer.start_span(name).end()
    lines.info(name)
    counter.add(1)
"""


class Program:
    """A running program: ``setup``, which is one of the above, then ``source``."""

    def __init__(
        self,
        source: str,
        folder: Path,
        endpoint: str,
        python: str = sys.executable,
        setup: str = SETUP,
        **environment: str,
    ) -> None:
        path = folder / "program.py"
        path.write_text(setup + source)
        self.process = subprocess.Popen(
            [python, str(path)],
            cwd=folder,
            env=clean_environment(
                {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "PYTHONPATH": str(ROOT), **environment}
            ),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def wait_for_line(self, text: str) -> None:
        """Read lines until one is ``text``."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.strip() == text:
                return
        raise AssertionError(f"the program ended before it said {text}: {self.process.communicate()[1]}")

    def ask(self, line: str) -> str:
        """Give it a line, and read the line that it answers."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline()

    def ended(self, timeout: float = 60) -> tuple[int, float, str]:
        """Its status, the seconds from its last ``END <time>`` line to its end, and its stderr."""
        try:
            out, err = self.process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()
            return -9999, timeout, "hung"
        now = time.time()
        said = [line.split()[1] for line in out.splitlines() if line.startswith("END ")]
        return self.process.returncode, now - float(said[-1]) if said else 0.0, err


def environment_of(folder: Path) -> dict[str, str]:
    """A clean environment with the repository on the path."""
    return clean_environment({"PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)])})
