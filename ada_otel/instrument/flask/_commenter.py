"""What sqlcommenter says of a request, worked out only when a statement is commented.

The stock code makes a dict and a context for every request, which nobody reads unless sqlcommenter is on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.metadata import version
from typing import Any

import flask

#: The context key that the database instrumentations read.
COMMENTER_KEY = "SQLCOMMENTER_ORM_TAGS_AND_VALUES"


class RequestTags(Mapping[str, str]):
    """The current request's framework, controller and route, as far as ``options`` wants them."""

    def __init__(self, options: dict[str, Any]) -> None:
        self._options = options

    def _tags(self) -> dict[str, str]:
        if not flask.has_request_context():
            return {}
        request, tags = flask.request, {}
        if self._options.get("framework", True):
            tags["framework"] = f"flask:{version('flask')}"
        if self._options.get("controller", True) and request.endpoint:
            tags["controller"] = request.endpoint
        if self._options.get("route", True) and request.url_rule and request.url_rule.rule:
            tags["route"] = request.url_rule.rule
        return tags

    def __getitem__(self, key: str) -> str:
        return self._tags()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._tags())

    def __len__(self) -> int:
        return len(self._tags())
