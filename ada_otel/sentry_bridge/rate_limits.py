"""What Sentry says about waiting, ``X-Sentry-Rate-Limits`` and ``Retry-After``, and how long that holds."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime

#: Events with and without an exception count against the same quota. No category means each of them.
_CATEGORIES = frozenset({"error", "default", "all", ""})
#: What a 429 means that says nothing about time.
DEFAULT_SECONDS = 60.0
#: A longer wait is not believed: nobody could undo it.
_MOST_SECONDS = 86_400.0


class RateLimits:
    """Until when nothing may be sent. Safe for threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._until = 0.0
        self._lock = threading.Lock()

    def remaining(self) -> float:
        """Seconds to wait; 0 when events may be sent."""
        return max(0.0, self._until - self._clock())

    def hold(self, seconds: float) -> None:
        """Send nothing for ``seconds``; an earlier limit that lasts longer stays."""
        with self._lock:
            self._until = max(self._until, self._clock() + min(seconds, _MOST_SECONDS))

    def update(self, status: int, limits: str | None, retry_after: str | None) -> None:
        """Take in one answer of Sentry's. A limit may come with any status, also with 200.

        Args:
            status: Its HTTP status.
            limits: Its header ``X-Sentry-Rate-Limits``.
            retry_after: Its header ``Retry-After``.
        """
        if limits is not None:
            # Where this header is, Retry-After adds nothing: it is the longest over all categories.
            self.hold(seconds_of_limits(limits))
        elif status == 429:
            self.hold(seconds_of_retry_after(retry_after, DEFAULT_SECONDS))


def seconds_of_limits(header: str) -> float:
    """The longest limit that holds for error events; 0 for none.

    Args:
        header: ``60:error;default:organization:quota, 2700:transaction:project``.
    """
    longest = 0.0
    for limit in header.split(","):
        fields = limit.strip().split(":")
        categories = fields[1].split(";") if len(fields) > 1 else [""]
        if _CATEGORIES.isdisjoint(category.strip().lower() for category in categories):
            continue
        longest = max(longest, _number(fields[0], DEFAULT_SECONDS) if fields[0] else 0.0)
    return longest


def seconds_of_retry_after(header: str | None, default: float) -> float:
    """Seconds of a ``Retry-After`` header, which holds seconds or a date; ``default`` if it holds neither."""
    if not header:
        return default
    try:
        date = parsedate_to_datetime(header)
    except (TypeError, ValueError):
        return _number(header, default)
    if date.tzinfo is None:
        date = date.replace(tzinfo=timezone.utc)
    return max(0.0, (date - datetime.now(timezone.utc)).total_seconds())


def _number(text: str, default: float) -> float:
    try:
        number = float(text)
    except ValueError:
        return default
    return number if 0 <= number < float("inf") else default
