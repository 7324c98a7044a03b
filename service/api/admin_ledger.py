"""What operators see of the ledger: the money invariants and the ledger."""

from typing import Final
from uuid import UUID

import msgspec

from service.api.common import ADMIN, CONTEXT
from service.store import invariants
from service.store import payments as store
from service.store.rows import Page, whole
from service.views import LedgerEntryView, ledger_view
from service.web.endpoint import Call, Endpoint, Nothing, Reply


class LedgerQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whose ledger entries."""

    payment_id: UUID


class Pending(msgspec.Struct, frozen=True):
    """Work that is not finished."""

    outbox: int
    unresolved_payments: int
    paid_not_granted: int


class Invariants(msgspec.Struct, frozen=True):
    """Rows that break each money invariant (all 0 when all is well), and what is under way."""

    invariants: dict[str, int]
    pending: Pending


async def get_invariants(call: Call[Nothing, Nothing]) -> Reply:
    """Check the money invariants: rows that break each, and the work under way."""
    context = call.app(CONTEXT)
    violations = await invariants.violations(context.db)
    backlog = await invariants.backlog(context.db, context.now())
    pending = Pending(
        outbox=sum(backlog.outbox.values()),
        unresolved_payments=sum(backlog.unresolved.values()),
        paid_not_granted=backlog.paid_not_granted,
    )
    return Reply(200, Invariants(violations, pending))


async def get_ledger(call: Call[Nothing, LedgerQuery]) -> Reply:
    """Read a payment's ledger entries, oldest first."""
    entries = await store.ledger_entries(call.app(CONTEXT).db, call.query.payment_id)
    return Reply(200, whole(entries).map(ledger_view))


ROUTES: Final = (
    Endpoint("GET", "/v1/admin/invariants", get_invariants, ADMIN, {200: Invariants}, tag="admin"),
    Endpoint(
        "GET", "/v1/admin/ledger", get_ledger, ADMIN, {200: Page[LedgerEntryView]}, tag="admin",
    ),
)  # fmt: skip
