"""Checking the audit trails against their seals, a part at a time (ADR-45)."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, Literal

import msgspec

from service.store.database import Database

FaultKind = Literal[
    "seals_missing",
    "seal_changed",
    "seal_ahead",
    "chain_removed",
    "chain_added",
    "chain_changed",
    "entry_changed",
    "entry_outside",
    "anchored_seal_missing",
    "anchored_seal_differs",
]

MAX_FAULTS: Final = 1_000
"""Faults of one part that are named: whoever sees so many looks at the whole of it anyway."""

MAX_SEALS: Final = 200
"""Seals of one part: of an idle night, some hours."""


class Fault(msgspec.Struct, frozen=True):
    """Something that is not as it was sealed: in which interval, of which chain, at which entry.

    A chain is `payment/<id>` or `decisions/<subject>/<id>`.
    """

    fault: FaultKind
    seal: int | None = None
    chain: str | None = None
    seq: int | None = None


class Part(msgspec.Struct, frozen=True):
    """Some seals in a row: the last one's id and position, and how much they cover."""

    last: int
    last_position: int
    seals: int = 0
    entries: int = 0


class Tail(msgspec.Struct, frozen=True):
    """Some entries that no seal covers yet: the last one's position."""

    last_position: int
    entries: int


class Anchor(msgspec.Struct, frozen=True):
    """A seal as it was kept outside the database; the hash as hexadecimal digits."""

    seal: int
    hash: str


async def next_part(db: Database, *, after: int, entries: int) -> Part | None:
    """Return the seals after `after` that make up about `entries`, one of them at least."""
    rows = await db.read(
        """
        SELECT id, last_position, row_number() OVER one_by_one, sum(entries) OVER one_by_one
        FROM (SELECT id, last_position, entries FROM audit_seals WHERE id > %s
              ORDER BY id LIMIT %s) few
        WINDOW one_by_one AS (ORDER BY id)
        """,
        (after, MAX_SEALS),
    )
    fitting = [row for row in rows if row[3] <= entries] or rows[:1]
    return Part(*map(int, fitting[-1])) if fitting else None


async def faults_within(db: Database, *, after: int, last: int) -> list[Fault]:
    """Return what is wrong with the seals after `after` up to `last` and with what they cover."""
    rows = await db.read(
        """
        WITH chosen AS (SELECT * FROM audit_seals WHERE id > %(after)s AND id <= %(last)s)
        (SELECT fault, id, NULL AS chain, NULL::integer AS seq FROM audit_broken_seals
         WHERE id > %(after)s AND id <= %(last)s
         UNION
         SELECT 'seal_changed', id, NULL, NULL FROM chosen
         WHERE root <> audit_root(chains, digests))
        UNION ALL
        SELECT CASE WHEN c.now IS NULL THEN 'chain_removed' WHEN c.was IS NULL THEN 'chain_added'
                    ELSE 'chain_changed' END, s.id, c.chain, NULL
        FROM chosen s CROSS JOIN LATERAL (
            SELECT chain, w.digest AS was, n.digest AS now
            FROM unnest(s.chains, s.digests) AS w(chain, digest)
            FULL JOIN audit_digests(s.first_position, s.last_position) n USING (chain)
            WHERE w.digest IS DISTINCT FROM n.digest) c
        UNION ALL
        SELECT 'entry_changed', s.id, b.chain, b.seq
        FROM chosen s JOIN LATERAL (
            SELECT * FROM audit_broken_entries e
            WHERE e.position BETWEEN s.first_position AND s.last_position
            OFFSET 0) b ON true  -- an interval at a time, by the index of positions
        ORDER BY 2, 1, 3, 4 LIMIT %(limit)s
        """,
        {"after": after, "last": last, "limit": MAX_FAULTS},
    )
    return [Fault(*row) for row in rows]


async def start(db: Database, *, since: datetime | None) -> Part:
    """Return where to begin: behind the last seal from before `since`, or before the first."""
    rows = await db.read(
        "SELECT id, last_position FROM audit_seals"
        " WHERE sealed_at < %s::timestamptz ORDER BY id DESC LIMIT 1",
        (since,),
    )
    return Part(*rows[0]) if rows else Part(last=0, last_position=0)


async def next_tail(db: Database, *, after_position: int, entries: int) -> Tail | None:
    """Return the next `entries` entries, or fewer, after a position; None if there are none."""
    [(last, count)] = await db.read(
        """
        SELECT max(position), count(*) FROM (
            SELECT position FROM audit_entries WHERE position > %s
            ORDER BY position LIMIT %s) e
        """,
        (after_position, entries),
    )
    return None if last is None else Tail(last, count)


async def faults_between(db: Database, *, after_position: int, last_position: int) -> list[Fault]:
    """Return the entries there whose hash is wrong; no seal is looked at."""
    rows = await db.read(
        "SELECT chain, seq FROM audit_broken_entries WHERE position > %s AND position <= %s"
        " ORDER BY position LIMIT %s",
        (after_position, last_position, MAX_FAULTS),
    )
    return [Fault("entry_changed", chain=chain, seq=seq) for chain, seq in rows]


async def faults_outside(db: Database) -> list[Fault]:
    """Return the entries where no interval can reach: positions count from 1."""
    rows = await db.read(
        "SELECT chain, seq FROM audit_entries WHERE position < 1 ORDER BY position LIMIT %s",
        (MAX_FAULTS,),
    )
    return [Fault("entry_outside", chain=chain, seq=seq) for chain, seq in rows]


async def compare_anchors(db: Database, anchors: Sequence[Anchor]) -> list[Fault]:
    """Return the anchors whose seal is gone or is another one."""
    rows = await db.read(
        """
        SELECT CASE WHEN s.id IS NULL THEN 'anchored_seal_missing' ELSE 'anchored_seal_differs' END,
               a.seal
        FROM json_to_recordset(%s::json) AS a(seal bigint, hash text)
        LEFT JOIN audit_seals s ON s.id = a.seal
        WHERE encode(s.hash, 'hex') IS DISTINCT FROM a.hash
        ORDER BY a.seal
        """,
        (msgspec.json.encode(anchors).decode(),),
    )
    return [Fault(fault, seal) for fault, seal in rows]
