"""SimPay, a payment provider: charges, captures, cancels and refunds, all idempotent by key."""

import hashlib
import time
from collections.abc import Callable, Iterator
from typing import Any, Final
from uuid import uuid4

from aiohttp import web

from simulator.charges import (
    Ageing,
    Capture,
    Change,
    ChangeFilter,
    Charge,
    ChargeFilter,
    Completion,
    NewCharge,
    NewRefund,
    Nothing,
    Refund,
    RefundFilter,
)
from simulator.disputes import Disputes
from simulator.faults import Decorator, Faults, Target, failing
from simulator.records import Records, page_of
from simulator.replies import RefusalError, encode, idempotency_key, query, read, reply
from simulator.webhooks import Webhooks

PREFIX: Final = "/provider/v1"

OUTCOMES: Final[dict[str, tuple[str | None, str | None]]] = {
    "pm_ok": (None, None),
    "pm_declined": ("declined", "card_declined"),
    "pm_insufficient_funds": ("declined", "insufficient_funds"),
    "pm_requires_action": ("requires_action", None),
}
"""Status and failure code of a charge by its payment method; None: it goes through."""


class SimPay:
    """The payment provider; it sends a webhook of every change."""

    def __init__(self, records: Records, webhooks: Webhooks) -> None:
        self._records = records
        self.webhooks = webhooks
        self.disputes = Disputes(records, webhooks)
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        self.charges: dict[str, Charge] = {}
        self.refunds: dict[str, Refund] = {}
        self.disputes.clear()
        self._answers: dict[str, tuple[bytes, bytes]] = {}
        self._by_key: dict[str, Charge | Refund] = {}
        self._changes: dict[str, list[int]] = {}

    def once(
        self, key: str, path: str, body: Any, act: Callable[[], Charge | Refund]
    ) -> tuple[bytes, bool]:
        """Act, or return the answer that this key got before and True. Raises RefusalError."""
        fingerprint = hashlib.sha256(path.encode() + b"\0" + encode(body)).digest()
        if (known := self._answers.get(key)) is not None:
            if known[0] != fingerprint:
                raise RefusalError(
                    409, "idempotency_mismatch", "this key was used for another request"
                )
            return known[1], True
        self._records.make_room(len(self._answers), "answered keys")
        answer = encode(act())
        self._answers[key] = (fingerprint, answer)
        self._records.changed()
        return answer, False

    def create(self, order: NewCharge, key: str) -> Charge:
        """Charge, or authorize when `capture` is false."""
        if order.payment_method not in OUTCOMES:
            raise RefusalError(
                400, "payment_method_unknown", f"payment_method is one of {', '.join(OUTCOMES)}"
            )
        status, failure_code = OUTCOMES[order.payment_method]
        status = status or ("succeeded" if order.capture else "authorized")
        charge = Charge(
            id=f"ch_{uuid4().hex}",
            status=status,
            amount=order.amount,
            currency=order.currency,
            capture=order.capture,
            amount_captured=order.amount if status == "succeeded" else 0,
            failure_code=failure_code,
            idempotency_key=key,
            reference=order.reference,
            created=int(time.time()),
        )
        self.charges[charge.id] = charge
        self._by_key[key] = charge
        return self._changed(charge)

    def capture(self, charge: Charge, amount: int | None) -> Charge:
        """Capture the authorized money, or a part of it; the rest is released."""
        if charge.status != "authorized":
            raise RefusalError(409, "charge_not_capturable", f"the charge is {charge.status}")
        if (amount or charge.amount) > charge.amount:
            raise RefusalError(400, "amount_too_large", f"{charge.amount} is authorized")
        charge.status, charge.amount_captured = "succeeded", amount or charge.amount
        return self._changed(charge)

    def cancel(self, charge: Charge) -> Charge:
        """Release an uncaptured charge."""
        if charge.status not in ("authorized", "requires_action"):
            raise RefusalError(409, "charge_not_cancelable", f"the charge is {charge.status}")
        charge.status = "canceled"
        return self._changed(charge)

    def complete(self, charge: Charge, end: Completion) -> Charge:
        """Let the buyer, or the provider itself, end a charge outside of any request of ours.

        Only `late` ends one that has ended: a success that comes after the refusal.
        """
        if charge.status != "requires_action" and not (end.late and not charge.amount_captured):
            raise RefusalError(409, "charge_not_open", f"the charge is {charge.status}")
        status: str = end.outcome
        if status == "succeeded" and not charge.capture:
            status = "authorized"
        charge.status = status
        charge.amount_captured = charge.amount if status == "succeeded" else 0
        charge.failure_code = "card_declined" if status == "declined" else None
        self._records.changed()
        return self._changed(charge)

    def refund(self, charge: Charge, amount: int, key: str) -> Refund:
        """Refund captured money."""
        if self.disputes.withholds(charge.id):
            raise RefusalError(409, "charge_disputed", "the buyer's bank has the money")
        left = charge.amount_captured - charge.amount_refunded
        if amount > left:
            raise RefusalError(400, "amount_too_large", f"{left} can be refunded")
        charge.amount_refunded += amount
        refund = Refund(
            id=f"re_{uuid4().hex}",
            charge=charge.id,
            amount=amount,
            currency=charge.currency,
            idempotency_key=key,
            created=int(time.time()),
        )
        self.refunds[refund.id] = refund
        self._by_key[key] = refund
        self._note(charge)
        self._records.changed()
        self.webhooks.announce("refund.succeeded", refund)
        return refund

    def fail_refund(self, refund: Refund, failure_code: str) -> Refund:
        """Let the buyer's bank send back what was refunded: the shop has the money again."""
        if refund.status != "succeeded":
            raise RefusalError(409, "refund_not_succeeded", f"the refund is {refund.status}")
        refund.status, refund.failure_code = "failed", failure_code
        charge = self.charge(refund.charge)
        charge.amount_refunded -= refund.amount
        self._note(charge)
        self._records.changed()
        self.webhooks.announce("refund.failed", refund)
        return refund

    def fail(self, charge: Charge, failure_code: str) -> Charge:
        """Let a charge that had succeeded fail, as a bank debit may days later."""
        if charge.status != "succeeded":
            raise RefusalError(409, "charge_not_succeeded", f"the charge is {charge.status}")
        charge.status, charge.failure_code, charge.amount_captured = "declined", failure_code, 0
        self._records.changed()
        return self._changed(charge)

    def refund_of(self, refund_id: str) -> Refund:
        """Return a refund. Raises RefusalError."""
        try:
            return self.refunds[refund_id]
        except KeyError:
            raise RefusalError(404, "refund_not_found", f"no refund {refund_id}") from None

    def age(self, charge: Charge, ageing: Ageing) -> Charge:
        """Let a charge and its changes so far have been that much earlier."""
        charge.created -= ageing.seconds
        times = self._changes.get(charge.id, [])
        self._changes[charge.id] = [at - ageing.seconds for at in times]
        return charge

    def charge(self, charge_id: str) -> Charge:
        """Return a charge. Raises RefusalError."""
        try:
            return self.charges[charge_id]
        except KeyError:
            raise RefusalError(404, "charge_not_found", f"no charge {charge_id}") from None

    def _note(self, charge: Charge) -> None:
        self._changes.setdefault(charge.id, []).append(int(time.time()))

    def _changed(self, charge: Charge) -> Charge:
        self._note(charge)
        self.webhooks.announce(f"charge.{charge.status}", charge)
        return charge

    def find_charges(self, wanted: ChargeFilter) -> dict[str, Any]:
        """Return a page of charges."""
        found: Iterator[Charge]
        if wanted.idempotency_key is not None:
            made = self._by_key.get(wanted.idempotency_key)
            found = iter([made] if isinstance(made, Charge) else [])
        else:
            found = reversed(self.charges.values())
        if wanted.reference is not None:
            found = (charge for charge in found if charge.reference == wanted.reference)
        return page_of(found, wanted.limit, wanted.starting_after)

    def find_changes(self, wanted: ChangeFilter) -> dict[str, Any]:
        """Return a page of charges with the time of their last change of the window."""
        found = (
            Change(charge.id, max(times), charge)
            for charge in reversed(self.charges.values())
            if charge.created < wanted.since
            and (
                times := [
                    at
                    for at in self._changes.get(charge.id, ())
                    if wanted.since <= at < wanted.until
                ]
            )
        )
        return page_of(found, wanted.limit, wanted.starting_after)

    def find_refunds(self, wanted: RefundFilter) -> dict[str, Any]:
        """Return a page of refunds."""
        found: Iterator[Refund]
        if wanted.idempotency_key is not None:
            made = self._by_key.get(wanted.idempotency_key)
            found = iter([made] if isinstance(made, Refund) else [])
        else:
            found = reversed(self.refunds.values())
        if wanted.charge is not None:
            found = (refund for refund in found if refund.charge == wanted.charge)
        return page_of(found, wanted.limit, wanted.starting_after)


def _find_or_list(request: web.Request) -> Target:
    """Return the target of a look-up of one charge, or of a list."""
    return Target.FIND if "idempotency_key" in request.query else Target.LIST


def routes(provider: SimPay, faults: Faults) -> list[web.RouteDef]:
    """Return the provider's URL table."""
    answer, charge = Handlers(provider), f"{PREFIX}/charges/{{id}}"

    def failing_at(target: Target | Callable[[web.Request], Target]) -> Decorator:
        return failing(faults, target)

    return [
        web.post(f"{PREFIX}/charges", failing_at(Target.CHARGE)(answer.create)),
        web.post(f"{charge}/capture", failing_at(Target.CAPTURE)(answer.capture)),
        web.post(f"{charge}/cancel", failing_at(Target.CANCEL)(answer.cancel)),
        web.post(f"{charge}/refunds", failing_at(Target.REFUND)(answer.refund)),
        web.get(f"{PREFIX}/charges", failing_at(_find_or_list)(answer.find_charges)),
        web.get(charge, failing_at(Target.FIND)(answer.get_charge)),
        web.get(f"{PREFIX}/changes", failing_at(Target.LIST)(answer.find_changes)),
        web.get(f"{PREFIX}/refunds", failing_at(Target.FIND)(answer.find_refunds)),
    ]


class Handlers:
    """The provider's side of each request."""

    def __init__(self, provider: SimPay) -> None:
        self._provider = provider

    async def create(self, request: web.Request) -> web.Response:
        order = await read(request, NewCharge)
        return await self._once(request, order, lambda key: self._provider.create(order, key))

    async def capture(self, request: web.Request) -> web.Response:
        charge, body = self._charge(request), await read(request, Capture)
        return await self._once(
            request, body, lambda _: self._provider.capture(charge, body.amount)
        )

    async def cancel(self, request: web.Request) -> web.Response:
        charge, body = self._charge(request), await read(request, Nothing)
        return await self._once(request, body, lambda _: self._provider.cancel(charge))

    async def refund(self, request: web.Request) -> web.Response:
        charge, body = self._charge(request), await read(request, NewRefund)
        return await self._once(
            request, body, lambda key: self._provider.refund(charge, body.amount, key)
        )

    async def find_charges(self, request: web.Request) -> web.Response:
        return reply(self._provider.find_charges(query(request, ChargeFilter)))

    async def get_charge(self, request: web.Request) -> web.Response:
        return reply(self._charge(request))

    async def find_changes(self, request: web.Request) -> web.Response:
        return reply(self._provider.find_changes(query(request, ChangeFilter)))

    async def find_refunds(self, request: web.Request) -> web.Response:
        return reply(self._provider.find_refunds(query(request, RefundFilter)))

    def _charge(self, request: web.Request) -> Charge:
        return self._provider.charge(request.match_info["id"])

    async def _once(
        self, request: web.Request, body: Any, act: Callable[[str], Charge | Refund]
    ) -> web.Response:
        key = idempotency_key(request)
        made, replayed = self._provider.once(key, request.path, body, lambda: act(key))
        await self._provider.webhooks.send_urgent()
        return reply(made, replayed=replayed)
