"""Sealing the audit trails: closed intervals with a root hash, one after the other (ADR-45)."""

import asyncio
import time
from datetime import datetime
from typing import Final

import msgspec

from service.store.database import Database, Transaction
from service.store.rows import Page, Select, Timestamp

SEALERS_LOCK: Final = 0x5EA1
"""The advisory lock of whoever seals; as a bare number it is none of those that a hash gives."""

LOOK_S: Final = 0.02
"""Between two looks whether older transactions have ended; ours take a few milliseconds."""


class SealRow(msgspec.Struct, frozen=True):
    """A seal: an interval of positions, what it holds, and hashes as hexadecimal digits."""

    id: int
    first_position: int
    last_position: int
    entries: int
    chains: int
    root: str
    hash: str
    sealed_at: Timestamp


_SEALS: Final = Select(
    SealRow,
    "audit_seals",
    newest_first=True,
    chains="cardinality(chains)",
    root="encode(root, 'hex')",
    hash="encode(hash, 'hex')",
)

# The trigger works out the rest (migration 0016).
_SEAL: Final = (
    "INSERT INTO audit_seals (last_position, sealed_at) VALUES (%s, %s)"  # noqa: S608
    f" RETURNING {_SEALS.columns}"
)


class Unsealed(msgspec.Struct, frozen=True):
    """The newest seal's id (0: there is none), and since when an entry waits for the next one."""

    last_seal: int
    since: datetime | None


async def seal(
    db: Database, *, at: datetime, due: datetime, limit: int, wait_s: float
) -> SealRow | None:
    """Seal the positions that follow the newest seal, `limit` of them at most.

    Returns None if nothing is due: no entry is new, or the newest seal is younger than `due` and
    fewer than `limit` positions wait. Also if another process seals, or if a transaction that may
    still add an entry has not ended after `wait_s`; nothing waits for this one meanwhile.
    """
    async with db.transaction() as transaction:
        if not await _is_alone(transaction):
            return None
        last_position = await _last_position(transaction, due, limit)
        if last_position is None or not await _older_have_ended(transaction, wait_s):
            return None
        [row] = await transaction.fetch(_SEAL, (last_position, at))
        return SealRow(*row)


async def _is_alone(transaction: Transaction) -> bool:
    [(alone,)] = await transaction.fetch("SELECT pg_try_advisory_xact_lock(%s)", (SEALERS_LOCK,))
    return bool(alone)


async def _last_position(transaction: Transaction, due: datetime, limit: int) -> int | None:
    rows = await transaction.fetch(
        """
        SELECT least(p.last_value, coalesce(s.last_position, 0) + %(limit)s)
        FROM audit_positions p
        LEFT JOIN (SELECT last_position, sealed_at FROM audit_seals ORDER BY id DESC LIMIT 1) s
            ON true
        WHERE p.is_called AND p.last_value > coalesce(s.last_position, 0)
          AND (s.sealed_at IS NULL OR s.sealed_at <= %(due)s
               OR p.last_value >= s.last_position + %(limit)s)
        """,
        {"limit": limit, "due": due},
    )
    return int(rows[0][0]) if rows else None


async def _older_have_ended(transaction: Transaction, wait_s: float) -> bool:
    """Wait until this transaction, which takes its id here, is the oldest one that runs.

    Whoever took a position before had an id before (migration 0016), so what then is committed up
    to that position is all that ever will be. Each look is a snapshot of its own.
    """
    [(own,)] = await transaction.fetch("SELECT pg_current_xact_id()::text")
    deadline = time.monotonic() + wait_s
    while True:
        [(ended,)] = await transaction.fetch(
            "SELECT pg_snapshot_xmin(pg_current_snapshot()) >= %s::xid8", (own,)
        )
        if ended or time.monotonic() > deadline:
            return bool(ended)
        await asyncio.sleep(LOOK_S)


async def list_seals(db: Database, *, cursor: int | None, limit: int) -> Page[SealRow]:
    """Return seals, newest first."""
    return await _SEALS.page(db, cursor, limit)


async def unsealed(db: Database) -> Unsealed:
    """Return what the newest seal is and which entry waits longest for the next."""
    [(last_seal, *waiting)] = await db.read(
        """
        WITH newest AS (SELECT id, last_position FROM audit_seals ORDER BY id DESC LIMIT 1),
             sealed AS (SELECT coalesce((SELECT last_position FROM newest), 0) AS upto)
        SELECT coalesce((SELECT id FROM newest), 0),
               (SELECT e.at FROM payment_events e WHERE e.position > (SELECT upto FROM sealed)
                ORDER BY e.position LIMIT 1),
               (SELECT a.at FROM admin_actions a WHERE a.position > (SELECT upto FROM sealed)
                ORDER BY a.position LIMIT 1)
        """
    )
    return Unsealed(int(last_seal), min(filter(None, waiting), default=None))
