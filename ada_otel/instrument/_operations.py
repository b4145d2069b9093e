"""``db.client.operation.duration``: one bound histogram for each operation and error of a database."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from opentelemetry.metrics import Meter

from ada_otel import catalogue
from ada_otel.pipeline.metrics import BoundHistogram, bind

OTHER = "_OTHER"

_KEPT = ("db.system.name", "db.namespace", "server.address", "server.port")
_LEADING_COMMENT = re.compile(r"^(?:\s*/\*.*?\*/|\s*--[^\n]*\n)+", re.DOTALL)
#: Statements whose operation is remembered; texts longer than this are not worth holding.
_STATEMENTS, _LONGEST_REMEMBERED = 1024, 4096


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_SQL = _words(
    """
    SELECT INSERT UPDATE DELETE MERGE REPLACE WITH VALUES CALL EXEC EXECUTE BEGIN COMMIT ROLLBACK
    SAVEPOINT RELEASE CREATE ALTER DROP TRUNCATE PRAGMA SET SHOW USE EXPLAIN ANALYZE VACUUM REINDEX
    REFRESH COPY LOCK GRANT REVOKE DECLARE FETCH CLOSE LISTEN NOTIFY DESCRIBE
    """
)
_REDIS = _words(
    """
    APPEND AUTH BITCOUNT BITFIELD BITOP BITPOS BLMOVE BLMPOP BLPOP BRPOP BRPOPLPUSH BZMPOP BZPOPMAX
    BZPOPMIN CLIENT CLUSTER COMMAND CONFIG COPY DBSIZE DECR DECRBY DEL DISCARD DUMP ECHO EVAL EVALSHA
    EVAL_RO EVALSHA_RO EXEC EXISTS EXPIRE EXPIREAT EXPIRETIME FCALL FCALL_RO FLUSHALL FLUSHDB FUNCTION
    GEOADD GEODIST GEOHASH GEOPOS GEORADIUS GEOSEARCH GEOSEARCHSTORE GET GETBIT GETDEL GETEX GETRANGE
    GETSET HDEL HELLO HEXISTS HEXPIRE HGET HGETALL HINCRBY HINCRBYFLOAT HKEYS HLEN HMGET HMSET
    HRANDFIELD HSCAN HSET HSETNX HSTRLEN HTTL HVALS INCR INCRBY INCRBYFLOAT INFO KEYS LINDEX LINSERT
    LLEN LMOVE LMPOP LPOP LPOS LPUSH LPUSHX LRANGE LREM LSET LTRIM MEMORY MGET MONITOR MOVE MSET MSETNX
    MULTI OBJECT PERSIST PEXPIRE PEXPIREAT PFADD PFCOUNT PFMERGE PING PSETEX PSUBSCRIBE PTTL PUBLISH
    PUBSUB PUNSUBSCRIBE RANDOMKEY RENAME RENAMENX RESTORE RPOP RPOPLPUSH RPUSH RPUSHX SADD SAVE SCAN
    SCARD SCRIPT SDIFF SDIFFSTORE SELECT SET SETBIT SETEX SETNX SETRANGE SINTER SINTERCARD SINTERSTORE
    SISMEMBER SLOWLOG SMEMBERS SMISMEMBER SMOVE SORT SPOP SPUBLISH SRANDMEMBER SREM SSCAN SSUBSCRIBE
    STRLEN SUBSCRIBE SUNION SUNIONSTORE TIME TOUCH TTL TYPE UNLINK UNSUBSCRIBE UNWATCH WAIT WATCH XACK
    XADD XAUTOCLAIM XCLAIM XDEL XGROUP XINFO XLEN XPENDING XRANGE XREAD XREADGROUP XREVRANGE XTRIM ZADD
    ZCARD ZCOUNT ZDIFF ZDIFFSTORE ZINCRBY ZINTER ZINTERCARD ZINTERSTORE ZLEXCOUNT ZMPOP ZMSCORE ZPOPMAX
    ZPOPMIN ZRANDMEMBER ZRANGE ZRANGEBYLEX ZRANGEBYSCORE ZRANGESTORE ZRANK ZREM ZREMRANGEBYLEX
    ZREMRANGEBYRANK ZREMRANGEBYSCORE ZREVRANGE ZREVRANGEBYSCORE ZREVRANK ZSCAN ZSCORE ZUNION ZUNIONSTORE
    """
)


class Durations:
    """The histograms of one database, bound when an operation is first seen."""

    def __init__(self, histogram: Any, attributes: Mapping[str, Any]) -> None:
        self._histogram = histogram
        self._attributes = {key: attributes[key] for key in _KEPT if key in attributes}
        self._bound: dict[tuple[str, str | None], BoundHistogram] = {}

    def of(self, operation: str, error: BaseException | None = None) -> BoundHistogram:
        """The histogram of an operation that ended well, or with ``error``.

        Args:
            operation: One of few words, such as :func:`sql_operation` gives.
            error: Gives ``error.type`` by its class.
        """
        key = (operation, None if error is None else type(error).__qualname__)
        return self._bound.get(key) or self._bind(key)

    def _bind(self, key: tuple[str, str | None]) -> BoundHistogram:
        found = {**self._attributes, "db.operation.name": key[0]}
        if key[1] is not None:
            found["error.type"] = key[1]
        bound: BoundHistogram = bind(self._histogram, found)
        self._bound[key] = bound
        return bound


def histogram(meter: Meter) -> Any:
    """Make the instrument."""
    return catalogue.create(meter, catalogue.metric("db.client.operation.duration"))


def sql_operation(statement: str) -> str:
    """The first word of a statement in capitals, if it is one of SQL's; else ``_OTHER``."""
    if len(statement) > _LONGEST_REMEMBERED:
        return _read(statement)
    return _remembered(statement)


def _read(statement: str) -> str:
    words = _LEADING_COMMENT.sub("", statement).split(None, 1)
    word = words[0].upper().rstrip(";") if words else ""
    return word if word in _SQL else OTHER


_remembered = lru_cache(_STATEMENTS)(_read)


@lru_cache(512)
def redis_operation(command: str) -> str:
    """The first word of a command in capitals, if it is one of Redis's; else ``_OTHER``."""
    word = command.partition(" ")[0].upper()
    return word if word in _REDIS else OTHER
