"""A database of our own, and rows to begin with."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from service.app import PREPARED
from service.domain import ledger
from service.domain.money import Money
from service.ids import new_id
from service.store.begin_payments import BeginPayment, begin_payments
from service.store.database import Database
from service.store.idempotency import BeginOutcome
from service.store.orders import ItemRow, NewOrder, create_orders
from service.store.record_outcomes import EntryRow, RecordOutcome, record_outcomes

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
LOCK = timedelta(seconds=30)


@pytest.fixture
async def db(database_url: str) -> AsyncIterator[Database]:
    """Give a pool on a fresh database."""
    database = await Database.open(database_url, size=8, timeout_s=5.0, prepared=PREPARED)
    yield database
    await database.close()


@dataclass
class StoreHarness:
    """Makes orders and payments with as few words as possible."""

    db: Database
    games: int = field(default=0)

    async def order(
        self,
        user: str = "u1",
        *,
        games: tuple[str, ...] = (),
        minor: int = 1_000,
        at: datetime = NOW,
    ) -> NewOrder:
        """Create an order of one new game, or of those named; each costs `minor`."""
        self.games += 1
        names = games or (f"game-{self.games}",)
        order = NewOrder(
            id=new_id(),
            user_id=user,
            currency="EUR",
            total_minor=minor * len(names),
            items=tuple(ItemRow(name, name.title(), 1, minor) for name in names),
            at=at,
            expires_at=at + timedelta(minutes=30),
        )
        await create_orders(self.db, [order])
        return order

    async def begin(self, *items: BeginPayment) -> list[BeginOutcome]:
        """Begin payments in one batch."""
        return await begin_payments(self.db, items)

    async def paid(self, user: str = "u1", *, minor: int = 1_000) -> BeginPayment:
        """Create an order and a payment that succeeded."""
        item = begin_item(await self.order(user, minor=minor))
        await self.begin(item)
        await record_outcomes(self.db, [outcome_item(item, minor)])
        return item

    async def violations(self) -> dict[str, int]:
        """Return the invariants that are broken."""
        rows = await self.db.fetch("SELECT * FROM money_invariants WHERE violations > 0")
        return dict(rows)


def begin_item(
    order: NewOrder, *, key: str = "", fingerprint: str = "00", user: str = "", at: datetime = NOW
) -> BeginPayment:
    """Return a payment of the order; without a key, with one of its own."""
    return BeginPayment(
        payment_id=new_id(),
        attempt_id=new_id(),
        caller=user or order.user_id,
        key=key or new_id().hex,
        fingerprint=fingerprint,
        order_id=order.id,
        provider="simulator",
        capture_method="automatic",
        payment_method="pm_ok",
        correlation_id="c1",
        at=at,
        locked_until=at + LOCK,
    )


def outcome_item(
    item: BeginPayment, minor: int, *, status: str = "succeeded", ref: str | None = None
) -> RecordOutcome:
    """Return what a charge of `minor` comes to."""
    succeeded = status == "succeeded"
    entries = ledger.capture(item.provider, Money(minor, "EUR")) if succeeded else ()
    return RecordOutcome(
        payment_id=item.payment_id,
        attempt_id=item.attempt_id,
        resource_id=item.payment_id,
        status=status,
        attempt_status={"unknown": "unknown", "failed": "failed"}.get(status, "succeeded"),
        captured_minor=minor if succeeded else 0,
        provider_ref=ref or f"ch_{item.attempt_id.hex}",
        failure_code=None if succeeded else "outcome_unknown",
        next_check_at=item.at + timedelta(seconds=5) if status == "unknown" else None,
        entries=tuple(EntryRow(e.account, e.amount.minor, e.amount.currency) for e in entries),
        ledger_id=new_id(),
        event=f"payment_{status}",
        data={},
        correlation_id=item.correlation_id,
        at=item.at,
        response_status=202 if status == "unknown" else 201,
        response_body='{"id": "x"}',
    )


@pytest.fixture
def harness(db: Database) -> StoreHarness:
    """Give a shop on the fresh database."""
    return StoreHarness(db)


def uuids(rows: list[tuple[UUID]]) -> list[UUID]:
    """Return the first column."""
    return [row[0] for row in rows]
