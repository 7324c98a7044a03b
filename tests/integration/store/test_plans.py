"""Every statement of the store reads by index, however much there is to look past.

Each function of service/store is run on a shop with a long past, and the server tells what it did:
no sequential scan of a big table, and a bound on rows and blocks that does not grow with the past.
PLAN_ROWS=1000000 tries it on a million payments (minutes); any other number works too.
"""

import asyncio
import importlib
import os
import pkgutil
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from inspect import iscoroutinefunction
from typing import Any, Final, get_type_hints
from uuid import UUID

import psycopg2
import pytest

import service.store
from bench.history import analyze, fill
from service.app import PREPARED
from service.errors import ServiceError
from service.ids import new_id
from service.store import audit_seals, begin_payments, outbox, record_outcomes, refunds
from service.store.database import Database, RefusedError, Transaction
from service.store.idempotency import Begun
from service.usecases.reconcile_pages import first_id
from tests.integration.store.conftest import StoreHarness, begin_item, outcome_item
from tests.integration.store.test_refunds import begin as begin_refund
from tests.integration.store.test_refunds import record_outcome as record_refund_outcome
from tests.support.databases import Databases
from tests.support.plans import Explained, Plan
from tests.support.samples import Samples

ROWS: Final = int(os.environ.get("PLAN_ROWS", "20000"))
BATCH: Final = 32
UNDER_WAY: Final = 8 * BATCH
"""Payments that wait for their provider while a batch is recorded."""

BIG: Final = 5_000
"""Rows from which on a table is big; all that hold a shop's past are."""

MAX_ROWS: Final = 2_500
"""Rows that one node of a plan may look at: about 1,000 are under way, and then there is a page."""

MAX_BLOCKS: Final = 12_000
"""Blocks that a statement may touch: some for each row that it looks at."""

SEALS: Final = 4
"""Of 500 entries each; nearly all of the past is left without one."""

WHOLE_TABLE: Final = {"invariants.violations"}
"""Functions that are meant to read everything: once a minute, off the request's path."""

pytestmark = pytest.mark.timeout(1_800 if ROWS > 100_000 else 240)


def _functions() -> Iterator[tuple[str, Callable[..., Awaitable[Any]]]]:
    for found in pkgutil.iter_modules(service.store.__path__):
        module = importlib.import_module(f"service.store.{found.name}")
        for name, function in vars(module).items():
            if not iscoroutinefunction(function) or name.startswith("_"):
                continue
            hints = get_type_hints(function)
            ours = function.__module__ == module.__name__ and "sql" not in hints  # callers' own
            if ours and [*hints.values()][:1] == [Database]:
                yield f"{found.name}.{name}", function


FUNCTIONS: Final = dict(_functions())

NOW: Final = datetime.now(UTC)
DAY: Final = timedelta(days=1)
SEQUENCES: Final = {"audit_positions"}
"""What looks like a table to the server and has one row for ever."""


async def _record_nothing(_transaction: Transaction) -> None:
    """Stand for a decision's own statements, which are tried where they belong."""


OWN: Final[dict[str, dict[str, Any]]] = {
    "audit_seals.seal": {"limit": 500, "wait_s": 60.0},
    "audit_trail.faults_between": {"after_position": 5_000, "last_position": 5_500},
    "audit_trail.faults_within": {"after": 1, "last": 3},
    "audit_trail.next_part": {"after": 0, "entries": 10_000},
    "admin_commands.run_command": {
        "ready": "succeeded",
        "record_outcome": lambda: _record_nothing,
    },
    "disputes.sync": {
        **dict.fromkeys(("withdrawn_minor", "reinstated_minor", "version"), 0),
        **dict.fromkeys(("movements", "timeline"), ()),
        "status": "under_review",
        "closed_at": None,
        "provider_ref": lambda: new_id().hex,
    },
    "fraud_warnings.record": {"provider_ref": lambda: new_id().hex},
    "inbox.receive_events": {"kind": "charge", "event_id": lambda: new_id().hex},
    "inbox.reopen": {"operation": "cancel", "attempt_id": new_id},
    "orders.create_orders": {"expires_at": NOW + DAY, "total_minor": 50, "quantity": 1},
    "reconciliation.expected_charges": {"since": NOW - DAY, "after": first_id(NOW - DAY)},
    "reconciliation.expected_grants": {"since": NOW - DAY, "after": (first_id(NOW - DAY), "")},
    "reconciliation_runs.request": {"run_id": new_id},
    "reconciliation_runs.claim": {"run_id": new_id},
    "merchant_webhook_endpoints.create": {"url": lambda: new_id().hex},
    "merchant_webhook_endpoints.change": {"url": lambda: new_id().hex, "status": "enabled"},
    "refunds.record_refund_outcome": {"entries": "[]"},
    "reversals.adopt_refund": {"entries": "[]", "refund_id": new_id, "amount_minor": 1},
    "reversals.reverse_capture": {"entries": "[]"},
    "reversals.reverse_refund": {"entries": "[]"},
}
"""What a function must be given for its statement to be run and not refused."""

KNOWN_SQL: Final = """
SELECT p.id, p.order_id, p.user_id AS caller, p.provider, p.provider_ref, a.id AS attempt_id,
    r.id AS refund_id, k.key, o.id AS message_id, d.last_run_id AS run_id, w.event_id, e.game_id,
    wd.id AS delivery_id, wd.endpoint_id
FROM payments p JOIN payment_attempts a ON a.payment_id = p.id
JOIN refunds r ON r.payment_id = p.id JOIN idempotency_keys k ON k.resource_id = p.id
JOIN outbox o ON o.payment_id = p.id JOIN reconciliation_differences d ON d.payment_id = p.id
JOIN webhook_events v ON v.payment_id = p.id JOIN webhook_deliveries wd ON wd.event_id = v.id
JOIN webhook_inbox w ON w.payment_id = p.id JOIN entitlements e ON e.payment_id = p.id
ORDER BY p.id OFFSET {offset} LIMIT 1
"""


A_LISTENER: Final = """
INSERT INTO webhook_endpoints (id, url, event_types, description, secret_key, created_at,
    updated_at)
VALUES (%s, 'https://merchant.example/', '{payment.succeeded,order.fulfilled,refund.succeeded}', '',
    'k1', %s, %s)
"""


@dataclass(frozen=True)
class Past:
    """A database with ROWS payments, and what batches did while its statistics were none."""

    url: str
    grown: list[Plan]


@pytest.fixture(scope="module")
def past(databases: Databases) -> Iterator[Past]:
    """Give a shop that was used while it was empty, and then grew."""
    with databases.fresh() as urls:
        url = urls.owner  # the server explains what triggers do to a superuser only
        grown = asyncio.run(_grow(url))
        analyze(url)
        yield Past(url, grown)


async def _grow(url: str) -> list[Plan]:
    async with Explained.open(url, PREPARED) as explained:
        await explained.db.fetch(A_LISTENER, (new_id(), NOW, NOW))
        await _a_batch_of_payments(explained, "early")
        fill(url, ROWS)
        await explained.db.fetch(
            "UPDATE webhook_endpoints SET status = 'enabled', disabled_reason = NULL"
            " WHERE status = 'disabled'"
        )
        await _a_batch_of_payments(explained, "late")
        for _ in range(SEALS):
            assert await audit_seals.seal(explained.db, at=NOW, due=NOW, limit=500, wait_s=60)
        return explained.taken()


@pytest.fixture(scope="module")
def known(past: Past) -> dict[str, Any]:
    """Give a payment from the middle of the past and what belongs to it, by parameters' names."""
    with closing(psycopg2.connect(past.url)) as connection, connection.cursor() as cursor:
        cursor.execute("SET enable_nestloop = off;" + KNOWN_SQL.format(offset=ROWS // 40))
        names = [column.name for column in cursor.description or ()]
        row = dict(zip(names, cursor.fetchone() or (), strict=True))
    row = {name: UUID(v) if _is_uuid(v) else v for name, v in row.items()}
    return row | {
        "payment_id": row["id"],
        "resource_id": row["id"],
        "subject_id": row["id"],
        "user_id": row["caller"],
        "charge_ref": row["provider_ref"],
        "charge": (row["provider_ref"], row["id"]),
        "grant_id": row["id"],
        "id": new_id,
        "action_id": new_id,
        "ledger_id": new_id,
        "after": UUID(int=0),
        "fingerprint": "00",
        "entries": (),
        "currency": "EUR",
        "status": "succeeded",
        "subject": "payment",
        "subjects": [("payment", str(row["id"])), ("payment", str(new_id()))],
        "source": "simulator",
        "kind": "status_differs",
    }


def _is_uuid(value: Any) -> bool:
    return isinstance(value, str) and len(value) == 36 and value.count("-") == 4


def bad(plans: list[Plan], big: set[str]) -> list[str]:
    """Return what is wrong with the plans."""
    scans = [(plan, scan) for plan in plans for scan in plan.scans if scan.table in big]
    return [
        f"{scan.kind} of {scan.rows:g} rows of {scan.table} in: {plan.query}"
        for plan, scan in scans
        if scan.kind == "Seq Scan" or scan.rows > MAX_ROWS
    ] + [f"{plan.blocks} blocks in: {plan.query}" for plan in plans if plan.blocks > MAX_BLOCKS]


@pytest.fixture(scope="module")
def big(past: Past) -> set[str]:
    """Give the names of the big tables."""
    with closing(psycopg2.connect(past.url)) as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname FROM pg_class WHERE relkind = 'r' AND reltuples >= %s", (BIG,)
        )
        return {name for (name,) in cursor.fetchall()}


@pytest.mark.parametrize("optional", [True, False], ids=["all", "least"])
@pytest.mark.parametrize("name", sorted(FUNCTIONS.keys() - WHOLE_TABLE))
async def test_a_statement_reads_by_index(
    past: Past, known: dict[str, Any], big: set[str], name: str, *, optional: bool
) -> None:
    samples = Samples(known | OWN.get(name, {}), now=NOW, optional=optional)
    arguments = samples.arguments(FUNCTIONS[name])
    async with Explained.open(past.url, PREPARED) as explained:
        with suppress(ServiceError, RefusedError):  # after a look, which is what we are here for
            await FUNCTIONS[name](explained.db, **arguments)
        plans = explained.taken()
    assert plans, "nothing was explained, so the statement was refused: say what it needs in OWN"
    wrong = bad(plans, big)
    assert not wrong


def test_plans_from_when_tables_were_empty_read_by_index(past: Past) -> None:
    """The worst case of a prepared statement: its plan is cached, and then the shop grows."""
    read = {scan.table for plan in past.grown for scan in plan.scans} - SEQUENCES
    assert read >= {
        "payment_events",
        "orders",
        "payments",
        "payment_attempts",
        "ledger_entries",
        "outbox",
        "refunds",
    }
    assert read >= {"webhook_endpoints"}  # by those who tell merchants
    wrong = bad(past.grown, read)  # its own parts, such as the batch itself, included
    assert not wrong


NEWEST: Final = 20_000
"""Entries of a trail whose hashes are worked out every minute (migration 0018)."""


@pytest.mark.parametrize(
    ("invariant", "trail"),
    [
        ("broken_event_chains", "payment_events"),
        ("invariant_broken_admin_chains", "admin_actions"),
    ],
)
async def test_every_minute_the_newest_entries_are_checked_not_all(
    past: Past, invariant: str, trail: str
) -> None:
    async with Explained.open(past.url, PREPARED) as explained:
        await explained.db.report(f"SELECT count(*) FROM {invariant}")
        scans = [scan for plan in explained.taken() for scan in plan.scans if scan.table == trail]
    assert scans
    assert {scan.kind for scan in scans} <= {"Index Scan", "Index Only Scan"}
    assert max(scan.rows for scan in scans) <= NEWEST


async def _a_batch_of_payments(explained: Explained, user: str) -> None:
    """Take 32 payments from the order to the games, while more are under way, and one back."""
    db, harness = explained.db, StoreHarness(explained.db)
    made = [await harness.order(user, at=NOW) for _ in range(BATCH + UNDER_WAY)]
    items = [begin_item(order, at=NOW) for order in made]
    for start in range(0, len(items), BATCH):
        begun = await begin_payments.begin_payments(db, items[start : start + BATCH])
        assert {outcome.kind for outcome in begun} == {Begun.CREATED}
    items = items[:BATCH]
    recorded = await record_outcomes.record_outcomes(
        db, [outcome_item(item, 1_000) for item in items]
    )
    assert all(outcome.applied for outcome in recorded)
    due = await outbox.claim(db, at=NOW, until=NOW + DAY, limit=BATCH)
    assert len(due) == BATCH
    await outbox.delivered(db, [message.id for message in due], NOW)
    refund = begin_refund(items[0], 1_000)
    await refunds.begin_refund(db, refund)
    assert (await refunds.record_refund_outcome(db, record_refund_outcome(refund, 1_000))).applied
