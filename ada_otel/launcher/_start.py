"""Telemetry for a process that ``ada-otel run`` has started, before its first line."""

from __future__ import annotations

import importlib.util
import os
import sys
from importlib.machinery import PathFinder

from ada_otel import bootstrap
from ada_otel._diagnostics import contained
from ada_otel.launcher import SITE
from ada_otel.launcher.resources import import_resources

#: Read by the stock launcher alone: what they ask for is its to do.
_STOCK_ONLY = ("OTEL_PYTHON_DISTRO", "OTEL_PYTHON_CONFIGURATOR")
_GEVENT_PATCH = "OTEL_PYTHON_AUTO_INSTRUMENTATION_EXPERIMENTAL_GEVENT_PATCH"


def start() -> None:
    """Run the environment's own ``sitecustomize``, whose place ours has taken; then set telemetry up."""
    try:
        _run_next()
    finally:
        if _asks_for_stock():
            _start_stock()
        else:
            _start_ours()


def _run_next() -> None:
    elsewhere = [path for path in sys.path if path != SITE]
    spec = PathFinder.find_spec("sitecustomize", elsewhere)
    if spec is not None and spec.loader is not None:
        spec.loader.exec_module(importlib.util.module_from_spec(spec))


def _asks_for_stock() -> bool:
    return bool(os.environ.get(_GEVENT_PATCH)) or any(
        os.environ.get(name, "ada_otel") not in {"", "ada_otel"} for name in _STOCK_ONLY
    )


def _start_stock() -> None:
    from opentelemetry.instrumentation.auto_instrumentation import initialize

    initialize()


def _start_ours() -> None:
    # A process that is started meanwhile, by a resource detector perhaps, must not start one of its own.
    kept = os.environ.get("PYTHONPATH")
    paths = [path for path in (kept or "").split(os.pathsep) if path != SITE]
    os.environ["PYTHONPATH"] = os.pathsep.join(paths)
    try:
        with contained("Starting under ada-otel run"):
            if not bootstrap.disabled():
                bootstrap.prepare()
                import_resources()
        bootstrap.setup()
    finally:
        if kept is None:
            os.environ.pop("PYTHONPATH")
        else:
            os.environ["PYTHONPATH"] = kept
