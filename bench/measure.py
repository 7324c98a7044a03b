"""One turn of one side: warmed up, loaded for a while, and checked: every payment is booked."""

import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Final

import psycopg2
import redis
from psycopg2.extensions import connection as Connection  # noqa: N812  a class

from bench import orders, usage
from bench.ground import Ground
from bench.relay import relay
from bench.report import Counted, Measured
from bench.sides import Loaded, Running, Side

FIRST_RATE: Final = 3_000
LEAST_RATE: Final = 500
"""Payments a second that orders are made for: before a side has shown its own rate, and always."""
SPARE: Final = 2
"""So many times as many orders are made as the side paid while it was warmed up."""
TRIES: Final = 3
"""A side that ran out of orders is measured again with twice as many."""

DRAIN_TIMEOUT_S: Final = 90.0
"""The slowest side needs 20 s for 1,000 requests on a busy machine; none may end later."""
DRAIN_POLL_S: Final = 0.5
BOOKED_POLL_S: Final = 0.05
QUIET_POLLS: Final = 2
IDLE_CPU: Final = 0.1
"""Of a core: a server that has nothing to do uses less."""


class _OutOfOrdersError(Exception):
    """There were fewer orders than the side could pay."""


@dataclass(frozen=True)
class Snapshot:
    """Where all counters stand."""

    cpu: dict[str, float]
    wal_bytes: int
    valkey_calls: int


def measure(ground: Ground, side: Side, connections: int, seconds: int, warm_s: int) -> Measured:
    """Measure one side; raise RuntimeError if a payment was lost."""
    with side.start(ground, ground.url, connections) as running:
        rate = max(LEAST_RATE, _warm_up(ground, running, warm_s))
        parts = {"server": running.pids, **ground.parts}
        for tries in range(TRIES):
            series = ground.next_series()
            count = int(rate * seconds * SPARE * 2**tries) + 2 * connections
            prepared = running.prepare(series, count)
            _checkpoint(ground.url)
            paid = -orders.paid(ground.url)  # outside of what is measured: it costs CPU time
            before = _snapshot(ground, parts)
            loaded = running.load(series, seconds)
            ended_s = _drain(ground, running)
            after = _snapshot(ground, parts)
            paid += orders.paid(ground.url)
            memory = {
                "server": usage.peak_mb(running.pids),
                "database": loaded.database_mb or usage.private_mb(ground.parts["database"]),
            }
            try:
                made = _checked(side, loaded, paid, prepared, connections)
            except _OutOfOrdersError:
                continue
            loaded = _with_rate(loaded, made, ended_s)
            return _measured(side, connections, loaded, made, before, after, memory)
    raise RuntimeError(f"{side.title} ran out of orders {TRIES} times")


def count(ground: Ground, side: Side, connections: int, seconds: int) -> Counted:
    """Count what a side sends to PostgreSQL, through a relay; it is not timed."""
    with (
        relay(ground.url) as (relayed, url),
        side.start(ground, url, connections) as running,
    ):
        _warm_up(ground, running, seconds)
        series = ground.next_series()
        running.prepare(series, FIRST_RATE * seconds)
        paid, before = orders.paid(ground.url), relayed.counts()
        running.load(series, seconds)
        _drain(ground, running)
        made = orders.paid(ground.url) - paid
        after = relayed.counts()
    return Counted(
        side.name,
        connections,
        made,
        (after.statements - before.statements) / made,
        (after.round_trips - before.round_trips) / made,
        (after.transactions - before.transactions) / made,
    )


def _warm_up(ground: Ground, running: Running, seconds: int) -> float:
    """Let connections, caches and plans be made; return payments a second."""
    series = ground.next_series()
    running.prepare(series, FIRST_RATE * seconds)
    rate = running.load(series, seconds).rate
    _drain(ground, running)
    return rate


def _checked(side: Side, loaded: Loaded, made: int, prepared: int, connections: int) -> int:
    """Return the payments of a turn; each answer must stand for one that is booked."""
    if not side.pays:
        return loaded.made
    if prepared - connections <= made < loaded.made:
        raise _OutOfOrdersError
    if not made or not loaded.made <= made <= loaded.made + connections + loaded.errors:
        raise RuntimeError(f"{side.title} answered {loaded} and {made} payments are booked")
    return made


def _with_rate(loaded: Loaded, made: int, ended_s: float) -> Loaded:
    """Return the load with its payments/s until the last one that it left under way is booked.

    A slow side books 1,000 requests in waves: seconds that are cut out would see one, or none.
    """
    if loaded.began_s is None:
        return loaded
    return replace(loaded, rate=made / (ended_s - loaded.began_s))


def _measured(
    side: Side,
    connections: int,
    loaded: Loaded,
    made: int,
    before: Snapshot,
    after: Snapshot,
    memory: dict[str, float],
) -> Measured:
    return Measured(
        side=side.name,
        connections=connections,
        rate=loaded.rate,
        payments=made,
        errors=loaded.errors,
        p50_ms=loaded.p50_ms,
        p95_ms=loaded.p95_ms,
        p99_ms=loaded.p99_ms,
        cpu_us={part: (after.cpu[part] - s) / made * 1e6 for part, s in before.cpu.items()},
        wal_bytes=(after.wal_bytes - before.wal_bytes) / made,
        valkey_calls=(after.valkey_calls - before.valkey_calls) / made,
        memory_mb=memory,
    )


def _checkpoint(database_url: str) -> None:
    """Write a checkpoint, so that no side pays for the one before."""
    with closing(psycopg2.connect(database_url)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("VACUUM ANALYZE orders, order_items, payments")
            cursor.execute("CHECKPOINT")


def _snapshot(ground: Ground, parts: dict[str, Sequence[int]]) -> Snapshot:
    cpu = {part: sum(map(usage.cpu_s, pids)) for part, pids in parts.items()}
    cpu["load"] = usage.ended_children_s()
    return Snapshot(cpu, _wal_bytes(ground.url), _valkey_calls(ground.valkey.url))


def _wal_bytes(database_url: str) -> int:
    with closing(psycopg2.connect(database_url)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint")
        (wal_bytes,) = cursor.fetchone() or (0,)
    return int(wal_bytes)


def _valkey_calls(url: str) -> int:
    """Return how many scripts Valkey was asked to run."""
    with closing(redis.Redis.from_url(url)) as client:
        stats = client.info("commandstats")
    return sum(stats.get(f"cmdstat_{name}", {"calls": 0})["calls"] for name in ("eval", "evalsha"))


def _drain(ground: Ground, running: Running) -> float:
    """Wait until no request that was left behind is served any more: not even one of a backlog.

    Return when the last payment was booked, by the monotonic clock.
    """
    ended_s = time.monotonic()
    deadline, quiet = ended_s + DRAIN_TIMEOUT_S, 0
    before = _activity(ground, running)
    with closing(psycopg2.connect(ground.url)) as connection:
        connection.autocommit = True
        while quiet < QUIET_POLLS:
            if time.monotonic() > deadline:
                raise RuntimeError(f"payments were still under way after {DRAIN_TIMEOUT_S:g} s")
            ended_s = _last_booked(connection, DRAIN_POLL_S) or ended_s
            now = _activity(ground, running)
            idle = now[0] == before[0] and now[1] - before[1] < IDLE_CPU * DRAIN_POLL_S
            quiet = quiet + 1 if idle and not orders.under_way(ground.url) else 0
            before = now
    return ended_s


def _last_booked(connection: Connection, seconds: float) -> float | None:
    """Return when in the next `seconds` the last payment was booked; None if none was."""
    last_s, booked, end = None, orders.booked(connection), time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(BOOKED_POLL_S)
        now = orders.booked(connection)
        if now != booked:
            last_s, booked = time.monotonic(), now
    return last_s


def _activity(ground: Ground, running: Running) -> tuple[int, float]:
    return _wal_bytes(ground.url), sum(map(usage.cpu_s, running.pids))
