"""What operators see: the money invariants and the ledger."""

from service.api.app_keys import CONTEXT
from service.api.schemas import Invariants, LedgerEntries, LedgerQuery, Pending
from service.usecases import health, payments
from service.views import ledger_view
from service.web.endpoint import Call, Nothing, Reply


async def get_invariants(call: Call[Nothing, Nothing]) -> Reply:
    """Count the rows that break each money invariant, and the work under way."""
    context = call.app(CONTEXT)
    violations = await health.violations(context)
    backlog = await health.backlog(context)
    return Reply(
        200,
        Invariants(
            violations,
            Pending(
                outbox=sum(backlog.outbox.values()),
                unresolved_payments=sum(backlog.unresolved.values()),
                paid_not_granted=backlog.paid_not_granted,
            ),
        ),
    )


async def get_ledger(call: Call[Nothing, LedgerQuery]) -> Reply:
    """Read a payment's ledger entries."""
    entries = await payments.ledger_entries(call.app(CONTEXT), call.query.payment_id)
    return Reply(200, LedgerEntries(tuple(map(ledger_view, entries))))
