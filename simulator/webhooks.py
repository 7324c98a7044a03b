"""The provider's webhooks: every change of a charge or a refund is sent to one URL, signed.

Like a real provider's they come at least once, in no promised order, and again until they are
acknowledged. Faults make them worse. The signature is Stripe's scheme (header `Stripe-Signature`).
"""

import asyncio
import hashlib
import hmac
import time
from collections import deque
from typing import Annotated, Any, Final
from uuid import uuid4

import aiohttp
import msgspec
from msgspec import Meta

from simulator.faults import Fault, Faults, Held, Kind, Target
from simulator.records import Records
from simulator.replies import encode

HEADER: Final = "Stripe-Signature"
SENDERS: Final = 8
"""Deliveries at a time: a provider opens several connections too."""

MAX_QUEUE: Final = 20_000
"""Deliveries that wait; one more is lost, as it would be after a provider's last retry."""

MAX_LOG: Final = 1_000
TIMEOUT_S: Final = 10.0
PAUSES_S: Final = (0.2, 0.5, 1.0, 2.0, 4.0, 8.0)
"""Between tries of one delivery: a restart of the service fits in; then it is given up."""

REORDER_S: Final = 2.0
"""An event that is to come after the next one comes by itself after this, if there is none."""


class Hook(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Where events go, and the secret that signs them; no URL: nowhere."""

    url: Annotated[str, Meta(max_length=2_000)] = ""
    secret: Annotated[str, Meta(max_length=255)] = ""


class Delivery(msgspec.Struct):
    """An event on its way. `status` is the last HTTP status, 0 for none."""

    event_id: str
    type: str
    body: str
    tries: int = 0
    status: int = 0
    delivered: bool = False
    forged: bool = False


class Webhooks:
    """Sends what is announced, a bounded number at a time."""

    def __init__(self, records: Records, faults: Faults, hook: Hook) -> None:
        self._records = records
        self._faults = faults
        self._first = hook
        self._session: aiohttp.ClientSession | None = None
        self._senders: set[asyncio.Task[None]] = set()
        self._queue: deque[tuple[Delivery, Fault | None]] = deque()
        self.reset()

    def reset(self) -> None:
        """Forget what waits and what was sent; send to the configured hook again."""
        self.hook = self._first
        self.log: deque[Delivery] = deque(maxlen=MAX_LOG)
        self.delivered = 0
        self.lost = 0
        self._queue.clear()
        self._late: list[Delivery] = []
        self._urgent: list[Delivery] = []

    def announce(self, kind: str, record: msgspec.Struct) -> None:
        """Send an event that holds the record as it is now."""
        if not self.hook.url:
            return
        fault = self._faults.take(Target.WEBHOOK)
        event_id = f"evt_{uuid4().hex}"
        event = {
            "id": event_id,
            "object": "event",
            "type": kind,
            "created": int(time.time()),
            "data": {"object": record},
        }
        delivery = Delivery(event_id, kind, encode(event).decode())
        self.log.append(delivery)
        match fault.kind if fault else None:
            case Kind.DROP:
                self.lost += 1
            case Kind.REORDER:
                self._late.append(delivery)
                asyncio.get_running_loop().call_later(REORDER_S, self._send_late)
            case Kind.BEFORE_ANSWER:
                self._urgent.append(delivery)
            case Kind.DUPLICATE:
                self._enqueue(delivery, None)
                self._enqueue(delivery, None)
            case _:
                self._enqueue(delivery, fault)

    async def send_urgent(self) -> None:
        """Deliver what is to arrive before the answer to the request that caused it."""
        urgent, self._urgent = self._urgent, []
        for delivery in urgent:
            await self._deliver(delivery, self.hook)

    async def close(self) -> None:
        """Stop at once; what waits is lost."""
        self._queue.clear()
        for sender in self._senders:
            sender.cancel()
        await asyncio.gather(*self._senders, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    def state(self) -> dict[str, Any]:
        """Return what was sent, the latest last; never the secret."""
        return {
            "url": self.hook.url,
            "waiting": len(self._queue) + len(self._late),
            "delivered": self.delivered,
            "lost": self.lost,
            "deliveries": list(self.log),
        }

    def _enqueue(self, delivery: Delivery, fault: Fault | None) -> None:
        if len(self._queue) >= MAX_QUEUE:
            self.lost += 1
            return
        self._queue.append((delivery, fault))
        if len(self._senders) < SENDERS:
            sender = asyncio.create_task(self._work())
            self._senders.add(sender)
            sender.add_done_callback(self._senders.discard)

    def _send_late(self) -> None:
        late, self._late = self._late, []
        for delivery in late:
            self._enqueue(delivery, None)

    async def _work(self) -> None:
        while self._queue:
            delivery, fault = self._queue.popleft()
            hook = self.hook
            if await self._apply_fault(delivery, fault, hook):
                await self._deliver(delivery, hook)
            self._send_late()

    async def _apply_fault(self, delivery: Delivery, fault: Fault | None, hook: Hook) -> bool:
        """Let the fault happen; return whether the delivery is still to be made."""
        match fault.kind if fault else None:
            case Kind.DELAY if fault:
                await self._faults.pause(fault.delay_s)
            case Kind.WRONG_SIGNATURE:
                delivery.forged = True
            case Kind.HOLD_BEFORE:
                held = Held(Target.WEBHOOK, Kind.HOLD_BEFORE, hook.url, delivery.event_id)
                return await self._faults.hold(held)
        return True

    async def _deliver(self, delivery: Delivery, hook: Hook) -> None:
        for pause_s in (*PAUSES_S, 0.0):
            if hook is not self.hook:
                return  # the simulation was reset meanwhile
            delivery.tries += 1
            delivery.status = await self._post(delivery, hook)
            if 200 <= delivery.status < 300:  # noqa: PLR2004  acknowledged
                delivery.delivered = True
                self.delivered += 1
                break
            if delivery.forged:
                break
            await self._faults.pause(pause_s)
        else:
            self.lost += 1
        self._records.changed()

    async def _post(self, delivery: Delivery, hook: Hook) -> int:
        if self._session is None:
            timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
            self._session = aiohttp.ClientSession(timeout=timeout)
        body = delivery.body.encode()
        secret = "forged" if delivery.forged else hook.secret
        headers = {
            "Content-Type": "application/json",
            HEADER: signature(secret, int(time.time()), body),
        }
        try:
            async with self._session.post(hook.url, data=body, headers=headers) as answer:
                return answer.status
        except (aiohttp.ClientError, TimeoutError, ValueError):
            return 0


def signature(secret: str, at_s: int, body: bytes) -> str:
    """Return the signature header of a body that is sent at `at_s` (Unix seconds)."""
    made = hmac.new(secret.encode(), f"{at_s}.".encode() + body, hashlib.sha256)
    return f"t={at_s},v1={made.hexdigest()}"
