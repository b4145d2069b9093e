"""What our Redis instrumentation puts into the classes of redis-py, and takes out again."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from types import FunctionType
from typing import Any

import pytest
import redis
import redis.client

from ada_otel.instrument import _conventions
from ada_otel.instrument.redis import RedisInstrumentor

METHODS = (
    (redis.Redis, "execute_command"),
    (redis.client.Pipeline, "execute"),
    (redis.client.Pipeline, "immediate_execute_command"),
)


@pytest.fixture
def instrumentor(monkeypatch: pytest.MonkeyPatch) -> Iterator[RedisInstrumentor]:
    # The conventions are read once in a process, by whichever test is the first.
    monkeypatch.setattr(_conventions, "fast", lambda: True)
    for owner, method in METHODS:
        monkeypatch.setattr(owner, method, getattr(owner, method))  # put back, whatever a test leaves
    found = RedisInstrumentor()
    yield found
    if found.is_instrumented_by_opentelemetry:
        found.uninstrument()


def _held() -> list[Any]:
    return [vars(owner)[method] for owner, method in METHODS]


def test_the_methods_are_wrapped_once_and_put_back(instrumentor: RedisInstrumentor) -> None:
    before = _held()
    instrumentor.instrument()
    held = _held()
    assert [each.__wrapped__ for each in held] == before
    assert [type(each) for each in held] == [FunctionType] * 3  # the stock code's are objects
    assert [each.__name__ for each in held] == [method for _, method in METHODS]
    instrumentor.uninstrument()
    assert _held() == before


def test_what_somebody_else_has_put_around_ours_stays(instrumentor: RedisInstrumentor) -> None:
    instrumentor.instrument()
    ours: Any = redis.Redis.execute_command

    @functools.wraps(ours)
    def theirs(*args: Any, **kwargs: Any) -> Any:
        return ours(*args, **kwargs)

    redis.Redis.execute_command = theirs  # type: ignore[method-assign]
    instrumentor.uninstrument()
    assert redis.Redis.execute_command is theirs
