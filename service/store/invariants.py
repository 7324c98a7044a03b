"""Whether the money is right, and what is still under way: read by gauges and the admin API."""

from datetime import datetime, timedelta

import msgspec

from service.slo import GRANT_FRESHNESS_S
from service.store.database import Database


class Backlog(msgspec.Struct, frozen=True):
    """Work that is not finished; ages in seconds."""

    outbox: dict[str, int]
    outbox_oldest_s: float
    unresolved: dict[str, int]
    unresolved_oldest_s: dict[str, float]
    unresolved_refunds: dict[str, int]
    paid_not_granted: int


async def violations(db: Database) -> dict[str, int]:
    """Return the number of rows that break each money invariant; all 0 when all is well."""
    rows = await db.report("SELECT invariant, violations FROM money_invariants ORDER BY invariant")
    return {name: int(count) for name, count in rows}


async def backlog(db: Database, at: datetime) -> Backlog:
    """Return what is under way; a grant is late after GRANT_FRESHNESS_S."""
    outbox = await db.read(
        "SELECT topic, count(*), extract(epoch FROM %s - min(created_at))::float8"
        " FROM outbox WHERE delivered_at IS NULL AND given_up_at IS NULL GROUP BY topic",
        (at,),
    )
    unresolved = await db.read(
        "SELECT status, count(*), extract(epoch FROM %s - min(updated_at))::float8 FROM payments"
        " WHERE status IN ('processing', 'unknown', 'review') GROUP BY status",
        (at,),
    )
    refunds = await db.read(
        "SELECT status, count(*) FROM refunds WHERE status IN ('pending', 'unknown')"
        " GROUP BY status"
        " UNION ALL SELECT status, count(*) FROM refunds WHERE status = 'review' GROUP BY status"
    )
    late = await db.read(
        "SELECT (SELECT count(*) FROM outbox o"
        "  WHERE o.topic = 'library.grant' AND o.delivered_at IS NULL AND o.given_up_at IS NULL"
        "  AND o.created_at < %s)"
        " + (SELECT count(*) FROM outbox o JOIN payments p ON p.id = o.payment_id"
        "  WHERE o.given_up_at IS NOT NULL AND p.status = 'succeeded'"
        "  AND p.refunded_minor < p.captured_minor)",
        (at - timedelta(seconds=GRANT_FRESHNESS_S),),
    )
    return Backlog(
        outbox={topic: int(count) for topic, count, _ in outbox},
        outbox_oldest_s=max((age for _, _, age in outbox), default=0.0),
        unresolved={status: int(count) for status, count, _ in unresolved},
        unresolved_oldest_s={status: age for status, _, age in unresolved},
        unresolved_refunds={status: int(count) for status, count in refunds},
        paid_not_granted=int(late[0][0]),
    )
