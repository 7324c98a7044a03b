"""For each alert the fault that makes it fire, in three phases: others, what runs short, silence.

A new alert needs a line here, or one in `CANNOT` that says why nothing here can cause it; a test
refuses it without.
"""

import asyncio
import signal
from contextlib import suppress
from typing import Final
from uuid import UUID

import aiohttp

from alerts import (
    all_alerts,
    api,
    availability,
    budgets,
    delivery,
    dependencies,
    disputes,
    merchants,
    money,
    payments,
    resources,
    traffic,
)
from alerts.model import Alert
from scripts.platform.client import Client
from tests.live import fault_sql
from tests.live.fault_context import Fault, FaultContext, Phase
from tests.live.kubelet import MIB
from tests.live.load import WENT_WRONG
from tests.live.merchants import BROKEN, GONE
from tests.live.money_faults import (
    LATE_SUCCESSES,
    REVERSALS,
    books_differ,
    buyers_dispute,
    late_successes,
    ledger_is_damaged,
    provider_takes_back,
    seals_are_lost,
)

FORGERIES_PAUSE_S: Final = 0.3
IMPATIENT: Final = 8
"""Buyers who all want to cancel an order: twice as many as there are connections."""
CRASHES: Final = 5
STOPPED_S: Final = 0.6
RUNNING_S: Final = 0.5
"""A process gets half of the time: enough to answer a scrape, and late always."""


async def provider_is_silent(context: FaultContext) -> None:
    """Let every charge time out, and every look-up fail."""
    await context.break_remote("provider.charge", "timeout_before")
    await context.break_remote("provider.find", "status", status=500)


async def webhooks_are_forged(context: FaultContext) -> None:
    """Send webhooks that are signed with a wrong secret."""
    url = f"{context.live.platform.api_url}/v1/webhooks/simulator"

    async def forge() -> None:
        headers = {"Stripe-Signature": "t=1,v1=00"}
        async with aiohttp.ClientSession(headers=headers) as session:
            while True:
                with suppress(aiohttp.ClientError):
                    async with session.post(url, json={}):
                        pass
                await asyncio.sleep(FORGERIES_PAUSE_S)

    context.keep_doing(forge())


async def library_is_down(context: FaultContext) -> None:
    """Refuse a few grants for good, and fail the others, old ones too."""
    await context.until(fault_sql.DELIVERED_GRANTS, least=fault_sql.GRANTS_TO_REPEAT)
    await context.break_remote("library.grant", "status", status=422, times=3)
    await context.break_remote("library.grant", "status", status=503)
    await context.until(fault_sql.GRANTS_GIVEN_UP)
    await context.write(fault_sql.UNDELIVERED_GRANTS, values=(fault_sql.GRANTS_TO_REPEAT,))


async def catalog_is_down(context: FaultContext) -> None:
    """Fail every look at a game that is not cached."""
    await context.break_remote("catalog.get", "status", status=503)


async def payments_hang(context: FaultContext) -> None:
    """Write payments without an outcome, as old as it takes."""
    for status in ("processing", "unknown", "review"):
        await context.write_unguarded(fault_sql.OPEN_PAYMENT, values=(status,))


async def refund_needs_a_person(context: FaultContext) -> None:
    """Write a refund that is in review."""
    await context.write(fault_sql.REFUND_IN_REVIEW)


async def events_hang(context: FaultContext) -> None:
    """Write an event that no worker can take, and one that has found no payment for days."""
    await context.write(fault_sql.FREEZE)
    await context.write(fault_sql.FROZEN_EVENT, fault_sql.EVENT, values=("evt_frozen",))
    await context.write(fault_sql.EVENT, values=("evt_old",))


async def a_charge_is_claimed(context: FaultContext) -> None:
    """Charge on the same account for somebody else, and say that it is one of our payments'."""
    platform = context.live.platform
    headers = {
        "Authorization": f"Bearer {platform.environ['SIMULATOR_API_KEY']}",
        "Idempotency-Key": "somebody else's",
    }
    order = {"amount": 500, "currency": "EUR", "capture": True, "payment_method": "pm_ok"}
    async with (
        aiohttp.ClientSession(headers=headers, raise_for_status=True) as session,
        session.post(
            f"{platform.simulator_url}/provider/v1/charges",
            json=order | {"reference": "an order of somebody else"},
        ) as answer,
    ):
        charge = await answer.json()
    await context.write(fault_sql.FALSE_CLAIM, values=(charge["id"],))


async def merchants_fail(context: FaultContext) -> None:
    """Let one merchant be gone and one broken, whose deliveries come to an end, or hang."""
    shops = context.live.merchants
    shops.answers |= {GONE: 410, BROKEN: 500}
    found = await context.until(fault_sql.PENDING_DELIVERIES, shops.ids[BROKEN], least=2)
    (first,), (second,) = found[:2]
    await context.write(fault_sql.LAST_TRY, values=(first,))
    await context.until(fault_sql.CAN_FREEZE)
    await context.write(fault_sql.FROZEN_DELIVERY.format(delivery=second))


async def limits_are_too_low(context: FaultContext) -> None:
    """Simulate limits below what the worker really uses."""
    container = context.live.pods["first-worker"].container
    container.cpu_cores, container.memory_bytes = 0.001, 32 * MIB


async def new_version_crashes(context: FaultContext) -> None:
    """Start a pod whose settings are wrong, and start it again whenever it has ended."""
    pod = context.live.spawn("crashing", "worker", {"DB_POOL_SIZE": "none"})
    context.live.discover()
    await context.live.seen(f'kube_pod_container_status_restarts_total{{pod="{pod.name}"}}')
    for _ in range(CRASHES):
        await pod.child.exited()
        context.live.respawn(pod, {"DB_POOL_SIZE": "none"})


async def inserts_are_slow(context: FaultContext) -> None:
    """Let every batch of new orders take three seconds."""
    await context.write(fault_sql.SLOW_INSERTS)


async def orders_are_locked(context: FaultContext) -> None:
    """Hold a lock that every change of an order waits for, and let many wait for it."""
    orders = await context.until(fault_sql.PENDING_ORDERS, IMPATIENT, least=IMPATIENT)
    await context.hold(fault_sql.LOCKED_ORDERS)
    for order_id, user in orders:
        client = context.live.platform.client(user)
        await context.stack.enter_async_context(client)
        context.keep_doing(_insist(client, order_id))


async def _insist(client: Client, order_id: UUID) -> None:
    while True:
        with suppress(*WENT_WRONG):
            await client.call("POST", f"/v1/orders/{order_id}/cancel", json={})


async def cache_is_killed(context: FaultContext) -> None:
    """Kill Valkey."""
    context.live.platform.children["valkey"].kill()


async def worker_is_starved(context: FaultContext) -> None:
    """Stop a worker again and again, for more than half of the time."""
    child = context.live.pods["first-worker"].child

    async def starve() -> None:
        try:
            while True:
                child.signal(signal.SIGSTOP)
                await asyncio.sleep(STOPPED_S)
                child.signal(signal.SIGCONT)
                await asyncio.sleep(RUNNING_S)
        finally:
            child.signal(signal.SIGCONT)

    context.keep_doing(starve())


async def containers_are_not_watched(context: FaultContext) -> None:
    """Let the simulated kubelet say nothing."""
    context.live.kubelet.silent = True


async def buyers_stay_away(context: FaultContext) -> None:
    """Let visitors look at orders, and buy nothing."""
    context.live.load.paying = False


async def all_processes_die(context: FaultContext) -> None:
    """Kill every process of the service."""
    for pod in context.live.pods.values():
        pod.child.kill()


async def targets_are_forgotten(context: FaultContext) -> None:
    """Let Prometheus find no pod."""
    context.live.discover(())


OTHERS: Final = Phase(
    "partners fail, and rows are damaged",
    (
        Fault(
            "the provider times out",
            provider_is_silent,
            (
                payments.ERROR_RATE_HIGH,
                payments.ERROR_RATE_CRITICAL,
                payments.LATENCY_HIGH,
                payments.LATENCY_CRITICAL,
                payments.HIGH_VALUE_FAILING,
                *budgets.AREA.alerts,
                dependencies.PROVIDER_DOWN,
                dependencies.BREAKER_OPEN,
                traffic.STOPPED,
            ),
            after=(fault_sql.GRANTS_GIVEN_UP, 1),
        ),
        Fault(
            "declined charges take money, and refunds fail",
            late_successes,
            (money.ORPHANS, money.ORPHANS_PENDING, money.ORPHANS_IN_REVIEW),
        ),
        Fault("buyers' banks dispute payments", buyers_dispute, disputes.AREA.alerts),
        Fault("webhooks have a wrong signature", webhooks_are_forged, (delivery.REFUSED,)),
        Fault(
            "the Library refuses grants, then fails",
            library_is_down,
            (
                dependencies.LIBRARY_FAILING,
                delivery.OUTBOX_LAGGING,
                delivery.NOT_GRANTED,
                delivery.MANY_NOT_GRANTED,
                delivery.GIVEN_UP,
            ),
            after=(fault_sql.ORPHANS_REVIEWED, LATE_SUCCESSES),
        ),
        Fault(
            "the Game Catalog fails",
            catalog_is_down,
            (dependencies.CATALOG_FAILING, dependencies.CATALOG_DOWN, api.ERRORS),
        ),
        Fault(
            "rows: payments without an outcome",
            payments_hang,
            (payments.STUCK, payments.UNKNOWN, payments.IN_REVIEW),
        ),
        Fault("row: a refund in review", refund_needs_a_person, (payments.REFUNDS_IN_REVIEW,)),
        Fault(
            "rows: a frozen event, and one four days old",
            events_hang,
            (delivery.INBOX_LAGGING, delivery.PARKED),
        ),
        Fault(
            "an event claims somebody else's charge",
            a_charge_is_claimed,
            (delivery.MISMATCHED,),
        ),
        Fault(
            "merchants answer 410 and 500; a row: a frozen delivery",
            merchants_fail,
            merchants.AREA.alerts,
            after=(fault_sql.DECISIONS_BY_HAND, 1),
        ),
        Fault(
            "rows: half a booking, a changed entry; a worker whose clock is slow",
            ledger_is_damaged,
            (
                money.INVARIANT_BROKEN,
                money.TRAIL_BROKEN,
                availability.STALLED,
                availability.CLOCK_APART,
            ),
        ),
        Fault(
            "rows: seals removed, an old entry; sealers are kept from sealing",
            seals_are_lost,
            (money.SEALS_GONE, money.SEAL_LAGGING),
        ),
        Fault(
            "a game is taken back at the Library; comparisons fail, rows: for hours",
            books_differ,
            (money.DIFFERENCE, money.OVERDUE),
        ),
        Fault(
            "simulated: limits below what is used",
            limits_are_too_low,
            (resources.CPU, resources.MEMORY),
        ),
        Fault(
            "a pod crashes at its start, again and again",
            new_version_crashes,
            (resources.RESTARTING, availability.TARGET_DOWN),
        ),
    ),
)
SHORT: Final = Phase(
    "what the service stands on runs short",
    (
        Fault(
            "a transaction locks the orders' rows",
            orders_are_locked,
            (resources.POOL,),
            after=(fault_sql.REVERSALS, REVERSALS),
        ),
        Fault(
            "a refund comes back, a bank debit fails",
            provider_takes_back,
            (money.REFUND_REVERSED, money.CAPTURE_REVERSED),
        ),
        Fault(
            "a trigger slows inserts down",
            inserts_are_slow,
            (resources.QUEUE,),
            after=(fault_sql.REVERSALS, REVERSALS),
        ),
        Fault("Valkey is killed", cache_is_killed, (resources.CACHE,)),
        Fault("a worker is stopped half of the time", worker_is_starved, (resources.LOOP,)),
        Fault(
            "simulated: the kubelet is silent",
            containers_are_not_watched,
            (resources.METRICS_MISSING,),
        ),
        Fault("buyers stay away", buyers_stay_away, (traffic.VOLUME_DROP,)),
    ),
)
SILENCE: Final = Phase(
    "nothing runs any more",
    (
        Fault(
            "all processes are killed",
            all_processes_die,
            (availability.API_GONE, availability.WORKER_GONE),
        ),
        Fault("no pod is discovered", targets_are_forgotten, (availability.NO_TARGETS,)),
    ),
)
PHASES: Final = (OTHERS, SHORT, SILENCE)

CANNOT: Final[dict[str, str]] = {}
"""Alerts that nothing here can make fire, by name, each with the reason."""


def caused() -> dict[str, Fault]:
    """Return the fault of each alert, by the alert's name."""
    return {
        alert.name: fault for phase in PHASES for fault in phase.faults for alert in fault.fires
    }


def uncaused() -> tuple[Alert, ...]:
    """Return the alerts that have neither a fault nor a reason for having none."""
    known = caused().keys() | CANNOT.keys()
    return tuple(alert for alert in all_alerts() if alert.name not in known)
