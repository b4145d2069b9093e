"""Values as Sentry takes them: JSON without surprises, and of bounded size."""

from __future__ import annotations

import math
import re
from typing import Any

_MAX_TEXT = 4096
_MAX_ITEMS = 50
_MAX_DEPTH = 4
#: The bounds of Relay's schema for tags.
_MAX_TAG = 200
_NO_TAG_KEY = re.compile(r"[^A-Za-z0-9_.:-]")
#: Sentry refuses a release or environment with one of these.
_NO_TOKEN = re.compile(r"[\s/\\\x00-\x1f]")


def plain(value: Any, depth: int = 0) -> Any:
    """A value for JSON: long text, long lists and deep nesting are cut, and NaN and infinity become text."""
    if value is None or isinstance(value, (str, bool, int, float)):
        return _scalar(value)
    if depth >= _MAX_DEPTH:
        return "…"
    if isinstance(value, dict):
        return {str(key): plain(item, depth + 1) for key, item in list(value.items())[:_MAX_ITEMS]}
    if isinstance(value, (list, tuple)):
        return [plain(item, depth + 1) for item in value[:_MAX_ITEMS]]
    return str(value)[:_MAX_TEXT]


def _scalar(value: Any) -> str | float | None:
    if isinstance(value, str):
        return value if len(value) <= _MAX_TEXT else value[: _MAX_TEXT - 1] + "…"
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    # Beyond this, whole numbers lose digits on their way through JSON.
    return str(value) if isinstance(value, int) and abs(value) > 1 << 53 else value


def tag_key(key: str) -> str:
    """A name that Sentry takes for a tag."""
    return _NO_TAG_KEY.sub("_", key)[:_MAX_TAG]


def tag_value(value: Any) -> str:
    """A value that Sentry takes for a tag: one line, not too long."""
    if isinstance(value, bool):
        return str(value).lower()
    return " ".join(str(value).split())[:_MAX_TAG]


def token(value: Any, longest: int) -> str | None:
    """A release or environment without the characters that Sentry refuses; ``None`` for none."""
    text = _NO_TOKEN.sub("-", str(value).strip())[:longest] if value not in (None, "") else ""
    return text if text not in ("", ".", "..") and text.lower() != "none" else None
