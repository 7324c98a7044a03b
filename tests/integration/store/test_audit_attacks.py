"""Whoever may do anything in the database rewrites the audit trails: what finds it."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

import pytest

from service import metric_catalog as m
from service.app import parts
from service.metrics import Metrics
from service.settings import load
from service.store import outbox
from service.store.audit_seals import list_seals
from service.store.audit_trail import Anchor, Fault
from service.usecases import audit, deliver
from service.usecases.audit import By, Rounds
from service.usecases.context import Context
from tests.integration.store.conftest import NOW, StoreHarness
from tests.support.services import settings

pytestmark = pytest.mark.as_owner

MINUTE = timedelta(minutes=1)
GUARDED = ("payment_events", "admin_actions", "audit_seals")

REBUILD_SEALS = """
    CREATE TEMPORARY TABLE old_seals AS SELECT last_position, sealed_at FROM audit_seals;
    DELETE FROM audit_seals;
    ALTER TABLE audit_seals ENABLE TRIGGER audit_seals_chain;
    INSERT INTO audit_seals (last_position, sealed_at) SELECT * FROM old_seals ORDER BY 1;
"""
REBUILD_CHAIN = """
    DO $$ DECLARE e record; previous bytea := ''; BEGIN
        FOR e IN SELECT * FROM payment_events WHERE payment_id = '{victim}' ORDER BY seq LOOP
            previous := event_hash(previous, e.payment_id, e.seq, e.at, e.event, e.data,
                                   e.correlation_id);
            UPDATE payment_events SET hash = previous
            WHERE payment_id = e.payment_id AND seq = e.seq;
        END LOOP;
    END $$;
"""
CHANGE_ENTRY = """
    UPDATE payment_events SET data = '{{"amount": 1}}' WHERE payment_id = '{victim}' AND seq = 2;
"""
REMOVE_CHAIN = "DELETE FROM payment_events WHERE payment_id = '{victim}';"
TRIM_LISTS = """
    UPDATE audit_seals s SET
        chains = ARRAY(SELECT chain FROM unnest(s.chains) chain
                       WHERE chain <> 'payment/{victim}'),
        digests = ARRAY(SELECT digest FROM unnest(s.chains, s.digests) u(chain, digest)
                        WHERE chain <> 'payment/{victim}')
    WHERE id = 2;
"""
Told = tuple[str, int | None, str | None, int | None]


@dataclass
class Trail:
    """Three sealed intervals: a payment in each, and in the second a decision on its message."""

    ctx: Context
    victim: UUID
    anchors: list[Anchor] = field(default_factory=list)

    async def attack(self, script: str) -> None:
        """Run a script with the guards switched off, and on again."""
        off, on = (
            ";".join(f"ALTER TABLE {table} {word} TRIGGER USER" for table in GUARDED)
            for word in ("DISABLE", "ENABLE")
        )
        async with self.ctx.db.transaction() as transaction:
            await transaction.fetch(f"{off}; {script.format(victim=self.victim)}; {on}")

    async def faults(self, anchors: Sequence[Anchor] = ()) -> set[Told]:
        """Return what a verification finds; the victim's chain is called `victim`."""
        found: list[Fault] = []
        async for checked in audit.verify(self.ctx, since=None, anchors=anchors):
            found += checked.faults
        return {(f.fault, f.seal, self._named(f.chain), f.seq) for f in found}

    def _named(self, chain: str | None) -> str | None:
        if chain and chain.startswith("decisions/outbox/"):
            return "decision"
        return "victim" if chain == f"payment/{self.victim}" else chain and "another"

    async def violations(self) -> set[str]:
        rows = await self.ctx.db.fetch("SELECT * FROM money_invariants WHERE violations > 0")
        return {name for name, _ in rows}


class Clock:
    def __init__(self) -> None:
        self.time = NOW

    def __call__(self) -> datetime:
        return self.time


@pytest.fixture
async def trail(database_url: str, harness: StoreHarness) -> AsyncIterator[Trail]:
    environ = settings(database_url=database_url, redis_url="", simulator_url="http://127.0.0.1:9")
    clock = Clock()
    async with parts(load(environ), Metrics(version="test", role="worker"), clock) as ctx:
        sold = []
        for number in range(3):
            clock.time += 2 * MINUTE
            sold.append(await harness.paid())
            [grant] = await outbox.claim(harness.db, at=NOW, until=NOW + MINUTE, limit=10)
            await outbox.delivered(harness.db, [grant.id], NOW)
            if number == 1:
                await deliver.replay(ctx, grant.id, By("olga", "asked for"))
                await outbox.delivered(harness.db, [grant.id], NOW)
            await audit.seal(ctx)
        seals = (await list_seals(ctx.db, cursor=None, limit=10)).items
        yield Trail(ctx, sold[1].payment_id, [Anchor(seal.id, seal.hash) for seal in seals])


async def test_there_are_three_intervals(trail: Trail) -> None:
    assert [anchor.seal for anchor in trail.anchors] == [3, 2, 1]


async def test_an_untouched_trail_is_sound(trail: Trail) -> None:
    assert await trail.faults(trail.anchors) == set()
    assert await trail.violations() == set()


ATTACKS: dict[str, tuple[str, set[Told]]] = {
    "an entry is changed": (CHANGE_ENTRY, {("entry_changed", 2, "victim", 2)}),
    "an entry is changed with its hash": (
        CHANGE_ENTRY
        + """UPDATE payment_events e SET hash = event_hash(p.hash, e.payment_id, e.seq, e.at,
                e.event, e.data, e.correlation_id)
            FROM payment_events p WHERE p.payment_id = e.payment_id AND p.seq = 1
                AND e.payment_id = '{victim}' AND e.seq = 2""",
        {("chain_changed", 2, "victim", None), ("entry_changed", 2, "victim", 3)},
    ),
    "a chain is changed and recomputed": (
        CHANGE_ENTRY + REBUILD_CHAIN,
        {("chain_changed", 2, "victim", None)},
    ),
    "an entry in the middle is removed": (
        "DELETE FROM payment_events WHERE payment_id = '{victim}' AND seq = 2",
        {("chain_changed", 2, "victim", None), ("entry_changed", 2, "victim", 3)},
    ),
    "the end of a chain is removed": (
        "DELETE FROM payment_events WHERE payment_id = '{victim}' AND seq >= 3",
        {("chain_changed", 2, "victim", None)},
    ),
    "a chain is removed": (REMOVE_CHAIN, {("chain_removed", 2, "victim", None)}),
    "a decision is removed": (
        "DELETE FROM admin_actions",
        {("chain_removed", 2, "decision", None)},
    ),
    "a decision is put down to another": (
        "UPDATE admin_actions SET actor = 'nobody'",
        {("entry_changed", 2, "decision", 1)},
    ),
    "an entry is moved to another interval": (
        """UPDATE payment_events SET position = (SELECT last_position FROM audit_seals WHERE id = 3)
            WHERE payment_id = '{victim}' AND seq = 2""",
        {("chain_changed", 2, "victim", None), ("chain_added", 3, "victim", None)},
    ),
    "an entry is moved out of every interval": (
        "UPDATE payment_events SET position = 0 WHERE payment_id = '{victim}' AND seq = 2",
        {("chain_changed", 2, "victim", None), ("entry_outside", None, "victim", 2)},
    ),
    "an entry is slipped into the past": (
        """INSERT INTO admin_actions (subject, subject_id, seq, at, actor, action, reason, evidence,
                correlation_id, position, hash)
            SELECT subject, subject_id, 2, at, actor, action, reason, evidence, correlation_id, 1,
                admin_action_hash(hash, subject, subject_id, 2, at, actor, action, reason, evidence,
                    correlation_id)
            FROM admin_actions""",
        {("chain_added", 1, "decision", None)},
    ),
    "an unsealed entry is changed": (
        """INSERT INTO payment_events (payment_id, seq, at, event, data, correlation_id, hash)
            VALUES ('{victim}', 9, now(), 'x', '{{}}', 'c', 'wrong')""",
        {("entry_changed", None, "victim", 9)},
    ),
    "a seal is changed": (
        "UPDATE audit_seals SET sealed_at = sealed_at - interval '1 day' WHERE id = 2",
        {("seal_changed", 2, None, None)},
    ),
    "a seal is changed with its hash": (
        """UPDATE audit_seals s SET sealed_at = s.sealed_at - interval '1 day',
                hash = audit_seal_hash(p.hash, s.id, s.first_position, s.last_position, s.entries,
                    s.root, s.sealed_at - interval '1 day')
            FROM audit_seals p WHERE p.id = 1 AND s.id = 2""",
        {("seal_changed", 3, None, None)},
    ),
    "a chain is removed, and struck off the seal": (
        REMOVE_CHAIN + TRIM_LISTS,
        {("seal_changed", 2, None, None)},
    ),
    "a chain is removed, and struck off the seal and its root": (
        REMOVE_CHAIN
        + TRIM_LISTS
        + "UPDATE audit_seals SET root = audit_root(chains, digests) WHERE id = 2",
        {("seal_changed", 2, None, None)},
    ),
    "a seal is removed": (
        "DELETE FROM audit_seals WHERE id = 2",
        {("seals_missing", 3, None, None)},
    ),
    "a seal reaches beyond what was given out": (
        """ALTER TABLE audit_seals ENABLE TRIGGER audit_seals_chain;
            INSERT INTO audit_seals (last_position, sealed_at) VALUES (2 ^ 62, now())""",
        {("seal_ahead", 4, None, None)},
    ),
    "the first seals are removed": (
        "DELETE FROM audit_seals WHERE id <= 2",
        {("seals_missing", 3, None, None)},
    ),
}


@pytest.mark.parametrize("name", ATTACKS)
async def test_it_is_found_in_the_database(trail: Trail, name: str) -> None:
    script, expected = ATTACKS[name]
    await trail.attack(script)
    assert await trail.faults() == expected


@pytest.mark.parametrize(
    "name",
    [
        "a seal is changed",
        "a seal is changed with its hash",
        "a chain is removed, and struck off the seal and its root",
        "a seal is removed",
        "a seal reaches beyond what was given out",
        "the first seals are removed",
    ],
)
async def test_the_invariants_see_links_that_are_broken(trail: Trail, name: str) -> None:
    await trail.attack(ATTACKS[name][0])
    assert "broken_seals" in await trail.violations()


FORGED_IN_ADVANCE = """
    INSERT INTO payment_events (payment_id, seq, at, event, data, correlation_id, position, hash)
        SELECT payment_id, 9, at, event, data, correlation_id, 0,
            event_hash('', payment_id, 9, at, event, data, correlation_id)
        FROM payment_events WHERE payment_id = '{victim}' AND seq = 1
"""


@pytest.mark.parametrize(
    ("name", "script"),
    {
        "changed": CHANGE_ENTRY,
        "cut off at the beginning and recomputed": (
            "DELETE FROM payment_events WHERE payment_id = '{victim}' AND seq = 1;" + REBUILD_CHAIN
        ),
        "put where no interval reaches": FORGED_IN_ADVANCE,
    }.items(),
)
async def test_the_invariants_see_new_entries_that_break_a_chain(
    trail: Trail, name: str, script: str
) -> None:
    await trail.attack(script)
    assert "broken_event_chains" in await trail.violations(), name


ONLY_BY_ANCHORS: dict[str, tuple[str, set[Told]]] = {
    "the last seals are removed": (
        "DELETE FROM audit_seals WHERE id >= 2",
        {("anchored_seal_missing", id_, None, None) for id_ in (2, 3)},
    ),
    "all seals are removed": (
        "DELETE FROM audit_seals",
        {("anchored_seal_missing", id_, None, None) for id_ in (1, 2, 3)},
    ),
    "a chain is removed and all seals made anew": (
        REMOVE_CHAIN + REBUILD_SEALS,
        {("anchored_seal_differs", id_, None, None) for id_ in (2, 3)},
    ),
    "a chain is recomputed and all seals made anew": (
        CHANGE_ENTRY + REBUILD_CHAIN + REBUILD_SEALS,
        {("anchored_seal_differs", id_, None, None) for id_ in (2, 3)},
    ),
}


@pytest.mark.parametrize("name", ONLY_BY_ANCHORS)
async def test_it_is_found_against_anchors_only(trail: Trail, name: str) -> None:
    script, expected = ONLY_BY_ANCHORS[name]
    rounds = Rounds()
    await audit.check_next(trail.ctx, rounds)  # a process has seen the newest seal
    assert gauge(trail.ctx) == 0
    await trail.attack(script)
    assert await trail.faults() == set()
    assert await trail.faults(trail.anchors) == expected
    await audit.check_next(trail.ctx, rounds)
    assert gauge(trail.ctx) == 1, "and the worker misses the seal that it has seen"


async def test_the_rounds_find_what_is_wrong_and_forget_it_when_it_is_right(trail: Trail) -> None:
    rounds = Rounds()
    await trail.attack(
        "CREATE TABLE kept AS SELECT * FROM admin_actions; DELETE FROM admin_actions"
    )
    assert await gauge_after(trail.ctx, rounds) == [1, 1, 1]
    await trail.attack("INSERT INTO admin_actions SELECT * FROM kept")
    assert await gauge_after(trail.ctx, rounds) == [0, 0, 0]
    assert rounds.newest == trail.anchors[0]


async def gauge_after(ctx: Context, rounds: Rounds) -> list[float]:
    """Go a whole round, and on."""
    seen = []
    for _ in range(3):
        await audit.check_next(ctx, rounds)
        seen.append(gauge(ctx))
    return seen


def gauge(ctx: Context) -> float:
    value = ctx.metrics.registry.get_sample_value(m.AUDIT_FAULTS.name)
    assert value is not None
    return value


async def test_since_leaves_out_what_was_sealed_before(trail: Trail) -> None:
    await trail.attack(REMOVE_CHAIN)
    page = await list_seals(trail.ctx.db, cursor=None, limit=9)
    sealed_at = {seal.id: seal.sealed_at for seal in page.items}
    after = [c async for c in audit.verify(trail.ctx, since=sealed_at[3], anchors=())]
    assert (sum(c.seals for c in after), [c.faults for c in after if c.faults]) == (1, [])
    from_it_on = [c async for c in audit.verify(trail.ctx, since=sealed_at[2], anchors=())]
    assert sum(c.seals for c in from_it_on) == 2
    assert [len(c.faults) for c in from_it_on if c.faults] == [1]
