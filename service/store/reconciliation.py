"""Our side of a comparison, looked up page by page, and the differences that were found."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, Literal
from uuid import UUID

import msgspec

from service.domain.payment import PaymentStatus
from service.domain.reconciliation import DifferenceKind
from service.store.database import Database
from service.store.rows import Page, Select, Timestamp, columns, row_of, rows_of

Shown = Literal["open", "resolved", "all"]


class PaymentFacts(msgspec.Struct, frozen=True):
    """A payment as far as a provider's list can tell of it; `moved_at` includes its refunds."""

    id: UUID
    status: PaymentStatus
    provider_ref: str | None
    amount_minor: int
    currency: str
    captured_minor: int
    refunded_minor: int
    refund_pending_minor: int
    created_at: datetime
    moved_at: datetime


class EntitlementFacts(msgspec.Struct, frozen=True):
    """A right to a game as far as the Library's list can tell of it."""

    id: UUID
    payment_id: UUID
    status: str
    user_id: str
    game_id: str
    quantity: int
    created_at: datetime
    moving: bool


class _Differing(msgspec.Struct, frozen=True):
    id: UUID
    kind: DifferenceKind
    source: str
    subject: str
    """The charge, grant or dispute that it is about."""
    payment_id: UUID | None
    ours: dict[str, Any]
    theirs: dict[str, Any]


class Difference(_Differing, frozen=True):
    """A difference that a run has found."""

    subject_at: datetime


class DifferenceRow(_Differing, frozen=True):
    """A difference over all runs that have seen it."""

    first_seen: Timestamp
    last_seen: Timestamp
    times_seen: int
    resolved_at: Timestamp | None


_FACTS: Final = columns(
    PaymentFacts,
    "p",
    moved_at="greatest(p.updated_at,"
    " (SELECT max(r.updated_at) FROM refunds r WHERE r.payment_id = p.id))",
)
_MOVING: Final = """
    (p.refund_pending_minor > 0 OR e.updated_at > %(quiet)s OR EXISTS (
        SELECT FROM outbox o
        WHERE o.topic IN ('library.grant', 'library.revoke') AND o.dedupe_key = p.id::text
          AND o.delivered_at IS NULL AND o.given_up_at IS NULL))
"""
_ENTITLEMENT: Final = columns(EntitlementFacts, "e", created_at="p.created_at", moving=_MOVING)
_DIFFERENCES: Final = Select(DifferenceRow, "reconciliation_differences d")


async def payments_of(
    db: Database, provider: str, charges: Sequence[tuple[str, UUID | None]]
) -> dict[str, PaymentFacts]:
    """Return our payments of these charges (reference at the provider, our id) by reference.

    One that has the charge's own reference comes before one that the charge only names.
    """
    rows = await db.read(
        f"""
        SELECT i.ref, p.* FROM json_to_recordset(%(charges)s::json) AS i(ref text, payment_id uuid)
        CROSS JOIN LATERAL (
            SELECT * FROM (
                SELECT {_FACTS}, 0 AS place FROM payments p
                WHERE p.provider = %(provider)s AND p.provider_ref = i.ref
                UNION ALL
                SELECT {_FACTS}, 1 FROM payments p
                WHERE p.id = i.payment_id AND p.provider = %(provider)s) both_ways
            ORDER BY place LIMIT 1) p
        """,  # noqa: S608  constants only
        {"provider": provider, "charges": _json([{"ref": r, "payment_id": p} for r, p in charges])},
    )
    return {row[0]: row_of(PaymentFacts, row[1:-1]) for row in rows}


async def entitlements_of(
    db: Database, grant_ids: Sequence[UUID], *, quiet_since: datetime
) -> dict[UUID, EntitlementFacts]:
    """Return our rights by the ids of their grants."""
    rows = await db.read(
        f"""
        SELECT {_ENTITLEMENT} FROM entitlements e JOIN payments p ON p.id = e.payment_id
        WHERE e.id = ANY (%(ids)s::uuid[])
        """,  # noqa: S608  constants only
        {"ids": list(grant_ids), "quiet": quiet_since},
    )
    return {row[0]: EntitlementFacts(*row) for row in rows}


async def mark_seen(db: Database, run_id: UUID, source: str, subjects: Sequence[str]) -> None:
    """Remember that a run has met these in the other's list."""
    await db.fetch(
        "INSERT INTO reconciliation_seen (run_id, source, subject)"
        " SELECT %s, %s, unnest(%s::text[]) ON CONFLICT DO NOTHING",
        (run_id, source, list(subjects)),
    )


async def expected_charges(
    db: Database, provider: str, *, since: datetime, until: datetime, after: UUID, limit: int
) -> list[PaymentFacts]:
    """Return payments that the provider must know, in order of id, from `after` on (exclusive).

    Those made from `since` on that have not moved after `until`.
    """
    rows = await db.read(
        f"""
        SELECT {_FACTS} FROM payments p
        WHERE p.id > %(after)s AND p.provider = %(provider)s
          AND p.status IN ('succeeded', 'authorized', 'requires_action')
          AND p.created_at >= %(since)s AND p.updated_at < %(until)s
        ORDER BY p.id LIMIT %(limit)s
        """,  # noqa: S608  constants only
        {"after": after, "provider": provider, "since": since, "until": until, "limit": limit},
    )
    return rows_of(PaymentFacts, rows)


async def expected_grants(
    db: Database, *, since: datetime, until: datetime, after: tuple[UUID, str], limit: int
) -> list[EntitlementFacts]:
    """Return rights that the Library must know, in order of payment and game, from `after` on."""
    rows = await db.read(
        f"""
        SELECT {_ENTITLEMENT} FROM entitlements e JOIN payments p ON p.id = e.payment_id
        WHERE (e.payment_id, e.game_id) > (%(payment)s, %(game)s) AND e.status = 'granted'
          AND p.created_at >= %(since)s AND e.updated_at < %(quiet)s
        ORDER BY e.payment_id, e.game_id LIMIT %(limit)s
        """,  # noqa: S608  constants only
        {"payment": after[0], "game": after[1], "since": since, "quiet": until, "limit": limit},
    )
    return rows_of(EntitlementFacts, rows)


async def unseen(db: Database, run_id: UUID, source: str, subjects: Sequence[str]) -> set[str]:
    """Return those of the subjects that the run has not met."""
    rows = await db.read(
        """
        SELECT wanted.subject FROM unnest(%(subjects)s::text[]) AS wanted(subject)
        WHERE NOT EXISTS (
            SELECT FROM reconciliation_seen s
            WHERE s.run_id = %(run)s AND s.source = %(source)s AND s.subject = wanted.subject)
        """,
        {"run": run_id, "source": source, "subjects": list(subjects)},
    )
    return {row[0] for row in rows}


async def record(
    db: Database, run_id: UUID, differences: Sequence[Difference], at: datetime
) -> None:
    """Record what was found; one that is known keeps its row, and one that is back is open again.

    The latest time of its subject counts: a charge that was found for when it was made may be found
    again for what changed long after.

    No two of `differences` are the same kind for the same subject.
    """
    await db.fetch(
        """
        INSERT INTO reconciliation_differences AS d
            (id, kind, source, subject, payment_id, ours, theirs, subject_at, first_seen, last_seen,
             last_run_id)
        SELECT i.id, i.kind, i.source, i.subject, i.payment_id, i.ours, i.theirs, i.subject_at,
               %(at)s, %(at)s, %(run)s
        FROM json_to_recordset(%(differences)s::json) AS i(
            id uuid, kind text, source text, subject text, payment_id uuid, ours jsonb,
            theirs jsonb, subject_at timestamptz)
        ON CONFLICT (source, kind, subject) DO UPDATE SET
            payment_id = excluded.payment_id, ours = excluded.ours, theirs = excluded.theirs,
            subject_at = greatest(d.subject_at, excluded.subject_at),
            last_seen = excluded.last_seen, last_run_id = excluded.last_run_id,
            times_seen = d.times_seen + (d.last_run_id <> excluded.last_run_id)::integer,
            resolved_at = NULL
        """,
        {"run": run_id, "at": at, "differences": _json(differences)},
    )


async def resolve_gone(
    db: Database, run_id: UUID, source: str, *, since: datetime, at: datetime
) -> int:
    """Close what a complete run of a source looked at again and did not find; return how many."""
    rows = await db.fetch(
        """
        UPDATE reconciliation_differences SET resolved_at = %(at)s
        WHERE source = %(source)s AND resolved_at IS NULL AND subject_at >= %(since)s
          AND last_run_id <> %(run)s
        RETURNING 1
        """,
        {"run": run_id, "source": source, "since": since, "at": at},
    )
    return len(rows)


async def resolve_followed(
    db: Database, run_id: UUID, payment_ids: Sequence[UUID], kinds: Sequence[str], at: datetime
) -> None:
    """Close what a run found of payments whose books have followed the provider's since."""
    await db.fetch(
        """
        UPDATE reconciliation_differences SET resolved_at = %(at)s
        WHERE payment_id = ANY(%(payments)s::uuid[]) AND kind = ANY(%(kinds)s)
          AND last_run_id = %(run)s AND resolved_at IS NULL
        """,
        {"run": run_id, "payments": list(payment_ids), "kinds": list(kinds), "at": at},
    )


async def oldest_open(db: Database, *, not_before: datetime) -> datetime | None:
    """Return the oldest subject that still differs, or payment that waits for buyer or capture."""
    rows = await db.read(
        """
        SELECT least(
            (SELECT min(subject_at) FROM reconciliation_differences
             WHERE resolved_at IS NULL AND subject_at >= %(limit)s),
            (SELECT min(created_at) FROM payments
             WHERE status IN ('authorized', 'requires_action') AND created_at >= %(limit)s))
        """,
        {"limit": not_before},
    )
    oldest: datetime | None = rows[0][0]
    return oldest


async def open_by_kind(db: Database) -> dict[str, int]:
    """Return the number of open differences of each kind that has some."""
    rows = await db.read(
        "SELECT kind, count(*) FROM reconciliation_differences WHERE resolved_at IS NULL"
        " GROUP BY kind"
    )
    return {kind: int(count) for kind, count in rows}


async def list_differences(
    db: Database, *, state: Shown, kind: DifferenceKind | None, cursor: UUID | None, limit: int
) -> Page[DifferenceRow]:
    """Return differences, oldest first."""
    which = {"open": "d.resolved_at IS NULL", "resolved": "d.resolved_at IS NOT NULL"}
    return await _DIFFERENCES.page(db, cursor, limit, which.get(state, "true"), kind=kind)


async def differences_of_payment(db: Database, payment_id: UUID) -> list[DifferenceRow]:
    """Return the payment's differences, oldest first."""
    return await _DIFFERENCES.all(db, payment_id=payment_id)


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
