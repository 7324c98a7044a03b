"""Actions of a buyer's bank, and what the ledger then holds."""

import json
from typing import Any

from scripts.platform.client import Client
from tests.integration.api.conftest import Api
from tests.support.webhooks import SECRET

Json = dict[str, Any]


async def paid(api: Api, buyer: Client, game: str = "game-1") -> Json:
    """Return a payment whose game is granted, and let webhooks of the simulator come."""
    await api.simulator.send_webhooks(f"{api.url}/v1/webhooks/simulator", SECRET)
    order = await buyer.order([game])
    payment = (await buyer.pay(order["id"])).expect(201).body
    await api.deliver()
    await process_webhooks(api)
    return dict(payment)


async def process_webhooks(api: Api) -> None:
    """Wait until every webhook was delivered, and process what came."""
    state = await api.simulator.webhooks()
    while state["waiting"] or not all(each["delivered"] for each in state["deliveries"]):
        await api.simulator.until("webhooks", state["delivered"] + 1)
        state = await api.simulator.webhooks()
    while await api.process():
        pass


async def charge_of(api: Api) -> str:
    """Return the simulator's last charge."""
    return str((await api.simulator.state())["charges"][-1]["id"])


async def disputed(api: Api, **options: Any) -> Json:
    """Let the last charge be disputed, and take it in."""
    dispute = await api.simulator.dispute(await charge_of(api), **options)
    await process_webhooks(api)
    return dispute


async def changed(api: Api, dispute: Json, *actions: str) -> None:
    """Let the bank do something, and take it in."""
    for action in actions:
        await api.simulator.change_dispute(dispute["id"], action)
        await process_webhooks(api)


async def rows(api: Api, table: str = "disputes") -> list[Json]:
    """Return the rows of a table."""
    found = await api.context.db.fetch(f"SELECT row_to_json(t)::text FROM {table} t ORDER BY id")
    return [json.loads(row[0]) for row in found]


async def balances(api: Api) -> dict[str, int]:
    """Return the balance of each account of the ledger that has one."""
    found = await api.context.db.fetch(
        "SELECT account, sum(amount_minor)::bigint FROM ledger_entries GROUP BY account"
    )
    return {account: minor for account, minor in found if minor}


async def timeline(buyer: Client, payment: Json) -> list[str]:
    """Return what happened to a payment since its games were granted."""
    events = (await buyer.read(f"/v1/payments/{payment['id']}/timeline"))["items"]
    names = [event["event"] for event in events]
    return names[names.index("games_granted") + 1 :]
