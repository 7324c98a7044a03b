"""Stripe's API: a charge is a PaymentIntent that is made and confirmed in one request.

Stripe keeps the answer to an idempotency key, an error 500 too, for at least 24 hours. Within that
time a repeat is one charge with the first; after it, it would be a second one, and is not sent.
"""

import time
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Final
from uuid import UUID

from service.call_results import PAGE, ItemT, OutboundResponse, Page, paginate
from service.domain.amounts import AmountLimits
from service.domain.payment import Charge
from service.ids import made_at
from service.providers.calls import Record, at_most, read, segment, send, unix_s
from service.providers.port import (
    ChargeRequest,
    HeldRequest,
    OutcomeUnknownError,
    ProviderCharge,
    ProviderDispute,
    ProviderFraudWarning,
    ProviderRefund,
    RefundRequest,
    RefundResult,
)
from service.providers.stripe import disputes, mapping
from service.providers.stripe.disputes import EarlyFraudWarning, StripeDispute
from service.providers.stripe.mapping import Change, Intent, StripeRefund

if TYPE_CHECKING:
    from service.outbound import Outbound

VERSION: Final = "2026-08-26.dahlia"
"""The API version that every request asks for and the tests' stripe-mock checks: an account's
default version changes nothing here."""

KEY_LIFE_S: Final = 23 * 3_600.0
"""How long a key surely stands for its first request: Stripe's 24 hours and an hour's margin."""

CHANGES: Final = ("/v1/refunds", "/v1/disputes")
"""What changes a charge that was captured; each is listed by when it was made."""
MAX_REFUNDS: Final = 1_000
"""A payment has a handful of refunds at most; a thousand would be another problem."""


class StripeProvider:
    """The port's calls at Stripe."""

    name = "stripe"
    limits: AmountLimits = mapping.LIMITS

    def __init__(
        self, outbound: "Outbound", *, return_url: str = "", clock: Callable[[], float] = time.time
    ) -> None:
        self._outbound = outbound
        self._return_url = return_url
        self._clock = clock

    async def charge(self, request: ChargeRequest) -> Charge:
        """POST /payment_intents with confirm."""
        form = {
            "amount": mapping.amount_out(request.amount),
            "currency": request.amount.currency.lower(),
            "capture_method": "automatic" if request.capture else "manual",
            "confirm": "true",
            "payment_method": request.payment_method,
            # Cards only: a method that takes days to clear does not suit a game that is granted
            # in seconds.
            "payment_method_types[0]": "card",
            "metadata[payment_id]": str(request.payment_id),
            "metadata[attempt_id]": str(request.attempt_id),
        }
        if self._return_url:
            form["return_url"] = self._return_url
        answer = await self._post("charge", "/v1/payment_intents", form, request.attempt_id)
        if answer.status >= mapping.BAD_REQUEST:
            return mapping.refused_charge(answer)
        return mapping.charge_of(read(answer.body, Intent))

    async def find_charge(self, request: ChargeRequest) -> Charge | None:
        """GET /payment_intents/search by the attempt's id.

        The search lags behind by up to a minute, more in an outage. That is why "not found" leads
        to a repeat under the same key and never to a failed payment.
        """
        wanted = str(request.attempt_id)
        query = {"query": f"metadata['attempt_id']:'{wanted}'", "limit": "1"}
        page = await self._get("find", "/v1/payment_intents/search", Page[Intent], query)
        for intent in page.data:
            if intent.metadata.get("attempt_id") == wanted:
                return mapping.charge_of(intent)
        return None

    async def get_charge(self, charge_ref: str) -> Charge:
        """GET /payment_intents/{id}."""
        path = f"/v1/payment_intents/{segment(charge_ref)}"
        return mapping.charge_of(await self._get("find", path, Intent))

    async def capture(self, request: HeldRequest) -> Charge:
        """POST /payment_intents/{id}/capture."""
        form = {"amount_to_capture": mapping.amount_out(request.amount)}
        return await self._change("capture", request, form)

    async def cancel(self, request: HeldRequest) -> Charge:
        """POST /payment_intents/{id}/cancel."""
        return await self._change("cancel", request, {})

    async def refund(self, request: RefundRequest) -> RefundResult:
        """POST /refunds."""
        form = {
            "payment_intent": request.charge_ref,
            "amount": mapping.amount_out(request.amount),
            "metadata[refund_id]": str(request.refund_id),
        }
        answer = await self._post("refund", "/v1/refunds", form, request.refund_id)
        if answer.status >= mapping.BAD_REQUEST:
            return mapping.refused_refund(answer)
        return mapping.refund_of(read(answer.body, StripeRefund))

    async def find_refund(self, request: RefundRequest) -> RefundResult | None:
        """GET /refunds of the payment, which lists what is there without a lag."""
        for refund in await self._refunds(request.charge_ref):
            if (refund.metadata or {}).get("refund_id") == str(request.refund_id):
                return mapping.refund_of(refund)
        return None

    async def list_refunds(self, charge_ref: str) -> list[ProviderRefund]:
        """GET /refunds of the payment, without what a partial capture let go."""
        return [
            mapping.listed_refund(refund)
            for refund in await self._refunds(charge_ref)
            if not refund.moved_nothing
        ]

    async def _refunds(self, charge_ref: str) -> list[StripeRefund]:
        query = {"payment_intent": charge_ref}
        refunds = self._list("/v1/refunds", Page[StripeRefund], query, operation="find")
        return await at_most(MAX_REFUNDS, refunds)

    async def list_charges(self, since: datetime, until: datetime) -> AsyncIterator[ProviderCharge]:
        """GET /payment_intents, newest first."""
        # The latest charge knows what was refunded.
        query = {**_created(since, until), "expand[]": "data.latest_charge"}
        async for intent in self._list("/v1/payment_intents", Page[Intent], query):
            yield mapping.listed(intent)

    async def list_changed(self, since: datetime, until: datetime) -> AsyncIterator[ProviderCharge]:
        """GET /refunds and /disputes with their PaymentIntents: Stripe lists no other changes."""
        query = {**_created(since, until), "expand[]": "data.payment_intent.latest_charge"}
        met: set[str] = set()  # as many as a window has refunds of older charges
        for path in CHANGES:
            async for change in self._list(path, Page[Change], query):
                intent = await self._intent_of(change)
                if intent is None or intent.id in met or intent.created >= since.timestamp():
                    continue
                met.add(intent.id)
                yield mapping.listed(intent, changed=change.created)

    async def _intent_of(self, change: Change) -> Intent | None:
        """Return the PaymentIntent of a change; None if it is of something sold without one."""
        if not isinstance(change.payment_intent, str):
            return change.payment_intent
        path = f"/v1/payment_intents/{segment(change.payment_intent)}"
        return await self._get("list", path, Intent, {"expand[]": "latest_charge"})

    async def get_dispute(self, dispute_ref: str) -> ProviderDispute:
        """GET /disputes/{id}."""
        path = f"/v1/disputes/{segment(dispute_ref)}"
        return disputes.dispute_of(await self._get("find", path, StripeDispute))

    async def find_disputes(self, charge_ref: str) -> list[ProviderDispute]:
        """GET /disputes of the payment."""
        query = {"payment_intent": charge_ref}
        found = self._list("/v1/disputes", Page[StripeDispute], query, operation="find")
        return [disputes.dispute_of(each) for each in await at_most(PAGE, found)]

    async def list_disputes(
        self, since: datetime, until: datetime
    ) -> AsyncIterator[ProviderDispute]:
        """GET /disputes, newest first."""
        query = _created(since, until)
        async for found in self._list("/v1/disputes", Page[StripeDispute], query):
            yield disputes.dispute_of(found)

    async def get_fraud_warning(self, warning_ref: str) -> ProviderFraudWarning:
        """GET /radar/early_fraud_warnings/{id}."""
        path = f"/v1/radar/early_fraud_warnings/{segment(warning_ref)}"
        return disputes.fraud_warning_of(await self._get("find", path, EarlyFraudWarning))

    async def _change(self, operation: str, request: HeldRequest, form: dict[str, str]) -> Charge:
        path = f"/v1/payment_intents/{segment(request.charge_ref)}/{operation}"
        answer = await self._post(operation, path, form, request.attempt_id)
        if answer.status >= mapping.BAD_REQUEST:
            return mapping.refused_operation(answer)
        return mapping.charge_of(read(answer.body, Intent))

    async def _post(
        self, operation: str, path: str, form: dict[str, str], key: UUID
    ) -> OutboundResponse:
        made = made_at(key)
        if made is not None and self._clock() - made.timestamp() > KEY_LIFE_S:
            raise OutcomeUnknownError("too old to be repeated: Stripe may have forgotten its key")
        headers = {"Stripe-Version": VERSION, "Idempotency-Key": str(key)}
        return await send(self._outbound, operation, "POST", path, form=form, headers=headers)

    def _list(
        self,
        path: str,
        page: type[Page[ItemT]],
        query: dict[str, str],
        *,
        operation: str = "list",
    ) -> AsyncIterator[ItemT]:
        return paginate(partial(self._get, operation, path, page), query)

    async def _get(
        self, operation: str, path: str, record: type[Record], query: dict[str, str] | None = None
    ) -> Record:
        headers = {"Stripe-Version": VERSION}
        answer = await send(self._outbound, operation, "GET", path, query=query, headers=headers)
        if answer.status >= mapping.BAD_REQUEST:
            mapping.refused_look_up(answer)
        return read(answer.body, record)


def _created(since: datetime, until: datetime) -> dict[str, str]:
    return {"created[gte]": unix_s(since), "created[lt]": unix_s(until)}
