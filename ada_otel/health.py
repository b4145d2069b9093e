"""Health checks of the app's own.

    from ada_otel import health

    @health.check("search", required=False)
    def search_answers():
        if search.lag_seconds() > 60:
            return health.degraded("index is behind", lag_seconds=search.lag_seconds())
        search.ping()

A check runs in a background thread every few seconds (``ADA_OTEL_HEALTH_INTERVAL``), never in a request.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any, TypeVar

from ada_otel._diagnostics import report, repr_of, text_of
from ada_otel.web.health import _registry
from ada_otel.web.health._model import Check, Result

__all__ = ["check", "degraded", "unhealthy"]

_CheckT = TypeVar("_CheckT", bound=Callable[[], Any])
_NAME = re.compile(r"[a-z][a-z0-9_.-]{0,62}")
_LONGEST = 3600
_BUILT_IN = frozenset({"database", "redis", "host", "network", "performance", "telemetry"})


def check(name: str, *, required: bool = False, timeout: float | None = None) -> Callable[[_CheckT], _CheckT]:
    """Register a function as a health check; the function itself stays as it is.

    It is healthy when it returns ``None`` or ``True``; :func:`degraded` and :func:`unhealthy` say otherwise,
    and so do ``False`` and an exception, whose text goes out only with ``ADA_OTEL_HEALTH_VERBOSE=true``.
    A second check of the same name takes the place of the first. Never raises: a name, a limit or a function
    that cannot be used is reported once, and nothing is registered.

    Args:
        name: Lower-case letters, digits and ``_.-``, beginning with a letter; not that of a built-in check.
        required: Whether ``/health/ready`` answers 503 when it is unhealthy.
        timeout: Seconds after which it counts as unhealthy; ``ADA_OTEL_HEALTH_TIMEOUT`` by default.
    """
    given: Any = name
    if inspect.isfunction(given):
        report(
            f"health:{given.__qualname__}",
            f"The health check {given.__qualname__!r} is not registered: "
            'write @health.check("name"), with brackets.',
        )
        return given

    def register(function: _CheckT) -> _CheckT:
        problem = _problem(name, required, timeout, function)
        if problem:
            report(f"health:{repr_of(name)}", f"Health check {repr_of(name)} is not registered: {problem}.")
        else:
            _registry.add(Check(name, function, required, timeout))
        return function

    return register


def degraded(reason: str, **figures: float | str) -> Result:
    """What a check returns when it serves, but not well.

    Args:
        reason: A few words; who may see ``/health/detailed`` sees them.
        **figures: Numbers to show beside it.
    """
    return Result("degraded", text_of(reason, 200), figures)


def unhealthy(reason: str, **figures: float | str) -> Result:
    """What a check returns when it does not serve; the arguments are those of :func:`degraded`."""
    return Result("unhealthy", text_of(reason, 200), figures)


def _problem(name: Any, required: Any, timeout: Any, function: Any) -> str:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        return "its name has to be lower-case letters, digits and _.- after a letter, 63 at most"
    if name in _BUILT_IN:
        return "that is the name of a built-in check"
    if not isinstance(required, bool):
        return "`required` has to be True or False"
    if timeout is not None and (
        isinstance(timeout, bool) or not isinstance(timeout, (int, float)) or not 0 < timeout <= _LONGEST
    ):
        return f"its timeout has to be a number of seconds above 0, and {_LONGEST} at most"
    if not callable(function) or inspect.iscoroutinefunction(function):
        return "it has to be a function without arguments, and no coroutine function"
    return ""
