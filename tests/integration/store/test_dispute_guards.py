"""Writes of disputes that the database refuses, whatever the service may do."""

from uuid import UUID

import pytest

from service.domain import ledger
from service.domain.dispute import DisputeStatus
from service.domain.money import Money
from service.ids import new_id
from service.store import disputes, fraud_warnings
from service.store.database import RefusedError
from service.store.disputes import Movement, SyncDispute
from service.store.fraud_warnings import NewWarning
from service.store.record_outcomes import EntryRow
from tests.integration.store.conftest import NOW, StoreHarness

pytestmark = pytest.mark.as_owner


def withdrawal(minor: int, account: str = "disputes:simulator") -> Movement:
    entries = ledger.dispute_withdrawal("simulator", Money(minor, "EUR"))
    rows = [EntryRow(e.account, e.amount.minor, "EUR") for e in entries]
    rows[0] = EntryRow(account, rows[0].minor, "EUR")
    return Movement(new_id(), "dispute_withdrawal", tuple(rows))


def reported(
    payment_id: UUID, *movements: Movement, withdrawn: int = 0, version: int = 0,
    currency: str = "EUR", status: str = "needs_response", amount: int = 1_000,
    provider: str = "simulator", reinstated: int = 0,
) -> SyncDispute:  # fmt: skip
    return SyncDispute(
        id=new_id(),
        payment_id=payment_id,
        provider=provider,
        provider_ref="dp_1",
        amount_minor=amount,
        currency=currency,
        reason="fraudulent",
        status=DisputeStatus(status),
        evidence_due_at=NOW,
        withdrawn_minor=withdrawn,
        reinstated_minor=reinstated,
        version=version,
        disputed_at=NOW,
        closed_at=NOW if status in ("won", "lost") else None,
        movements=movements,
        timeline=(),
        revokes=True,
        correlation_id="c",
        at=NOW,
    )


async def disputed(harness: StoreHarness) -> UUID:
    payment_id = (await harness.paid()).payment_id
    assert await disputes.sync(harness.db, reported(payment_id, withdrawal(1_000), withdrawn=1_000))
    return payment_id


async def refused(harness: StoreHarness, sql: str, *values: object) -> str:
    with pytest.raises(RefusedError) as caught:
        await harness.db.fetch(sql, values or None)
    return caught.value.constraint


@pytest.mark.parametrize(
    "change",
    [
        "payment_id = gen_random_uuid()",
        "provider = 'stripe'",
        "provider_ref = 'dp_2'",
        "currency = 'USD'",
        "disputed_at = now()",
        "withdrawn_minor = 999",
        "version = 0",
    ],
)
async def test_a_dispute_keeps_what_it_is(harness: StoreHarness, change: str) -> None:
    await disputed(harness)
    assert await refused(harness, f"UPDATE disputes SET {change}") == "disputes_immutable"


async def test_disputes_are_kept(harness: StoreHarness) -> None:
    await disputed(harness)
    for sql in ("DELETE FROM disputes", "TRUNCATE disputes CASCADE"):
        assert await refused(harness, sql) == "disputes_immutable"


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ("status = 'warning'", "dispute_transition"),
        ("status = 'nonsense'", "dispute_transition"),
        ("withdrawn_minor = 1001", "withheld_within_amount"),
        ("reinstated_minor = 1001", "withheld_within_amount"),
        ("amount_minor = 999", "withheld_within_amount"),
        ("reinstated_minor = 500", "dispute_booked"),
        ("status = 'lost', closed_at = now()", "dispute_booked"),
    ],
)
async def test_a_dispute_says_what_the_ledger_says(
    harness: StoreHarness, change: str, rule: str
) -> None:
    await disputed(harness)
    assert await refused(harness, f"UPDATE disputes SET {change}") == rule


@pytest.mark.parametrize(
    ("item", "rule"),
    [
        ({"currency": "USD"}, "dispute_of_payment"),
        ({"provider": "stripe"}, "dispute_of_payment"),
        ({"withdrawn": 500}, "dispute_booked"),
    ],
)
async def test_a_dispute_is_of_its_payment(
    harness: StoreHarness, item: dict[str, str], rule: str
) -> None:
    payment_id = (await harness.paid()).payment_id
    with pytest.raises(RefusedError) as caught:
        await disputes.sync(harness.db, reported(payment_id, **item))  # type: ignore[arg-type]
    assert caught.value.constraint == rule


async def test_money_of_a_dispute_is_booked_on_accounts_that_count(harness: StoreHarness) -> None:
    payment_id = (await harness.paid()).payment_id
    elsewhere = withdrawal(400, "sales:games")
    with pytest.raises(RefusedError) as caught:
        await disputes.sync(harness.db, reported(payment_id, elsewhere, withdrawn=400))
    assert caught.value.constraint == "dispute_booked"


async def test_who_has_seen_an_older_version_changes_nothing(harness: StoreHarness) -> None:
    payment_id = await disputed(harness)
    for version in (0, 2):
        late = reported(payment_id, withdrawn=1_000, status="under_review", version=version)
        assert not await disputes.sync(harness.db, late)
    now = reported(payment_id, withdrawn=1_000, status="under_review", version=1)
    assert await disputes.sync(harness.db, now)
    assert await harness.violations() == {}


async def test_a_dispute_without_its_row_shows(harness: StoreHarness) -> None:
    payment_id = await disputed(harness)
    await harness.db.fetch(
        "INSERT INTO ledger_transactions (id, kind, payment_id, dispute_id, dispute_version,"
        " created_at) SELECT gen_random_uuid(), 'dispute_loss', payment_id, id, 7, now()"
        " FROM disputes WHERE payment_id = %s",
        (payment_id,),
    )
    await harness.db.fetch(
        "INSERT INTO ledger_entries (transaction_id, account, amount_minor, currency)"
        " SELECT t.id, v.account, v.minor, 'EUR' FROM ledger_transactions t,"
        " (VALUES ('losses:disputes', 5), ('disputes:simulator', -5)) AS v(account, minor)"
        " WHERE t.kind = 'dispute_loss'"
    )
    assert await harness.violations() == {"disputes_differ_from_ledger": 1}


async def test_a_movement_is_booked_once(harness: StoreHarness) -> None:
    await disputed(harness)
    rule = await refused(
        harness,
        "INSERT INTO ledger_transactions (id, kind, payment_id, dispute_id, dispute_version,"
        " created_at) SELECT gen_random_uuid(), kind, payment_id, dispute_id, dispute_version,"
        " created_at FROM ledger_transactions WHERE dispute_id IS NOT NULL",
    )
    assert rule == "ledger_booked_once"
    rule = await refused(
        harness,
        "INSERT INTO ledger_transactions (id, kind, payment_id, created_at)"
        " SELECT gen_random_uuid(), kind, payment_id, created_at FROM ledger_transactions"
        " WHERE kind = 'capture'",
    )
    assert rule == "ledger_booked_once"


async def test_a_warning_of_fraud_keeps_what_it_is(harness: StoreHarness) -> None:
    payment_id = (await harness.paid()).payment_id
    item = NewWarning(
        id=new_id(),
        payment_id=payment_id,
        provider="simulator",
        provider_ref="issfr_1",
        fraud_type="misc",
        actionable=False,
        warned_at=NOW,
        correlation_id="c",
        at=NOW,
    )
    assert await fraud_warnings.record(harness.db, item)
    assert not await fraud_warnings.record(harness.db, item)
    rule = await refused(harness, "UPDATE fraud_warnings SET fraud_type = 'x'")
    assert rule == "fraud_warnings_immutable"
    rule = await refused(harness, "UPDATE fraud_warnings SET status = 'open'")
    assert rule == "fraud_warning_transition"
    assert await refused(harness, "DELETE FROM fraud_warnings") == "fraud_warnings_immutable"
