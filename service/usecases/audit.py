"""Seal the audit trails, and check them against their seals (ADR-45)."""

from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, Final

import msgspec

from service import metric_catalog as m
from service.logs import correlation_id, get_logger
from service.store import audit_seals, audit_trail
from service.store.audit_entries import AuditEntry, Subject
from service.store.audit_trail import Anchor, Fault
from service.usecases.context import Context

MAX_POSITIONS: Final = 10_000
"""Of one seal: about 0.1 s of one connection, far below a statement's time-out."""

WAIT_S: Final = 5.0
"""For older transactions: longer than a statement of ours may take."""

PART_ENTRIES: Final = 10_000
"""Entries that are checked at once; as with a seal."""

ANCHORS_AT_ONCE: Final = 1_000
"""Anchors of one statement: some 100 KB."""

LOGGED_FAULTS: Final = 20
"""Faults of one round that are logged; the command names them all."""

_log = get_logger(__name__)


class By(msgspec.Struct, frozen=True):
    """Who decides something, and why."""

    actor: str
    reason: str


def entry(
    ctx: Context, subject: Subject, subject_id: object, action: str, by: By, **evidence: Any
) -> AuditEntry:
    """Return what is kept for ever of what somebody does now."""
    return AuditEntry(
        subject=subject,
        subject_id=str(subject_id),
        at=ctx.now(),
        actor=by.actor,
        action=action,
        reason=by.reason,
        evidence=evidence,
        correlation_id=correlation_id(),
    )


@dataclass(frozen=True, slots=True)
class Checked:
    """How much was checked in one step, and what was wrong there."""

    faults: list[Fault]
    seals: int = 0
    entries: int = 0
    unsealed: int = 0
    anchors: int = 0


@dataclass(slots=True)
class Rounds:
    """How far a process has come in its endless round of all seals, and what it has seen."""

    after: int = 0
    newest: Anchor | None = None
    faulty: dict[int, int] = field(default_factory=dict)
    """Faults by the id of the last seal of the part in which they were."""

    def checked(self, last: int, faults: int) -> None:
        """Replace what was known of the part up to `last`."""
        kept = {seal: n for seal, n in self.faulty.items() if not self.after < seal <= last}
        self.faulty = kept | ({last: faults} if faults else {})
        self.after = last


async def seal(ctx: Context) -> int:
    """Seal what is due and log it; return how many entries, if more are waiting, else 0.

    The line in the log is the anchor outside the database: see docs/operate/security.md.
    """
    now = ctx.now()
    due = now - timedelta(seconds=ctx.settings.audit_seal_interval_s)
    row = await audit_seals.seal(ctx.db, at=now, due=due, limit=MAX_POSITIONS, wait_s=WAIT_S)
    if row is None:
        return 0
    _log.info(
        "audit_sealed",
        seal=row.id,
        root=row.root,
        hash=row.hash,
        first_position=row.first_position,
        last_position=row.last_position,
        entries=row.entries,
        chains=row.chains,
    )
    full = row.last_position - row.first_position + 1 >= MAX_POSITIONS
    return row.entries if full else 0


async def measure(ctx: Context) -> None:
    """Set the gauges of the newest seal and of what waits for the next one."""
    unsealed = await audit_seals.unsealed(ctx.db)
    lag_s = (ctx.now() - unsealed.since).total_seconds() if unsealed.since else 0.0
    ctx.metrics.set(m.AUDIT_LAST_SEAL, unsealed.last_seal)
    ctx.metrics.set(m.AUDIT_SEAL_LAG, max(lag_s, 0.0))


async def check_next(ctx: Context, rounds: Rounds) -> None:
    """Check the next part of the round, and that the newest seal seen so far is still there."""
    gone = await audit_trail.compare_anchors(ctx.db, [rounds.newest] if rounds.newest else [])
    found = await _check_part(ctx, rounds)
    if not gone:
        newest = (await audit_seals.list_seals(ctx.db, cursor=None, limit=1)).items
        rounds.newest = Anchor(newest[0].id, newest[0].hash) if newest else None
    ctx.metrics.set(m.AUDIT_FAULTS, len(gone) + sum(rounds.faulty.values()))
    for fault in [*gone, *found][:LOGGED_FAULTS]:
        _log.error(
            "audit_fault", fault=fault.fault, seal=fault.seal, chain=fault.chain, seq=fault.seq
        )


async def _check_part(ctx: Context, rounds: Rounds) -> list[Fault]:
    part = await audit_trail.next_part(ctx.db, after=rounds.after, entries=PART_ENTRIES)
    if part is None:  # the round is over; what was beyond its end is there no longer
        rounds.faulty = {last: n for last, n in rounds.faulty.items() if last <= rounds.after}
        rounds.after = 0
        part = await audit_trail.next_part(ctx.db, after=0, entries=PART_ENTRIES)
    if part is None:
        return []
    found = await audit_trail.faults_within(ctx.db, after=rounds.after, last=part.last)
    ctx.metrics.inc(m.AUDIT_SEALS_CHECKED, part.seals)
    rounds.checked(part.last, len(found))
    return found


async def verify(
    ctx: Context, *, since: datetime | None, anchors: Iterable[Anchor]
) -> AsyncIterator[Checked]:
    """Check all seals from `since` on, what they cover, what none covers yet, and the anchors."""
    yield Checked(await audit_trail.faults_outside(ctx.db))
    part = await audit_trail.start(ctx.db, since=since)
    after, position = part.last, part.last_position
    while following := await audit_trail.next_part(ctx.db, after=after, entries=PART_ENTRIES):
        faults = await audit_trail.faults_within(ctx.db, after=after, last=following.last)
        yield Checked(faults, seals=following.seals, entries=following.entries)
        after, position = following.last, following.last_position
    async for checked in _verify_tail(ctx, position):
        yield checked
    for some in _in_pieces(anchors, ANCHORS_AT_ONCE):
        yield Checked(await audit_trail.compare_anchors(ctx.db, some), anchors=len(some))


async def _verify_tail(ctx: Context, position: int) -> AsyncIterator[Checked]:
    while tail := await audit_trail.next_tail(
        ctx.db, after_position=position, entries=PART_ENTRIES
    ):
        faults = await audit_trail.faults_between(
            ctx.db, after_position=position, last_position=tail.last_position
        )
        yield Checked(faults, unsealed=tail.entries)
        position = tail.last_position


def _in_pieces(anchors: Iterable[Anchor], size: int) -> Iterator[Sequence[Anchor]]:
    rest = iter(anchors)
    while piece := list(islice(rest, size)):
        yield piece
