"""Entry points for the ``opentelemetry-instrument`` launcher.

The launcher loads a distro, then a configurator, then each instrumentor. Ours puts the same wiring in
place as :func:`ada_otel.setup`; see :mod:`ada_otel.bootstrap`.
"""

from __future__ import annotations

import os
from typing import Any

from opentelemetry.instrumentation.distro import BaseDistro  # type: ignore[attr-defined]  # untyped upstream
from opentelemetry.util._importlib_metadata import EntryPoint

from ada_otel import bootstrap, instrument
from ada_otel._diagnostics import contained, report
from ada_otel.launcher.resources import import_resources

_NAME = "ada_otel"
_DISABLED = "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS"


class AdaDistro(BaseDistro):  # type: ignore[misc]  # BaseDistro is untyped
    """Sets the defaults, and takes Flask, SQLAlchemy, Redis and logging away from the stock loader."""

    def _configure(self, **_kwargs: Any) -> None:
        with contained("Preparing ada-otel"):
            # A second distribution beside ours must not configure the SDK after ours was chosen.
            os.environ.setdefault("OTEL_PYTHON_CONFIGURATOR", _NAME)
            bootstrap.prepare()
            _hide_from_loader()

    def load_instrumentor(self, entry_point: EntryPoint, **kwargs: Any) -> None:
        """Load one stock instrumentor; its failure is reported by name and stops no other."""
        if not bootstrap.disabled():
            instrument.load_entry_point(entry_point, **kwargs)


class AdaConfigurator:
    """Starts the SDK with our defaults; an error leaves the app without telemetry, never without a start.

    The launcher only makes it and calls it. The SDK's base class would import the SDK before the settings are
    known.
    """

    def configure(self, **kwargs: Any) -> None:
        """Start the SDK.

        Args:
            **kwargs: What the launcher hands over; ``auto_instrumentation_version`` at least.
        """
        bootstrap.prepare()
        if not bootstrap.disabled():
            import_resources()
        bootstrap.configure_sdk(**kwargs)


def pre_instrument() -> None:
    """Say, once, when another distribution was chosen in place of this one."""
    if bootstrap.disabled() or bootstrap.attempted():
        return
    chosen = (
        os.environ.get("OTEL_PYTHON_CONFIGURATOR") or os.environ.get("OTEL_PYTHON_DISTRO") or "another one"
    )
    report(
        "second-distro",
        "ada-otel is installed, but the OpenTelemetry distribution in force is "
        f"{chosen!r}. To use ada-otel set OTEL_PYTHON_DISTRO={_NAME} and OTEL_PYTHON_CONFIGURATOR={_NAME}, "
        "or uninstall the other.",
    )


def post_instrument() -> None:
    """Start our own instrumentors, after the launcher started the others."""
    _show_to_loader()
    if bootstrap.configured():
        bootstrap.instrument_libraries(include_stock=False)
    elif bootstrap.attempted():
        bootstrap.serve_health_alone()


_users_disabled: list[str | None] = []


def _hide_from_loader() -> None:
    # The stock loader checks version ranges before it asks the distro: stock SQLAlchemy refuses 2.1
    # and logs an error. Naming ours as disabled for the time of the loop is the documented way past it.
    if not _users_disabled:
        _users_disabled.append(os.environ.get(_DISABLED))
        names = [name for name in (_users_disabled[0] or "").split(",") if name.strip()]
        os.environ[_DISABLED] = ",".join([*names, *instrument.OWN])


def _show_to_loader() -> None:
    if _users_disabled:
        before = _users_disabled.pop()
        if before is None:
            os.environ.pop(_DISABLED, None)
        else:
            os.environ[_DISABLED] = before
