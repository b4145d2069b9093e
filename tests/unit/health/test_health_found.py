"""Engines and pools are found beside an app that runs, and the app does not notice."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import redis
import sqlalchemy
from sqlalchemy.engine import Engine

from ada_otel._instances import instances
from ada_otel.business._folder import Folder
from ada_otel.business._hosts import Hosts
from ada_otel.business._users import Users
from ada_otel.web.health._found import Found


class Special(Engine):
    """An engine of the app's own class."""


class MoreSpecial(Special):
    """And one derived from that."""


def test_objects_of_a_class_and_of_derived_ones_are_found() -> None:
    engine = sqlalchemy.create_engine("sqlite://")
    special = MoreSpecial(engine.pool, engine.dialect, engine.url)
    found = {id(each) for each in instances(Engine)}
    assert {id(engine), id(special)} <= found
    assert [each for each in instances(Special) if each is not special] == []


def test_a_walk_leaves_tuples_alone_that_other_threads_make() -> None:
    engine = sqlalchemy.create_engine("sqlite:///found.db")
    client = redis.Redis(port=1)
    found, over = Found(), threading.Event()
    errors: list[BaseException] = []

    def rows() -> Iterator[int]:
        for number in range(40):
            time.sleep(0.0002)
            yield number

    def serve() -> None:
        while not over.is_set():
            try:
                tuple(rows())
            except SystemError as error:  # noqa: PERF203  # each for itself
                errors.append(error)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        for _ in range(50):
            found._next = 0.0
            assert engine in found.engines()
            assert client.connection_pool in found.pools()
            time.sleep(0.003)
    finally:
        over.set()
        thread.join()
    assert errors == []


def test_the_redis_of_active_users_is_not_one_of_the_apps(tmp_path: Path) -> None:
    users = Users(Folder(str(tmp_path)))
    hosts = Hosts("redis://127.0.0.1:1/7", "shop", "host", users)
    hosts.exchange()
    assert hosts._client is not None
    client = redis.Redis(port=1, db=6)
    found = {pool.connection_kwargs.get("db") for pool in Found().pools()}
    assert 6 in found
    assert 7 not in found
    client.close()
