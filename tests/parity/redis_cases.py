"""Commands and pipelines through redis-py."""

# ruff: noqa: PERF203 - each case goes on after its errors

from __future__ import annotations

import asyncio
import os
from typing import Any

import redis
import redis.asyncio
from opentelemetry import trace
from opentelemetry.instrumentation.utils import suppress_instrumentation
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.parity.kit import Case, Kit
from tests.parity.sampling_cases import drop_all

_SERVER = ("PARITY_REDIS_URL",)


class _Canned(redis.Redis):
    """A client that answers itself: for commands that a plain server does not have."""

    answer: Any = "OK"

    def _execute_command(self, *args: Any, **options: Any) -> Any:
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer


def _client(kit: Kit, **options: Any) -> redis.Redis:
    kit.instrument("redis", **options)
    return redis.Redis.from_url(os.environ["PARITY_REDIS_URL"])


def _commands(kit: Kit) -> None:
    client = _client(kit)
    with kit.tracer.start_as_current_span("outside"):
        client.set("parity", "secret", ex=60)
        kit.notes["value"] = client.get("parity").decode()  # type: ignore[union-attr]
        client.hset("parity:h", mapping={"a": 1, "b": 2})
        client.mget([f"parity:{n}" for n in range(600)])
        client.execute_command(b"PING")  # type: ignore[no-untyped-call]
        client.delete("parity", "parity:h")


def _errors(kit: Kit) -> None:
    client = _client(kit)
    client.set("parity:s", "text")
    for command in (
        ("HGET", "parity:s", "a"),
        ("NOSUCH", "x"),
        ("EVAL", "return redis.error_reply('no')", 0),
    ):
        try:
            client.execute_command(*command)  # type: ignore[no-untyped-call]
        except redis.ResponseError as error:
            kit.notes.setdefault("errors", []).append(type(error).__name__)
    client.delete("parity:s")


def _pipelines(kit: Kit) -> None:
    client = _client(kit)
    with kit.tracer.start_as_current_span("outside"):
        with client.pipeline() as pipeline:
            pipeline.set("parity:p", 1)
            pipeline.incr("parity:p")
            pipeline.get("parity:p")
            pipeline.expire("parity:p", 60)
            kit.notes["values"] = repr(pipeline.execute())
        with client.pipeline(transaction=False) as pipeline:
            kit.notes["empty"] = pipeline.execute()
        with client.pipeline() as pipeline:
            pipeline.hget("parity:p", "a")
            try:
                pipeline.execute()
            except redis.ResponseError as error:
                kit.notes["error"] = type(error).__name__


def _watch(kit: Kit) -> None:
    answers: list[Any] = []
    client = _client(kit, response_hook=lambda span, client, response: answers.append(repr(response)))
    other = redis.Redis.from_url(os.environ["PARITY_REDIS_URL"])
    with client.pipeline() as pipeline:
        pipeline.watch("parity:w")  # type: ignore[no-untyped-call]
        other.set("parity:w", "changed")
        pipeline.multi()
        pipeline.set("parity:w", "lost")
        try:
            pipeline.execute()
        except redis.WatchError as error:
            kit.notes["error"] = type(error).__name__
    kit.notes["answers"] = answers


def _hooks(kit: Kit) -> None:
    def request_hook(span: trace.Span, client: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        span.set_attribute("hook.args", [str(each) for each in args])

    def response_hook(span: trace.Span, client: Any, response: Any) -> None:
        span.set_attribute("hook.response", repr(response))

    def broken(*_: Any) -> None:
        raise RuntimeError("hook")

    client = _client(kit, request_hook=request_hook, response_hook=response_hook)
    client.set("parity:k", "v")
    with client.pipeline() as pipeline:
        pipeline.get("parity:k")
        pipeline.execute()
    kit.finish()
    broken_client = _client(kit, request_hook=broken, response_hook=broken)
    broken_client.delete("parity:k")


def _async(kit: Kit) -> None:
    async def work() -> None:
        client = redis.asyncio.Redis.from_url(os.environ["PARITY_REDIS_URL"])
        await client.set("parity:a", 1)
        async with client.pipeline() as pipeline:
            pipeline.get("parity:a")
            pipeline.delete("parity:a")
            await pipeline.execute()
        await client.aclose()

    kit.instrument("redis")
    asyncio.run(work())


def _addresses(kit: Kit) -> None:
    kit.instrument("redis")
    pools: list[Any] = [
        redis.ConnectionPool(host="cache.example", port=7000, db=3),
        redis.ConnectionPool(connection_class=redis.UnixDomainSocketConnection, path="/run/redis.sock", db=1),
        redis.ConnectionPool(),
    ]
    for pool in pools:
        _Canned(connection_pool=pool).execute_command("GET", "a")  # type: ignore[no-untyped-call]
    _Canned().execute_command("")  # type: ignore[no-untyped-call]


def _search(kit: Kit) -> None:
    kit.instrument("redis")
    client = _Canned()
    client.execute_command(  # type: ignore[no-untyped-call]
        "FT.CREATE", "idx", "ON", "HASH", "SCHEMA", "title", "TEXT", "price", "NUMERIC"
    )
    client.execute_command("FT.CREATE", "idx")  # type: ignore[no-untyped-call]
    client.answer = [2, "doc:1", ["title", "one"], "doc:2", ["title", "two", "price", "3"]]
    client.execute_command("FT.SEARCH", "idx", "@title:one")  # type: ignore[no-untyped-call]
    client.execute_command("FT.SEARCH", "idx", "*", "NOCONTENT")  # type: ignore[no-untyped-call]
    client.answer = [0]
    client.execute_command("FT.SEARCH", "idx", "none")  # type: ignore[no-untyped-call]
    client.answer = redis.ResponseError("no such index")
    for command in (("FT.SEARCH", "idx", "*"), ("GET", "a")):
        try:
            client.execute_command(*command)  # type: ignore[no-untyped-call]
        except redis.ResponseError as error:
            kit.notes["error"] = str(error)


def _interrupted(kit: Kit) -> None:
    kit.instrument("redis")
    client = _Canned()
    client.answer = KeyboardInterrupt()
    try:
        client.get("a")
    except KeyboardInterrupt:
        kit.notes["interrupted"] = True


def _refused(kit: Kit) -> None:
    kit.instrument("redis")
    client = redis.Redis(port=9, retry=Retry(NoBackoff(), 0))
    try:
        client.get("a")
    except redis.ConnectionError as error:
        kit.notes["error"] = type(error).__name__


def _suppressed(kit: Kit) -> None:
    kit.instrument("redis")
    with suppress_instrumentation():
        _Canned().get("a")
    kit.finish()
    _Canned().get("b")


def _one_client(kit: Kit) -> None:
    client = _Canned()
    kit.instrumentor("redis").instrument_client(client, tracer_provider=kit.tracer_provider)
    client.get("a")
    kit.instrumentor("redis").uninstrument_client(client)
    client.get("b")


CASES: list[Case] = [
    Case("redis: commands", _commands, needs=_SERVER),
    Case("redis: commands, not sampled", _commands, sampler=drop_all, needs=_SERVER),
    Case("redis: errors", _errors, needs=_SERVER),
    Case("redis: pipelines", _pipelines, needs=_SERVER),
    Case("redis: WatchError", _watch, needs=_SERVER),
    Case("redis: hooks", _hooks, needs=_SERVER),
    Case("redis: async", _async, needs=_SERVER),
    Case("redis: addresses", _addresses),
    Case("redis: search", _search),
    Case("redis: interrupted", _interrupted),
    Case("redis: connection refused", _refused),
    Case("redis: suppressed and uninstrumented", _suppressed),
    Case("redis: one client", _one_client),
]
