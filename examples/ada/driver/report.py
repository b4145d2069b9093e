"""What the driver sent, and what came back: the figures that telemetry is compared with."""

from __future__ import annotations

import math
import threading
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

_PERCENTILES = (50, 90, 95, 99)


class Report:
    """Counts, from several threads at once. `as_dict` gives the result."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests: Counter[tuple[str, str, int]] = Counter()
        self._seconds: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
        self._events: Counter[tuple[str, str, str]] = Counter()
        self._received: Counter[str] = Counter()
        self._errors: Counter[tuple[str, str]] = Counter()
        self._unexpected: list[str] = []

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """One request was answered. ``route`` is the app's template, or ``(unmatched)``."""
        with self._lock:
            self._requests[method, route, status] += 1
            self._seconds[method, route].append(seconds)

    def event(self, name: str, transport: str, outcome: str) -> None:
        """One Socket.IO event was sent; ``outcome``: ok, error (acknowledged as such) or refused."""
        with self._lock:
            self._events[name, transport, outcome] += 1

    def received(self, name: str) -> None:
        """The server sent one Socket.IO event of its own."""
        with self._lock:
            self._received[name] += 1

    def error(self, what: str, error: BaseException) -> None:
        """Something got no answer at all; whether the app saw it cannot be known."""
        with self._lock:
            self._errors[what, type(error).__name__] += 1

    def unexpected(self, text: str) -> None:
        """An answer differs from what the plan knows it has to be."""
        with self._lock:
            self._unexpected.append(text)

    def as_dict(self) -> dict[str, Any]:
        """All figures, ready for JSON; times in milliseconds."""
        with self._lock:
            return {
                "requests_total": sum(self._requests.values()),
                "requests": [
                    {"method": method, "route": route, "status": status, "count": count}
                    for (method, route, status), count in sorted(self._requests.items())
                ],
                "events_total": sum(self._events.values()),
                "events": [
                    {"event": name, "transport": transport, "outcome": outcome, "count": count}
                    for (name, transport, outcome), count in sorted(self._events.items())
                ],
                "events_received": dict(sorted(self._received.items())),
                "latency_ms": _percentiles([value for values in self._seconds.values() for value in values]),
                "latency_ms_by_route": [
                    {"method": method, "route": route, **_percentiles(values)}
                    for (method, route), values in sorted(self._seconds.items())
                ],
                "errors": [
                    {"what": what, "error": kind, "count": count}
                    for (what, kind), count in sorted(self._errors.items())
                ],
                "unexpected": list(self._unexpected),
            }


def _percentiles(seconds: Sequence[float]) -> dict[str, float]:
    """Nearest-rank percentiles, in milliseconds; empty without values."""
    if not seconds:
        return {}
    ordered = sorted(seconds)
    found = {f"p{percent}": ordered[math.ceil(percent / 100 * len(ordered)) - 1] for percent in _PERCENTILES}
    found["max"] = ordered[-1]
    return {name: round(value * 1000, 3) for name, value in found.items()}


def summary(result: dict[str, Any]) -> str:
    """``result`` (of `Report.as_dict`) as a few lines for a person."""
    lines = [f"{'count':>7}  {'status':>6}  request"]
    lines += [
        f"{row['count']:>7}  {row['status']:>6}  {row['method']} {row['route']}" for row in result["requests"]
    ]
    if result["events"]:
        lines += ["", f"{'count':>7}  {'outcome':>7}  Socket.IO event"]
        lines += [
            f"{row['count']:>7}  {row['outcome']:>7}  {row['event']} over {row['transport']}"
            for row in result["events"]
        ]
    latency = ", ".join(f"{name} {value:.1f}" for name, value in result["latency_ms"].items())
    lines += [
        "",
        f"{result['requests_total']} requests, {result['events_total']} events; ms: {latency or 'none'}",
    ]
    lines += [f"no answer: {row['what']}: {row['error']} x {row['count']}" for row in result["errors"]]
    lines += [f"unexpected: {text}" for text in result["unexpected"]]
    return "\n".join(lines)
