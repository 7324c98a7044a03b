"""Faults of money: what providers take back, and damaged ledger rows."""

import asyncio
from typing import Final

import aiohttp

from scripts.platform.client import Client
from service.store.audit_seals import SEALERS_LOCK
from tests.live import fault_sql
from tests.live.fault_context import PATIENCE_S, POLL_S, FaultContext, FaultError

LATE_SUCCESSES: Final = 6
"""Charges that take money after all: twice as many as the alert needs."""
REFUSALS: Final = 3
"""Of refunds, so that some orphans go to review, and some stay pending."""
DISPUTES: Final = 12
"""More than a hundredth of what is sold within the scaled day of the alert."""
REVERSALS: Final = 2
"""A refund that comes back, and a capture that is taken back."""
DUE_IN_S: Final = 3_600


async def late_successes(context: FaultContext) -> None:
    """Decline charges, and take the money after all; some refunds are refused, others fail."""
    live = context.live
    live.load.returning = False
    await context.break_remote("provider.refund", "status", status=422, times=REFUSALS)
    await context.break_remote("provider.refund", "status", status=500)
    for _ in range(LATE_SUCCESSES):
        client, game = live.load.buyer()
        async with client:
            order = await client.order([game])
            paid = await client.pay(order["id"], payment_method="pm_declined")
            detail = await client.read(f"/v1/admin/payments/{paid.expect(201).body['id']}")
        await live.control.complete(detail["provider_ref"], late=True)
    await context.until(fault_sql.ORPHANS, least=LATE_SUCCESSES)


async def buyers_dispute(context: FaultContext) -> None:
    """Let buyers' banks dispute payments, and want an answer within an hour."""
    # Payments that are there: a new one might meet another fault.
    for (charge,) in await context.until(fault_sql.CHARGES_TO_DISPUTE, DISPUTES, least=DISPUTES):
        await context.live.control.dispute(charge, due_in_s=DUE_IN_S)
    await context.until(fault_sql.DISPUTES, least=DISPUTES)


async def provider_takes_back(context: FaultContext) -> None:
    """Let a refund come back after it had succeeded, and a bank debit fail."""
    for takes_back in (_refund_comes_back, _charge_fails):
        client, game = context.live.load.buyer()
        async with client:
            await takes_back(context, client, *await _sale(client, game))
    await context.until(fault_sql.REVERSALS, least=REVERSALS)


async def _sale(client: Client, game: str) -> tuple[str, str]:
    """Buy a game; return the payment and its charge."""
    for _ in range(int(PATIENCE_S / POLL_S)):
        order = await client.order([game])
        paid = (await client.pay(order["id"])).expect(201, 202).body
        if paid["status"] == "succeeded":
            detail = await client.read(f"/v1/admin/payments/{paid['id']}")
            return paid["id"], detail["provider_ref"]
        await asyncio.sleep(POLL_S)  # the breaker is still open from the phase before
    raise FaultError("no payment succeeds")


async def _refund_comes_back(
    context: FaultContext, client: Client, payment_id: str, ref: str
) -> None:
    (await client.refund(payment_id)).expect(201)
    refunds = (await context.live.control.state())["refunds"]
    [made] = [refund for refund in refunds if refund["charge"] == ref]
    await context.live.control.fail_refund(made["id"])


async def _charge_fails(context: FaultContext, _client: Client, _payment_id: str, ref: str) -> None:
    await context.live.control.fail_charge(ref)


async def ledger_is_damaged(context: FaultContext) -> None:
    """Write half a booking and change a sealed entry; a worker that starts looks at once."""
    await context.write_unguarded(fault_sql.UNBALANCED_LEDGER)
    await context.write_unguarded(fault_sql.CHANGED_TRAIL)
    context.late_worker()
    context.live.discover()


async def seals_are_lost(context: FaultContext) -> None:
    """Keep the sealers from sealing, remove seals, and write an old entry that none covers."""
    await context.hold(fault_sql.HOLD_SEALERS, SEALERS_LOCK)
    await context.write_unguarded(fault_sql.LOST_SEALS)
    await context.write(fault_sql.UNSEALED_DECISION)


async def books_differ(context: FaultContext) -> None:
    """Take a game back at the Library, and let no comparison succeed, as if for hours.

    A comparison with the provider that fails doesn't hide what the Library says otherwise.
    """
    live = context.live
    ((grant,),) = await context.until(fault_sql.GRANTED)
    token = live.platform.environ["LIBRARY_TOKEN"]
    url = f"{live.platform.simulator_url}/library/v1/grants/{grant}"
    async with (
        aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"}) as session,
        session.delete(url, raise_for_status=True),
    ):
        pass
    await context.break_remote("provider.list", "status", status=500)
    await context.until(fault_sql.FAILED_RUNS)
    await context.write(fault_sql.OLD_RUNS)
