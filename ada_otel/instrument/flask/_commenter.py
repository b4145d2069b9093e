"""What sqlcommenter says of a request.

The stock code makes a context for it in every request. Here an empty dict is in the request's context from
its start, and is filled when Flask knows the route; what goes in is worked out once per route.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from importlib.metadata import version
from typing import Any

#: The context key that the database instrumentations read.
COMMENTER_KEY = "SQLCOMMENTER_ORM_TAGS_AND_VALUES"


def request_tags(options: dict[str, Any]) -> Callable[[str | None, str | None], dict[str, str]]:
    """Give a function from endpoint and route to the tags that ``options`` wants.

    Args:
        options: ``framework``, ``controller`` and ``route``; False leaves one out.
    """
    framework = f"flask:{version('flask')}" if options.get("framework", True) else None
    controller, with_route = options.get("controller", True), options.get("route", True)

    @lru_cache(1024)
    def tags(endpoint: str | None, route: str | None) -> dict[str, str]:
        found = {
            "framework": framework,
            "controller": endpoint if controller else None,
            "route": route if with_route else None,
        }
        return {key: value for key, value in found.items() if value}

    return tags
