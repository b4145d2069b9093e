"""The process itself (semantic conventions for processes and CPython, development)."""

from __future__ import annotations

from ada_otel.catalogue._model import Attribute, Metric

PROCESS: tuple[Metric, ...] = (
    Metric(
        "process.cpu.time",
        "observable_counter",
        "s",
        "CPU seconds used.",
        "process",
        (Attribute("cpu.mode", "User or system.", values=("user", "system")),),
    ),
    Metric(
        "process.cpu.utilization",
        "observable_gauge",
        "1",
        "Share of the CPUs that it may use, 0 to 1, since the last collection.",
        "process",
        (),
    ),
    Metric("process.memory.usage", "observable_up_down_counter", "By", "Resident memory.", "process", ()),
    Metric("process.memory.virtual", "observable_up_down_counter", "By", "Virtual memory.", "process", ()),
    Metric("process.thread.count", "observable_up_down_counter", "{thread}", "Threads.", "process", ()),
    Metric(
        "process.unix.file_descriptor.count",
        "observable_up_down_counter",
        "{file_descriptor}",
        "Open file descriptors.",
        "process",
        (),
    ),
    Metric(
        "ada.process.file_descriptor.limit",
        "observable_up_down_counter",
        "{file_descriptor}",
        "The most file descriptors that it may open.",
        "process",
        (),
    ),
    Metric(
        "process.context_switches",
        "observable_counter",
        "{context_switch}",
        "Context switches.",
        "process",
        (
            Attribute(
                "process.context_switch.type", "Of its own will or not.", values=("voluntary", "involuntary")
            ),
        ),
    ),
    Metric(
        "process.uptime", "observable_gauge", "s", "Seconds since it was started or forked.", "process", ()
    ),
    Metric(
        "cpython.gc.collections",
        "observable_counter",
        "{collection}",
        "Runs of the garbage collector.",
        "process",
        (Attribute("cpython.gc.generation", "The generation.", values=("0", "1", "2")),),
    ),
    Metric(
        "cpython.gc.collected_objects",
        "observable_counter",
        "{object}",
        "Objects that it freed.",
        "process",
        (Attribute("cpython.gc.generation", "The generation.", values=("0", "1", "2")),),
    ),
    Metric(
        "ada.runtime.lag",
        "observable_gauge",
        "s",
        "The longest time since the last collection that a thread which was due had to wait for its turn.",
        "process",
        (),
    ),
)
