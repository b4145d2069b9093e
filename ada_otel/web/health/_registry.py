"""The checks that the app has registered."""

from __future__ import annotations

from ada_otel._diagnostics import report
from ada_otel.web.health._model import Check

#: Each has a thread now and then, and a value of a metric's attribute.
_MOST = 100

_checks: dict[str, Check] = {}


def add(check: Check) -> None:
    """Take a check; one of the same name goes."""
    if check.name not in _checks and len(_checks) >= _MOST:
        report(
            "health:many",
            f"There are {_MOST} health checks; {check.name!r} and later ones are not registered.",
        )
        return
    _checks[check.name] = check


def checks() -> list[Check]:
    """All of them."""
    return list(_checks.values())


def forget() -> None:
    """Forget them; for tests."""
    _checks.clear()
