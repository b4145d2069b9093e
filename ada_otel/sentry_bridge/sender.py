"""Sends events to Sentry, and says of each request whether Sentry took all of it, or when to come again."""

from __future__ import annotations

import http.client
import logging
import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ada_otel.sentry_bridge.connection import Answer, Connection
from ada_otel.sentry_bridge.destination import CLIENT, Destination
from ada_otel.sentry_bridge.envelope import MAX_EVENT_BYTES, SMALL_EVENT_BYTES, envelope
from ada_otel.sentry_bridge.rate_limits import RateLimits, seconds_of_retry_after

_logger = logging.getLogger("ada_otel.sentry_bridge")

#: Seconds until the collector should come again when Sentry is away, and when it takes nothing with this DSN.
_AWAY_SECONDS = 5.0
_REFUSED_SECONDS = 60.0
#: How many ids of settled events are remembered, so that a repeated request does not send them again.
_REMEMBERED = 100_000


@dataclass(frozen=True)
class Outcome:
    """What became of the events of one request.

    Attributes:
        retry_after: Seconds until the request should come again; ``None`` when it is done with.
        limited: Whether that is because Sentry has limited the rate.
        reason: Why it should come again.
        rejected: Why Sentry never takes certain events, one text for each.
    """

    retry_after: float | None = None
    limited: bool = False
    reason: str = ""
    rejected: tuple[str, ...] = ()


@dataclass
class Counts:
    """What a sender did since it was made.

    Attributes:
        taken: Events that Sentry took.
        repeated: Events that were not sent again, since an earlier try had settled them.
        rejected: Events that Sentry never takes.
        postponed: Requests that have to come again.
        last_error: Why the last one had to; empty when Sentry took events after that.
    """

    taken: int = 0
    repeated: int = 0
    rejected: int = 0
    postponed: int = 0
    last_error: str = field(default="")


class _LaterError(Exception):
    def __init__(self, seconds: float, reason: str, *, limited: bool = False) -> None:
        super().__init__(reason)
        self.seconds = seconds
        self.limited = limited


class _RejectedError(Exception):
    """Sentry will never take this event."""


class Sender:
    """Sends events, one envelope each. Safe for threads.

    Args:
        destination: Where to.
        timeout: Seconds for connecting to Sentry, and for each read.
        budget: Seconds that one request may take. What is left then has to come again: the collector must
            not stop waiting first.
        clock: Seconds that only go forward.
    """

    def __init__(
        self,
        destination: Destination,
        *,
        timeout: float = 10.0,
        budget: float = 45.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._destination = destination
        self._timeout = timeout
        self._budget = budget
        self._clock = clock
        self._limits = RateLimits(clock)
        self._done: OrderedDict[str, str] = OrderedDict()
        self._lock = threading.Lock()
        self.counts = Counts()

    def waiting(self) -> float:
        """Seconds for which Sentry has said to send nothing; 0 for none."""
        return self._limits.remaining()

    def send(self, events: Sequence[dict[str, Any]]) -> Outcome:
        """Send events in their order, and stop at the first that has to wait."""
        rejected: list[str] = []
        deadline = self._clock() + self._budget - self._timeout
        try:
            with Connection(self._destination.url, self._timeout) as connection:
                for event in events:
                    if not self._is_done(event["event_id"], rejected):
                        self._settle(connection, event, deadline, rejected)
        except _LaterError as later:
            self._postponed(str(later))
            return Outcome(later.seconds, later.limited, str(later), tuple(rejected))
        return Outcome(rejected=tuple(rejected))

    def _settle(
        self, connection: Connection, event: dict[str, Any], deadline: float, rejected: list[str]
    ) -> None:
        if self._clock() > deadline:
            raise _LaterError(1.0, "Sentry takes the events of this request slowly")
        try:
            self._send(connection, event)
        except _RejectedError as error:
            rejected.append(f"event {event['event_id']}: {error}")
            self._done_with(event["event_id"], rejected=str(error))
        else:
            self._done_with(event["event_id"])

    def _send(self, connection: Connection, event: dict[str, Any]) -> None:
        for limit in (MAX_EVENT_BYTES, SMALL_EVENT_BYTES):
            remaining = self._limits.remaining()
            if remaining > 0:
                raise _LaterError(remaining, "Sentry has limited the rate of events", limited=True)
            answer = self._post(connection, envelope(event, limit))
            limits, retry_after = (
                answer.headers.get("X-Sentry-Rate-Limits"),
                answer.headers.get("Retry-After"),
            )
            self._limits.update(answer.status, limits, retry_after)
            if answer.status != 413:
                break
        self._judge(answer)

    def _post(self, connection: Connection, body: bytes) -> Answer:
        headers = {
            "Content-Type": "application/x-sentry-envelope",
            "Content-Encoding": "gzip",
            "User-Agent": CLIENT,
            "X-Sentry-Auth": self._destination.auth,
        }
        try:
            return connection.post(body, headers)
        except (OSError, http.client.HTTPException) as error:
            what = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise _LaterError(
                _AWAY_SECONDS, f"Sentry at {self._destination.name} did not answer: {what}"
            ) from None

    def _judge(self, answer: Answer) -> None:
        status = answer.status
        if 200 <= status < 300:
            return
        why = f"HTTP {status}: {_reason(answer)}"
        if status == 429:
            raise _LaterError(max(self._limits.remaining(), 1.0), f"Sentry says {why}", limited=True)
        if status in (400, 413, 422):
            raise _RejectedError(why)
        # A wrong key or a switched-off project is mended some day, and then nothing should be missing.
        usual = _AWAY_SECONDS if status >= 500 else _REFUSED_SECONDS
        seconds = max(1.0, seconds_of_retry_after(answer.headers.get("Retry-After"), usual))
        if status == 503 and answer.headers.get("Retry-After"):
            self._limits.hold(seconds)
        raise _LaterError(seconds, f"Sentry at {self._destination.name} refuses events with {why}")

    def _is_done(self, event_id: str, rejected: list[str]) -> bool:
        """Whether an earlier try of the request settled this event; if by a rejection, that is said again."""
        with self._lock:
            why = self._done.get(event_id)
            if why is None:
                return False
            self.counts.repeated += 1
        if why:
            rejected.append(f"event {event_id}: {why}")
        return True

    def _done_with(self, event_id: str, rejected: str = "") -> None:
        with self._lock:
            self._done[event_id] = rejected
            if len(self._done) > _REMEMBERED:
                self._done.popitem(last=False)
            self.counts.rejected += bool(rejected)
            self.counts.taken += not rejected
            came_back = bool(self.counts.last_error)
            self.counts.last_error = ""
        if rejected:
            _logger.warning("Sentry will never take event %s: %s", event_id, rejected)
        if came_back:
            _logger.info("Sentry takes events again")

    def _postponed(self, reason: str) -> None:
        with self._lock:
            self.counts.postponed += 1
            new = self.counts.last_error != reason
            self.counts.last_error = reason
        if new:
            _logger.warning("%s; the collector keeps what waits", reason)


def _reason(answer: Answer) -> str:
    """What Sentry says is wrong, on one line."""
    text = answer.headers.get("X-Sentry-Error") or answer.text or "no reason given"
    return " ".join(text.split())[:300]


def whole_seconds(seconds: float) -> int:
    """Seconds for a ``Retry-After`` header: at least 1, rounded up so that nobody comes too early."""
    return max(1, math.ceil(seconds))
