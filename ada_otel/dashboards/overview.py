"""System overview: is all of it up, and what runs short."""

from __future__ import annotations

from ada_otel.dashboards._bounds import ANY, UP, from_alerts
from ada_otel.dashboards._expr import HOST, SERVICE, legend, now, quantile, rate, ratio, recorded
from ada_otel.dashboards._model import Bound, Dashboard, Panel, Query, Row
from ada_otel.dashboards._red import REQUESTS, error_ratio, figures
from ada_otel.dashboards._telemetry import TELEMETRY

_DATABASE = "db.client.operation.duration"
_USED = {"state": '="used"'}
_MOUNT = ("host.name", "system.filesystem.mountpoint")


def _host(name: str, how: str = "max", by: tuple[str, ...] = ("host.name",)) -> str:
    return now(name, how, by, scope=HOST)


_MEMORY = _host("system.memory.usage", by=("host.name", "system.memory.state"))
_SERVICES = (
    *figures(10),
    Panel(
        14,
        "Requests by service",
        "Requests per second.",
        "reqps",
        (Query(rate(REQUESTS, ("job",), part="count"), "{{job}}"),),
        stacked=True,
        link="ada-application-performance",
    ),
    Panel(
        15,
        "Failed requests by service",
        "Share of requests that ended in a server error.",
        "percentunit",
        (Query(error_ratio(("job",)), "{{job}}"),),
        bounds=from_alerts(critical="ErrorRateHigh"),
        link="ada-error-analysis",
    ),
    Panel(
        16,
        "Response time by service, 95th percentile",
        "One request in 20 takes longer. A dot is one request; it leads to its trace.",
        "s",
        (Query(quantile(0.95, REQUESTS, ("job",)), "{{job}}", exemplar=True),),
        bounds=from_alerts(high="ResponseTimeHigh"),
        link="ada-application-performance",
    ),
)
_HEALTH = (
    Panel(
        20,
        "Firing alerts",
        "All that fire, but for the one that always does.",
        "short",
        (Query('count by (alertname, severity) (ALERTS{alertstate="firing", severity!="none"})', "firing"),),
        shape="table",
        bounds=ANY,
    ),
    Panel(
        21,
        "Health checks",
        "1 is healthy at all workers. HealthCheckFailing fires when a required one is unhealthy.",
        "short",
        (
            Query(
                now("ada.health.status", "min", ("ada.health.check",), {"ada.health.state": '="healthy"'}),
                legend("ada.health.check"),
            ),
        ),
        shape="stat",
        bounds=UP,
        base="red",
    ),
    Panel(
        22,
        "From outside",
        "1 when the last request of `ada-otel probe` got a good answer. ProbeFailing fires at 0.",
        "short",
        (
            Query(
                now("ada.probe.success", "min", ("ada.probe.name",), scope='job=~".+", instance=~".+"'),
                legend("ada.probe.name"),
            ),
        ),
        shape="stat",
        bounds=UP,
        base="red",
    ),
    Panel(
        23,
        "Dependencies reachable",
        "1 when the last try reached it. DependencyUnreachable fires at 0.",
        "short",
        (
            Query(
                now("ada.dependency.reachable", "min", ("ada.dependency.name",), scope=SERVICE),
                legend("ada.dependency.name"),
            ),
        ),
        shape="stat",
        bounds=UP,
        base="red",
    ),
    Panel(
        24,
        "Time to reach dependencies",
        "Name lookup and connection. DependencySlow fires at 0.5 s.",
        "s",
        (
            Query(
                now(
                    "ada.dependency.latency",
                    "max",
                    ("ada.dependency.name", "ada.dependency.step"),
                    scope=SERVICE,
                ),
                legend("ada.dependency.name", "ada.dependency.step"),
            ),
        ),
        bounds=from_alerts(high="DependencySlow"),
    ),
    Panel(
        25,
        "Workers",
        "Workers that report, by version: a deploy shows as a change of colours.",
        "short",
        (Query(now("process.uptime", "count", ("job", "service.version")), "{{job}} {{service_version}}"),),
        stacked=True,
    ),
)
_HOSTS = (
    Panel(
        30,
        "CPU",
        "Share of the CPUs in use. HostCpuHigh fires at 80 %, HostCpuCritical at 95 %.",
        "percentunit",
        (Query(_host("system.cpu.utilization", "avg"), "{{host_name}}"),),
        bounds=from_alerts("HostCpuHigh", "HostCpuCritical"),
        top=1,
    ),
    Panel(
        31,
        "Memory",
        "Share that cannot be had back. HostMemoryHigh fires at 85 %, HostMemoryCritical at 95 %.",
        "percentunit",
        (Query(_host("system.memory.utilization"), "{{host_name}}"),),
        bounds=from_alerts("HostMemoryHigh", "HostMemoryCritical"),
        top=1,
    ),
    Panel(
        32,
        "Disks",
        "Share of each file system in use. HostDiskFull fires at 90 %.",
        "percentunit",
        (Query(_host("system.filesystem.utilization", by=_MOUNT), legend(*_MOUNT)),),
        bounds=from_alerts(critical="HostDiskFull"),
        top=1,
    ),
    Panel(
        33,
        "Load per CPU",
        "Threads that run or wait, over one minute. Above 1 some wait.",
        "short",
        (
            Query(
                f"{_host('system.cpu.load_average.1m')} / {_host('system.cpu.logical.count')}",
                "{{host_name}}",
            ),
        ),
        bounds=(Bound(1, "orange"),),
    ),
    Panel(
        34,
        "Disk traffic",
        "Bytes read and written per second.",
        "Bps",
        (
            Query(
                rate("system.disk.io", ("host.name", "disk.io.direction"), scope=HOST),
                legend("host.name", "disk.io.direction"),
            ),
        ),
    ),
    Panel(
        35,
        "Network traffic",
        "Bytes per second, without loopback.",
        "Bps",
        (
            Query(
                rate("system.network.io", ("host.name", "network.io.direction"), scope=HOST),
                legend("host.name", "network.io.direction"),
            ),
        ),
    ),
    Panel(
        36,
        "Network errors",
        "Per second, without loopback.",
        "cps",
        (Query(rate("system.network.errors", ("host.name",), scope=HOST), "{{host_name}}"),),
        bounds=ANY,
    ),
    Panel(
        37,
        "Memory by state",
        "Bytes, over the chosen hosts.",
        "bytes",
        (
            Query(
                f"sum by (system_memory_state) ({_MEMORY})",
                legend("system.memory.state"),
            ),
        ),
        stacked=True,
    ),
    Panel(
        38,
        "CPU time by use",
        "CPUs busy with each, over the chosen hosts.",
        "short",
        (
            Query(
                rate("system.cpu.time", ("cpu.mode",), {"cpu.mode": '!="idle"'}, scope=HOST), "{{cpu_mode}}"
            ),
        ),
        stacked=True,
    ),
)
_STORES = (
    Panel(
        50,
        "Connection pool in use",
        "Share of the database connections of each worker. DatabasePoolSaturated fires at 90 %.",
        "percentunit",
        (
            Query(
                f"{now('db.client.connections.usage', 'sum', ('job', 'instance'), _USED)} / "
                f"{now('db.client.connection.max', 'sum', ('job', 'instance'))}",
                "{{instance}}",
            ),
        ),
        bounds=from_alerts(high="DatabasePoolSaturated"),
        top=1,
    ),
    Panel(
        51,
        "Waiting for a connection",
        "Requests that wait, and that waited in vain. DatabasePoolTimeouts fires at the first.",
        "short",
        (
            Query(now("db.client.connection.pending_requests", "sum", ("job",)), "{{job}} waiting"),
            Query(rate("db.client.connection.timeouts", ("job",)), "{{job}} timeouts/s"),
        ),
        bounds=ANY,
    ),
    Panel(
        52,
        "Operations, 95th percentile",
        "Of database and Redis. DatabaseSlow fires at 0.5 s.",
        "s",
        (Query(quantile(0.95, _DATABASE, ("db.system.name",)), "{{db_system_name}}", exemplar=True),),
        bounds=from_alerts(high="DatabaseSlow"),
    ),
    Panel(
        53,
        "Operations that fail",
        "Share over 5 minutes. DatabaseErrors and RedisErrors fire at 1 %.",
        "percentunit",
        (Query(recorded("service:db_client_errors:ratio5m"), "{{job}} {{db_system_name}}"),),
        bounds=from_alerts(critical="DatabaseErrors"),
        width=12,
    ),
    Panel(
        54,
        "Cache hits",
        "Share of lookups that found something.",
        "percentunit",
        (
            Query(
                ratio(
                    rate("ada.cache.lookups", ("ada.cache.name",), {"ada.cache.result": '="hit"'}),
                    rate("ada.cache.lookups", ("ada.cache.name",)),
                ),
                "{{ada_cache_name}}",
            ),
        ),
        top=1,
        width=12,
    ),
    Panel(
        55,
        "Redis memory",
        "Share of maxmemory, by the collector's Redis receiver. RedisMemoryHigh fires at 90 %.",
        "percentunit",
        (Query("redis_memory_used_bytes / (redis_maxmemory_bytes > 0)", "{{job}} {{instance}}"),),
        bounds=from_alerts(high="RedisMemoryHigh"),
        top=1,
        width=12,
    ),
    Panel(
        56,
        "Redis evictions",
        "Keys per second, by the collector's Redis receiver. RedisEvictions fires at 1.",
        "cps",
        (Query("sum by (job) (rate(redis_keys_evicted_total[$__rate_interval]))", "{{job}}"),),
        bounds=from_alerts(high="RedisEvictions"),
        width=12,
    ),
)

OVERVIEW = Dashboard(
    "ada-system-overview",
    "ADA / System overview",
    "Is all of it up, and what runs short: services, hosts, databases, and the telemetry itself.",
    (
        Row(1, "Rate, errors, duration", _SERVICES),
        Row(2, "Health", _HEALTH),
        Row(3, "Hosts", _HOSTS),
        Row(4, "Database and Redis", _STORES),
        Row(5, "Telemetry", TELEMETRY),
    ),
    hosts=True,
)
