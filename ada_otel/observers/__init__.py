"""What the process, its runtime, the host and its network say of themselves, read when metrics are collected.

:func:`start` only registers callbacks: psutil is imported, files are opened and threads are started by the
first collection of each process, so a start costs next to nothing and a fork has nothing to inherit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ada_otel.settings import Settings

__all__ = ["SCOPE", "start"]

#: The name of the meter.
SCOPE = "ada_otel.observers"


def start(settings: Settings) -> None:
    """Register the observers that the settings ask for with the global meter provider.

    Args:
        settings: ``observers``, ``host_metrics``, ``host_metrics_lock`` and ``dependencies`` are read.
    """
    if not settings.observers:
        return
    from opentelemetry.metrics import get_meter

    from ada_otel.observers import _dependencies, _host, _process, _runtime, targets
    from ada_otel.observers._lock import HostLock

    meter = get_meter(SCOPE)
    _process.register(meter)
    _runtime.register(meter)
    if settings.host_metrics == "app":
        _host.register(meter, HostLock("host", settings.host_metrics_lock))
    for name, host, port in settings.dependencies:
        targets.configure(name, host, port)
    _dependencies.register(meter, HostLock("dependencies", settings.host_metrics_lock))
