"""What is known of a URL rule of Flask's, worked out once: its route, and what sqlcommenter says of it.

The stock code makes a dict and a context of these tags in every request. Here the dict is the route's, and is
put into the request's own context when Flask knows the route.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

#: The context key that the database instrumentations read.
COMMENTER_KEY = "SQLCOMMENTER_ORM_TAGS_AND_VALUES"
#: So many are remembered; the rules of an application are few.
_MOST_ROUTES = 4096


class Route:
    """One URL rule, or that there is none.

    Args:
        rule: The rule, which is held, so that its id stays its own.
        tags: What SQL comments say of its requests, for all of them; None for nothing.

    Attributes:
        route: ``http.route``.
    """

    __slots__ = ("_rule", "route", "tags")

    def __init__(self, rule: Any, tags: dict[str, str] | None) -> None:
        self._rule = rule
        self.route: str | None = None if rule is None else rule.rule
        self.tags = tags


class Routes(dict[int, Route]):
    """The routes of an application, by the ids of its rules, as rules cannot be hashed.

    Args:
        enable_commenter: Whether there are tags.
        options: ``framework``, ``controller`` and ``route``; False leaves one out.
    """

    __slots__ = ("_commented", "_framework", "_options")

    def __init__(self, *, enable_commenter: bool, options: dict[str, Any]) -> None:
        self._commented = enable_commenter
        self._options = options
        self._framework = f"flask:{version('flask')}"

    def learn(self, rule: Any) -> Route:
        """A rule that is not remembered; it is from now on."""
        if len(self) >= _MOST_ROUTES:
            self.clear()
        found = self[id(rule)] = Route(rule, self._tags(rule) if self._commented else None)
        return found

    def _tags(self, rule: Any) -> dict[str, str]:
        found = {
            "framework": self._framework,
            "controller": None if rule is None else rule.endpoint,
            "route": None if rule is None else rule.rule,
        }
        return {key: value for key, value in found.items() if value and self._options.get(key, True)}
