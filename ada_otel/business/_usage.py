"""Who uses what: features and API clients."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from ada_otel.business import _check
from ada_otel.business._telemetry import count, note

P = ParamSpec("P")
T = TypeVar("T")


@_check.safely
def feature_used(name: str) -> None:
    """Count one use of a feature.

    Args:
        name: Of the feature, for instance ``"export.pdf"``; one of a few, and never an id.
    """
    found = _check.label("feature_used", "name", name)
    if found is not None:
        attributes = {"ada.feature.name": found}
        count("ada.feature.uses", attributes)
        note(attributes)


def _as_it_is(function: Any) -> Any:
    return function


@_check.otherwise(lambda: _as_it_is)
def feature(name: str) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Decorate a function, so that each call counts as one use of the feature ``name``."""
    given: Any = name
    if _check.decorated("feature", "name", given, "Its calls are not counted."):
        return given  # type: ignore[no-any-return]  # the app's function, as it is

    def decorate(function: Callable[P, T]) -> Callable[P, T]:
        @wraps(function)
        def used(*args: P.args, **kwargs: P.kwargs) -> T:
            feature_used(name)
            return function(*args, **kwargs)

        return used

    return decorate


@_check.safely
def api_request(client: str, *, success: bool = True) -> None:
    """Count one request of an API client.

    Args:
        client: A name that you have given it, for instance of its key's owner; never the key.
        success: Whether it was served.
    """
    found = _check.label("api_request", "client", client)
    if found is None:
        return
    if type(success) is not bool:
        _check.wrong("api_request", "success", success, "True or False")
        return
    count("ada.api.requests", {"ada.client.name": found, "ada.outcome": "success" if success else "failure"})
    note({"ada.client.name": found})
