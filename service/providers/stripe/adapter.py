"""Stripe's API: a charge is a PaymentIntent that is made and confirmed in one request.

Stripe keeps the answer to an idempotency key, an error 500 too, for at least 24 hours. Within that
time a repeat is one charge with the first; after it, it would be a second one, and is not sent.
"""

import time
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from service.domain.amounts import AmountLimits
from service.domain.payment import Charge
from service.ids import made_at
from service.outbound import Outbound, OutboundResponse
from service.providers.calls import segment, send, whole
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

VERSION: Final = "2026-08-26.dahlia"
"""The API version that every request asks for and the tests' stripe-mock checks: an account's
default version changes nothing here."""

KEY_LIFE_S: Final = 23 * 3_600.0
"""How long a key surely stands for its first request: Stripe's 24 hours and an hour's margin."""

PAGE: Final = 100
"""Objects a page of a list; Stripe gives no more."""
CHANGES: Final = ("/v1/refunds", "/v1/disputes")
"""What changes a charge that was captured; each is listed by when it was made."""
MAX_REFUND_PAGES: Final = 10
"""A payment has at most a handful of refunds; a thousand would be another problem."""


class StripeProvider:
    """The port's calls in Stripe's words."""

    name = "stripe"
    limits: AmountLimits = mapping.LIMITS

    def __init__(
        self, outbound: Outbound, *, return_url: str = "", clock: Callable[[], float] = time.time
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
            # Cards only: a method that takes days to settle does not suit a game that is granted
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
        return mapping.charge_of(mapping.read(answer.body, mapping.Intent))

    async def find_charge(self, request: ChargeRequest) -> Charge | None:
        """GET /payment_intents/search by the attempt's id.

        The search lags behind by up to a minute, more in an outage. That is why "not found" leads
        to a repeat under the same key and never to a failed payment.
        """
        wanted = str(request.attempt_id)
        query = {"query": f"metadata['attempt_id']:'{wanted}'", "limit": "1"}
        answer = await self._get("/v1/payment_intents/search", query)
        page: mapping.IntentPage = mapping.read(answer.body, mapping.IntentPage)
        for intent in page.data:
            if intent.metadata.get("attempt_id") == wanted:
                return mapping.charge_of(intent)
        return None

    async def get_charge(self, charge_ref: str) -> Charge:
        """GET /payment_intents/{id}."""
        answer = await self._get(f"/v1/payment_intents/{segment(charge_ref)}", {})
        return mapping.charge_of(mapping.read(answer.body, mapping.Intent))

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
        return mapping.refund_of(mapping.read(answer.body, mapping.StripeRefund))

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

    async def _refunds(self, charge_ref: str) -> list[mapping.StripeRefund]:
        query = {"payment_intent": charge_ref, "limit": str(PAGE)}
        found: list[mapping.StripeRefund] = []
        for _ in range(MAX_REFUND_PAGES):
            answer = await self._get("/v1/refunds", query)
            page: mapping.RefundPage = mapping.read(answer.body, mapping.RefundPage)
            found.extend(page.data)
            if not page.has_more or not page.data:
                return found
            query["starting_after"] = page.data[-1].id
        raise OutcomeUnknownError("the payment has more refunds than are looked through")

    async def list_charges(self, since: datetime, until: datetime) -> AsyncIterator[ProviderCharge]:
        """GET /payment_intents, newest first."""
        query, more = (
            {
                "created[gte]": whole(since),
                "created[lt]": whole(until),
                "expand[]": "data.latest_charge",  # it knows what was refunded
                "limit": str(PAGE),
            },
            True,
        )
        while more:
            answer = await self._get("/v1/payment_intents", query, operation="list")
            page: mapping.IntentPage = mapping.read(answer.body, mapping.IntentPage)
            for intent in page.data:
                yield mapping.listed(intent)
            more = page.has_more and bool(page.data)
            query["starting_after"] = page.data[-1].id if page.data else ""

    async def get_dispute(self, dispute_ref: str) -> ProviderDispute:
        """GET /disputes/{id}."""
        answer = await self._get(f"/v1/disputes/{segment(dispute_ref)}", {})
        return disputes.dispute_of(mapping.read(answer.body, disputes.StripeDispute))

    async def find_disputes(self, charge_ref: str) -> list[ProviderDispute]:
        """GET /disputes of the payment: one page, which a payment never fills."""
        query = {"payment_intent": charge_ref, "limit": str(PAGE)}
        answer = await self._get("/v1/disputes", query)
        page: disputes.DisputePage = mapping.read(answer.body, disputes.DisputePage)
        return [disputes.dispute_of(found) for found in page.data]

    async def list_disputes(
        self, since: datetime, until: datetime
    ) -> AsyncIterator[ProviderDispute]:
        """GET /disputes, newest first."""
        window = {"created[gte]": whole(since), "created[lt]": whole(until)}
        query, more = {**window, "limit": str(PAGE)}, True
        while more:
            answer = await self._get("/v1/disputes", query, operation="list")
            page: disputes.DisputePage = mapping.read(answer.body, disputes.DisputePage)
            for found in page.data:
                yield disputes.dispute_of(found)
            more = page.has_more and bool(page.data)
            query["starting_after"] = page.data[-1].id if page.data else ""

    async def get_fraud_warning(self, warning_ref: str) -> ProviderFraudWarning:
        """GET /radar/early_fraud_warnings/{id}."""
        answer = await self._get(f"/v1/radar/early_fraud_warnings/{segment(warning_ref)}", {})
        return disputes.fraud_warning_of(mapping.read(answer.body, disputes.EarlyFraudWarning))

    async def list_changed(self, since: datetime, until: datetime) -> AsyncIterator[ProviderCharge]:
        """GET /refunds and /disputes with their PaymentIntents: Stripe lists no other changes."""
        met: set[str] = set()  # as many as a window has refunds of older charges
        for path in CHANGES:
            async for change in self._changes(path, since, until):
                intent = await self._intent_of(change)
                if intent is None or intent.id in met or intent.created >= since.timestamp():
                    continue
                met.add(intent.id)
                yield mapping.listed(intent, changed=change.created)

    async def _changes(
        self, path: str, since: datetime, until: datetime
    ) -> AsyncIterator[mapping.Change]:
        query, more = (
            {
                "created[gte]": whole(since),
                "created[lt]": whole(until),
                "expand[]": "data.payment_intent.latest_charge",
                "limit": str(PAGE),
            },
            True,
        )
        while more:
            answer = await self._get(path, query, operation="list")
            page: mapping.ChangePage = mapping.read(answer.body, mapping.ChangePage)
            for change in page.data:
                yield change
            more = page.has_more and bool(page.data)
            query["starting_after"] = page.data[-1].id if page.data else ""

    async def _intent_of(self, change: mapping.Change) -> mapping.Intent | None:
        """Return the PaymentIntent of a change; None if it is of something sold without one."""
        if not isinstance(change.payment_intent, str):
            return change.payment_intent
        path = f"/v1/payment_intents/{segment(change.payment_intent)}"
        answer = await self._get(path, {"expand[]": "latest_charge"}, operation="list")
        intent: mapping.Intent = mapping.read(answer.body, mapping.Intent)
        return intent

    async def _change(self, operation: str, request: HeldRequest, form: dict[str, str]) -> Charge:
        path = f"/v1/payment_intents/{segment(request.charge_ref)}/{operation}"
        answer = await self._post(operation, path, form, request.attempt_id)
        if answer.status >= mapping.BAD_REQUEST:
            return mapping.refused_operation(answer)
        return mapping.charge_of(mapping.read(answer.body, mapping.Intent))

    async def _post(
        self, operation: str, path: str, form: dict[str, str], key: UUID
    ) -> OutboundResponse:
        made = made_at(key)
        if made is not None and self._clock() - made.timestamp() > KEY_LIFE_S:
            raise OutcomeUnknownError("too old to be repeated: Stripe may have forgotten its key")
        headers = {"Stripe-Version": VERSION, "Idempotency-Key": str(key)}
        return await send(self._outbound, operation, "POST", path, form=form, headers=headers)

    async def _get(
        self, path: str, query: dict[str, Any], *, operation: str = "find"
    ) -> OutboundResponse:
        headers = {"Stripe-Version": VERSION}
        answer = await send(self._outbound, operation, "GET", path, query=query, headers=headers)
        if answer.status >= mapping.BAD_REQUEST:
            mapping.no_list(answer)
        return answer
