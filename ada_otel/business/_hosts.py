"""Active users and open sessions over several hosts, by Redis (PFADD and PFCOUNT).

A thread of its own does it, started when there is something to do: no request and no collection waits for
Redis. What Redis holds are hashes in a HyperLogLog and one number per host, all with a time to live.
"""

from __future__ import annotations

import threading
from time import monotonic, time
from typing import Any

from ada_otel._diagnostics import report
from ada_otel._instances import OWN
from ada_otel.business._users import WINDOWS, Users
from ada_otel.pipeline import threads
from ada_otel.pipeline.fork import on_fork

#: Seconds between two exchanges; what was fetched holds for so many.
_INTERVAL = 10.0
_HOLDS = 60.0


class Hosts:
    """What the hosts of a service know together."""

    def __init__(self, url: str, service: str, host: str, users: Users) -> None:
        """Take a server; nothing is connected yet.

        Args:
            url: Of the Redis server.
            service: Keeps services on one server apart.
            host: This host's name among them.
            users: Whose hashes are taken on.
        """
        self._url = url
        self._prefix = f"ada_otel:{{{service}}}:"
        self._host = host
        self._users = users
        users.fresh = set()
        self._sessions: int | None = None
        self._client: Any = None
        self._renew()
        on_fork(self._renew)

    def _renew(self) -> None:
        self._thread: threading.Thread | None = None
        self._found: tuple[float, dict[str, int], int | None] = (0.0, {}, None)
        self._client = None

    def wake(self) -> None:
        """Start the thread, unless it runs."""
        if self._thread is None:
            self._thread = threads.start(self._run, "ada-otel-business")

    def publish(self, sessions: int | None) -> None:
        """Say how many sessions are open on this host; its one reporting worker does."""
        self._sessions = sessions

    def counts(self) -> dict[str, int]:
        """The users of each window over all hosts; empty when Redis has not said so lately."""
        when, users, _ = self._found
        return users if when and monotonic() - when < _HOLDS else {}

    def sessions(self) -> int | None:
        """The open sessions over all hosts, if Redis has said so lately."""
        when, _, sessions = self._found
        return sessions if when and monotonic() - when < _HOLDS else None

    def _run(self) -> None:
        from opentelemetry.instrumentation.utils import suppress_instrumentation

        pause = threading.Event()
        while True:
            with suppress_instrumentation():
                self.exchange()
            pause.wait(_INTERVAL)

    def exchange(self) -> None:
        """Take on what is new here, and fetch what holds over all hosts; never raises."""
        fresh = self._users.take_fresh()
        try:
            if self._client is None:
                import redis

                self._client = redis.Redis.from_url(self._url, socket_timeout=2, socket_connect_timeout=2)
                # The app's health does not depend on it.
                setattr(self._client.connection_pool, OWN, True)
            now = time()
            pipeline = self._client.pipeline(transaction=False)
            if fresh:
                for number, window in enumerate(WINDOWS):
                    key = self._key(number, int(now) // window.slot)
                    pipeline.pfadd(key, *fresh)
                    pipeline.expire(key, window.slot * (window.slots + 2))
            for number, window in enumerate(WINDOWS):
                slot = int(now) // window.slot
                pipeline.pfcount(*(self._key(number, slot - back) for back in range(window.slots + 1)))
            key = self._prefix + "sessions"
            if self._sessions is not None:
                pipeline.hset(key, self._host, f"{self._sessions}:{int(now)}")
                pipeline.expire(key, 3600)
            pipeline.hgetall(key)
            answers = pipeline.execute()
            users = answers[2 * len(WINDOWS) * bool(fresh) :][: len(WINDOWS)]
            counts = {window.name: int(users[number]) for number, window in enumerate(WINDOWS)}
            self._found = (monotonic(), counts, _sum(answers[-1], now))
        except Exception as error:
            self._users.give_back(fresh)
            missing = isinstance(error, ImportError)
            why = "the package redis is not installed" if missing else "Redis did not answer"
            report(
                "business-redis",
                f"active users and sessions are not counted over several hosts, as {why} "
                f"({type(error).__name__}); each host counts its own. See ADA_OTEL_BUSINESS_REDIS_URL.",
                exc=error,
            )

    def _key(self, number: int, slot: int) -> str:
        return f"{self._prefix}users:{WINDOWS[number].name}:{slot}"


def _sum(answers: dict[bytes, bytes], now: float) -> int:
    """The sum over the hosts that have spoken within five minutes."""
    total = 0
    for value in answers.values():
        number, _, when = value.decode("ascii", "replace").partition(":")
        if number.isdecimal() and when.isdecimal() and now - int(when) < 300:
            total += int(number)
    return total
