"""What a provider sends, what a forger would, and what our database then says."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import aiohttp

from scripts.platform.client import Client
from service.store.database import Database
from simulator.client import Control
from simulator.webhooks import signature
from tests.support.services import SIMULATOR_SECRETS

SECRET = SIMULATOR_SECRETS["SIMULATOR_WEBHOOK_SECRETS"]
Json = dict[str, Any]


@dataclass
class Hook:
    """Delivers events to an API."""

    url: str
    session: aiohttp.ClientSession

    async def send(
        self,
        event: Json | bytes,
        *,
        secret: str = SECRET,
        age_s: float = 0,
        headers: Mapping[str, str] | None = None,
        provider: str = "simulator",
    ) -> tuple[int, Json]:
        """Deliver an event and return status and body; without `headers`, signed."""
        body = event if isinstance(event, bytes) else json.dumps(event).encode()
        signed = {"Stripe-Signature": signature(secret, int(time.time() - age_s), body)}
        async with self.session.post(
            f"{self.url}/v1/webhooks/{provider}",
            data=body,
            headers=signed if headers is None else headers,
        ) as answer:
            return answer.status, await answer.json(content_type=None)


async def charge_event(simulator: Control, **changes: Any) -> Json:
    """Return an event of the simulator's last charge."""
    return event_of((await simulator.state())["charges"][-1], **changes)


def event_of(record: Json, **changes: Any) -> Json:
    """Return an event of a record; an `id` of None leaves it out."""
    kind = f"{record['object']}.{record['status']}"
    event = {"id": f"evt_{uuid4().hex}", "type": kind, "data": {"object": record}, **changes}
    return {name: value for name, value in event.items() if value is not None}


async def inbox(db: Database) -> list[Json]:
    """Return the inbox."""
    rows = await db.fetch("SELECT row_to_json(w)::text FROM webhook_inbox w ORDER BY received_at")
    return [json.loads(row[0]) for row in rows]


async def orphans(db: Database) -> list[Json]:
    """Return the orphan captures."""
    rows = await db.fetch("SELECT row_to_json(o)::text FROM orphan_captures o")
    return [json.loads(row[0]) for row in rows]


async def unknown_payment(simulator: Control, buyer: Client) -> Json:
    """Return a payment whose charge went through and whose answer was lost."""
    await simulator.fault("provider.charge", "reset_after")
    order = await buyer.order(["game-1"])
    payment = (await buyer.pay(order["id"])).expect(202).body
    assert payment["status"] == "unknown"
    return payment


async def status_of(buyer: Client, payment: Json) -> str:
    """Return a payment's status."""
    return str((await buyer.read(f"/v1/payments/{payment['id']}"))["status"])


async def at_provider(simulator: Control, path: str, body: Json, *, key: str | None = None) -> Json:
    """Do something at the provider behind our back; return the charge."""
    headers = {
        "Authorization": f"Bearer {SIMULATOR_SECRETS['SIMULATOR_API_KEY']}",
        "Idempotency-Key": key or str(uuid4()),
    }
    url = f"{simulator.url}/provider/v1/charges{path}"
    async with (
        aiohttp.ClientSession(headers=headers, raise_for_status=True) as session,
        session.post(url, json=body) as answer,
    ):
        made: Json = await answer.json()
        return made


async def second_charge(simulator: Control, payment: Json) -> Json:
    """Charge a payment again under a key of its own; return the charge."""
    order = {"amount": payment["amount"], "currency": payment["currency"], "capture": True}
    order |= {"payment_method": "pm_ok", "reference": payment["id"]}
    return await at_provider(simulator, "", order)
