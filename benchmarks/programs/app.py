"""The app that every variant runs: Flask, and on one route a log line, an SQL query and a Redis call."""

from __future__ import annotations

import json
import logging
import os
import sys
import time

import peers  # type: ignore[import-not-found,unused-ignore]  # beside this file when it runs

peers.start()

import flask  # noqa: E402 - an SDK without a launcher starts before what it patches is imported
import redis  # noqa: E402
import sqlalchemy  # noqa: E402
from sqlalchemy.pool import StaticPool  # noqa: E402

app = flask.Flask("bench")
log = logging.getLogger("bench.app")
# The log line is written in every variant, and its cost is part of the bare app's.
_file = logging.StreamHandler(open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115, PTH123 - open to the end
_file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
logging.getLogger().addHandler(_file)
logging.getLogger().setLevel(logging.INFO)

engine = sqlalchemy.create_engine(
    "sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False}
)
cache = redis.Redis(port=int(os.environ["BENCH_REDIS_PORT"]))
peers.connect(app, engine)

with engine.begin() as connection:
    connection.execute(sqlalchemy.text("CREATE TABLE items (id INTEGER PRIMARY KEY, name TEXT)"))
    connection.execute(sqlalchemy.text("INSERT INTO items VALUES (1, 'first')"))
SELECT = sqlalchemy.text("SELECT id, name FROM items WHERE id = :id")


@app.route("/plain/<int:item>")
def plain(item: int) -> str:
    """Do nothing but answer."""
    return "ok"


@app.route("/full/<int:item>")
def full(item: int) -> str:
    """Write one log line, run one query, ask Redis once."""
    log.info("item %s requested", item, extra={"item": item})
    with engine.connect() as connection:
        connection.execute(SELECT, {"id": item}).all()
    cache.get("item")
    return "ok"


@app.route("/usage")
def usage() -> str:
    """Send all telemetry, then say what this process has used: CPU in seconds, resident memory in KiB."""
    peers.flush()
    return json.dumps({"cpu_s": time.process_time(), "rss_kib": resident_kib()})


def resident_kib() -> int:
    """Resident memory of this process now, in KiB; where the system does not tell, its peak."""
    try:
        with open("/proc/self/statm", encoding="ascii") as statm:  # noqa: PTH123 - pathlib is not loaded yet
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024
    except OSError:
        import resource

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak // 1024 if sys.platform == "darwin" else peak
