"""The host (semantic conventions for systems, development). Reported by one worker per host."""

from __future__ import annotations

from ada_otel.catalogue._common import DIRECTION
from ada_otel.catalogue._model import Attribute, Metric

SYSTEM: tuple[Metric, ...] = (
    Metric(
        "system.cpu.time",
        "observable_counter",
        "s",
        "CPU seconds, all CPUs together.",
        "system",
        (
            Attribute(
                "cpu.mode",
                "What for.",
                values=("user", "system", "idle", "iowait", "steal", "nice", "interrupt"),
            ),
        ),
    ),
    Metric(
        "system.cpu.utilization",
        "observable_gauge",
        "1",
        "Share of the CPUs in use, 0 to 1, since the last collection; of the limit, in a container.",
        "system",
        (),
    ),
    Metric(
        "system.cpu.logical.count",
        "observable_up_down_counter",
        "{cpu}",
        "CPUs that can be used, with their fraction in a container rounded up.",
        "system",
        (),
    ),
    Metric(
        "system.cpu.load_average.1m",
        "observable_gauge",
        "{thread}",
        "Load average over one minute.",
        "system",
        (),
    ),
    Metric(
        "system.memory.usage",
        "observable_up_down_counter",
        "By",
        "Memory by state; of the limit, in a container.",
        "system",
        (Attribute("system.memory.state", "The state.", values=("used", "free", "cached", "buffers")),),
    ),
    Metric(
        "system.memory.limit",
        "observable_up_down_counter",
        "By",
        "All memory; the limit, in a container.",
        "system",
        (),
    ),
    Metric(
        "system.memory.utilization",
        "observable_gauge",
        "1",
        "Share of the memory that is used and cannot be had back, 0 to 1.",
        "system",
        (),
    ),
    Metric(
        "system.filesystem.usage",
        "observable_up_down_counter",
        "By",
        "Space of file systems, by state.",
        "system",
        (
            Attribute(
                "system.filesystem.mountpoint",
                "Where it is mounted.",
                bound="mount points of real file systems, at most 20",
            ),
            Attribute("system.filesystem.state", "The state.", values=("used", "free", "reserved")),
        ),
    ),
    Metric(
        "system.filesystem.utilization",
        "observable_gauge",
        "1",
        "Share of a file system in use, 0 to 1.",
        "system",
        (
            Attribute(
                "system.filesystem.mountpoint",
                "Where it is mounted.",
                bound="mount points of real file systems, at most 20",
            ),
        ),
    ),
    Metric(
        "system.disk.io",
        "observable_counter",
        "By",
        "Bytes read from and written to disks.",
        "system",
        (Attribute("disk.io.direction", "Read or write.", values=("read", "write")),),
    ),
    Metric(
        "system.network.io",
        "observable_counter",
        "By",
        "Bytes received and sent, without loopback.",
        "system",
        (DIRECTION,),
    ),
    Metric(
        "system.network.errors",
        "observable_counter",
        "{error}",
        "Network errors, without loopback.",
        "system",
        (DIRECTION,),
    ),
    Metric("system.uptime", "observable_gauge", "s", "Seconds since the host was started.", "system", ()),
    Metric(
        "ada.dependency.reachable",
        "observable_gauge",
        "{dependency}",
        "1 when the last try reached it, 0 when not.",
        "system",
        (
            Attribute(
                "ada.dependency.name",
                "As configured: database, redis, or a name of the setting.",
                bound="configured dependencies",
            ),
        ),
    ),
    Metric(
        "ada.dependency.latency",
        "observable_gauge",
        "s",
        "Time of the last try.",
        "system",
        (
            Attribute("ada.dependency.name", "As configured.", bound="configured dependencies"),
            Attribute("ada.dependency.step", "Which part of it.", values=("dns", "tcp")),
        ),
    ),
)
